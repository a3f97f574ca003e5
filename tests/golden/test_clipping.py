# SPDX-License-Identifier: Apache-2.0
"""Clips, steps and codes, by hand and by brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deltaloom.golden.clipping import (
    max_clip,
    mmse_clip,
    mmse_clip_histogram,
    squared_error,
    step_size,
    to_codes,
)

BITS = st.sampled_from([2, 4, 8, 16])
TENSORS = arrays(np.float64, (3, 7), elements=st.floats(-8, 8, width=32))


@pytest.mark.parametrize(
    ("bits", "step"), [(2, 1.27), (4, 1.27 / 7), (8, 0.01), (16, 1.27 / 32767)]
)
def test_step_size(bits, step):
    assert step_size(1.27, bits) == pytest.approx(step, rel=1e-15)


@pytest.mark.parametrize(
    ("value", "bits", "code"),
    [
        (0.5, 8, 0),  # ties go to even
        (1.5, 8, 2),
        (2.5, 8, 2),
        (-1.5, 8, -2),
        (127.4, 8, 127),
        (900.0, 8, 127),
        (-127.6, 8, -128),
        (-900.0, 8, -128),
        (1.0, 2, 1),
        (1.6, 2, 1),
        (-1.6, 2, -2),
        (-9.0, 2, -2),
        (7.9, 4, 7),
    ],
)
def test_codes_for_step_1(value, bits, code):
    assert to_codes([value], 1.0, bits).tolist() == [code]


def test_codes_of_zero_rows():
    codes = to_codes([[1.0, -2.0], [0.0, 0.0]], [[0.5], [0.0]], 8)
    assert codes.tolist() == [[2, -4], [0, 0]]


def test_squared_error_by_hand():
    """Clip 1 at 2 bits: levels -2, -1, 0, 1."""
    errors = squared_error([[0.25, 1.5, -1.75, 0.75]], [[1.0]], 2)
    assert errors.tolist() == [0.0625 + 0.25 + 0.0625 + 0.0625]


def test_one_outlier_is_cut_at_few_bits_and_kept_at_many():
    """999 values of 1 and one of 10, 2 bits: a step of 10 loses them all, one of 1 just the 10.

    With a step near 1 the error is 999 * (1 - a)**2 + (10 - a)**2, least at a = 1.009, so 1.0 of
    the candidates 0.1 apart.
    """
    values = np.append(np.ones(999), 10.0)
    assert mmse_clip(values, 2) == pytest.approx(1.0)
    assert mmse_clip(values, 16) == pytest.approx(10.0, rel=0.11)
    assert squared_error(values, mmse_clip(values, 16), 16) < 1e-3


def test_rows_are_independent():
    rows = np.array([[1.0] * 50 + [10.0], [0.5] * 51, [0.0] * 51])
    clips = mmse_clip(rows, 2)
    np.testing.assert_array_equal(clips, [mmse_clip(row, 2) for row in rows])
    assert clips[1] == 0.5 and clips[2] == 0.0


@given(TENSORS, BITS)
def test_mmse_of_rows_is_the_best_candidate(values, bits):
    clips = mmse_clip(values, bits)
    for row, clip in zip(values, clips, strict=True):
        largest = np.abs(row).max()
        candidates = [k / 100 * largest for k in range(1, 101)]
        least = min(float(squared_error(row, c, bits)) for c in candidates)
        assert squared_error(row, clip, bits) <= least * (1 + 1e-12)
        assert clip <= largest


@given(TENSORS, BITS)
def test_mmse_is_never_worse_than_max(values, bits):
    rows = squared_error(values, mmse_clip(values, bits)[:, None], bits)
    assert (rows <= squared_error(values, max_clip(values)[:, None], bits)).all()
    flat = values.reshape(-1)
    clip = mmse_clip_histogram(values, bits)
    assert squared_error(flat, clip, bits) <= squared_error(flat, max_clip(flat), bits)


@pytest.mark.parametrize("bits", [2, 4])
def test_histogram_finds_about_the_exact_clip(bits):
    values = np.random.default_rng(0).normal(size=(40, 250))
    exact, approximate = mmse_clip(values.reshape(-1), bits), mmse_clip_histogram(values, bits)
    assert approximate < 0.8 * max_clip(values.reshape(-1))  # tails are worth cutting
    # A histogram misplaces values by half a bin at most and does not see level -2**(bits-1).
    errors = [squared_error(values.reshape(-1), clip, bits) for clip in (exact, approximate)]
    assert errors[1] <= 1.5 * errors[0]


@pytest.mark.parametrize("values", [[0.0, 0.0], [3.0], [2.5, 2.5], []])
def test_tensors_without_a_spread(values):
    clip = max(values, default=0.0)
    assert mmse_clip_histogram(np.array(values), 8) == clip
    assert max_clip(np.array(values)) == clip
