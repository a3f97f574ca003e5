# SPDX-License-Identifier: Apache-2.0
"""Filter banks against Kaldi's own, and their shape by hand."""

from pathlib import Path

import numpy as np
import pytest

from deltaloom.golden.corpora.filter_banks import (
    FLOOR,
    filter_banks,
    frame_count,
    mel_triangles,
    povey_window,
)

VECTORS = np.load(Path(__file__).parents[1] / "filter_bank_vectors.npz")


@pytest.mark.parametrize(("key", "bands"), [("bands", 23), ("bands40", 40)])
def test_as_kaldi(key, bands):
    """Kaldi computes in float32: equal to 1e-5 but where bands nearly cancel."""
    got, expected = filter_banks(VECTORS["samples"], bands), VECTORS[key]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)
    assert np.median(np.abs(got - expected)) < 1e-5


def test_frames():
    assert [frame_count(n) for n in (0, 399, 400, 559, 560, 16_000)] == [0, 0, 1, 1, 2, 98]
    for n in (0, 399, 400, 559, 560):
        assert filter_banks(np.ones(n, np.int16)).shape == (frame_count(n), 23)


def test_silence_is_at_the_floor():
    np.testing.assert_array_equal(
        filter_banks(np.full(800, 77, np.int16)), np.full((3, 23), np.log(FLOOR), np.float32)
    )


def test_louder_by_a_factor():
    samples = VECTORS["samples"][:1200] // 4
    louder = filter_banks(3 * samples) - filter_banks(samples)
    np.testing.assert_allclose(louder, 2 * np.log(3), rtol=0, atol=1e-4)


def test_triangles():
    """23 bands from 20 Hz; neighbours meet at 1 in between, the last bin is left out."""
    triangles = mel_triangles()
    assert triangles.shape == (257, 23)
    assert (triangles >= 0).all() and triangles.max() <= 1
    assert triangles[0].max() == triangles[256].max() == 0
    sums = triangles.sum(axis=1)
    first, last = triangles[:, 0].argmax(), triangles[:, -1].argmax()
    np.testing.assert_allclose(sums[first + 1 : last], 1)
    assert (np.diff(triangles.argmax(axis=0)) > 0).all()


def test_window():
    window = povey_window()
    assert window[0] == window[-1] == 0
    np.testing.assert_allclose(window[100], (0.5 - 0.5 * np.cos(2 * np.pi * 100 / 399)) ** 0.85)
