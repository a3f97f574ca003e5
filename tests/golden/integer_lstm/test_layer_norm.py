# SPDX-License-Identifier: Apache-2.0
"""Integer layer normalisation: its root, its error against reals, its guard."""

import numpy as np
import pytest

from deltaloom.golden.integer_lstm.arithmetic import quantized_multiplier
from deltaloom.golden.integer_lstm.layer_norm import inverse_root, normalized

UNIT = 2.0**-15
"""The gain's scale in these tests."""


def run(v, gain, bias, guard=1):
    """Real gains and biases."""
    codes = np.rint(gain / UNIT).astype(int), np.rint(bias / UNIT * 1024).astype(int)
    return normalized(v, *codes, quantized_multiplier(UNIT), guard) / 4096


def test_roots_are_close_over_all_sizes():
    v = np.unique(np.rint(2.0 ** np.linspace(1, 31, 4000)).astype(np.int64))[:-1]
    mult, shift = inverse_root(v)
    assert (mult >= 1 << 27).all() and (mult < 1 << 31).all()
    error = mult * 2.0 ** (shift - 31) * np.sqrt(v) - 1
    assert np.abs(error).max() < 1.3e-6


def test_the_root_of_1_is_the_largest_multiplier():
    mult, shift = inverse_root(np.array([1, 2, 4]))
    assert (mult[0], shift[0]) == ((1 << 31) - 1, 0)
    np.testing.assert_allclose(mult * 2.0 ** (shift - 31), [1, 0.5**0.5, 0.5], rtol=2e-6)


@pytest.mark.parametrize("cells", [2, 7, 16, 20, 37, 128, 129])
def test_close_to_reals_for_any_number_of_cells(cells):
    rng = np.random.default_rng(cells)
    v = rng.integers(-20000, 20000, (50, cells))
    gain, bias = rng.uniform(-0.9, 0.9, cells), rng.uniform(-2, 2, cells)
    d = v - v.mean(axis=1, keepdims=True)
    expected = d / np.sqrt((d * d).mean(axis=1, keepdims=True)) * gain + bias
    error = np.abs(run(v, gain, bias) - expected)
    # 2**20 / cells is cut to an integer; a unit of Q3.12 is 0.00024.
    assert error.max() < (0.003 if cells & (cells - 1) == 0 else 0.02)


def test_equal_cells_are_left_with_the_bias():
    bias = np.linspace(-1, 1, 8)
    for value in (-32768, -1, 0, 5, 32767):
        v = np.full((1, 8), value)
        np.testing.assert_allclose(run(v, np.full(8, 0.5), bias)[0], bias, atol=3e-4)


def test_the_guard_stands_for_a_variance_below_1():
    v = np.zeros((1, 64), int)
    v[0, 0] = 1  # variance 1/64
    small, large = (
        run(v, np.full(64, 0.9), np.zeros(64), 1),
        run(v, np.full(64, 0.9), np.zeros(64), 100),
    )
    assert small[0, 0] == pytest.approx(0.9 * 63 / 64, abs=1e-3)
    assert large[0, 0] == pytest.approx(0.09 * 63 / 64, abs=1e-3)


def test_the_full_scale_of_a_wide_layer_does_not_wrap():
    v = np.where(np.arange(256) % 2, 32767, -32768)[None]
    y = run(v, np.full(256, 0.9), np.zeros(256))
    np.testing.assert_allclose(y, np.where(v > 0, 0.9, -0.9), atol=1e-3)
