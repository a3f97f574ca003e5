# SPDX-License-Identifier: Apache-2.0
"""The primitives against their definitions in Python's integers, at the edges and at random."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaloom.golden.integer_lstm.arithmetic import (
    clamp8,
    clamp16,
    divide,
    high_product,
    quantized_multiplier,
    rescale,
    rounded_shift,
    wrap16,
    wrap32,
)

INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
INT16 = st.integers(-(1 << 15), (1 << 15) - 1)


def wrapped(v, bits):
    return (v + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def away_from_zero(v):
    """To the nearest integer, halves away from zero, of a fraction."""
    return floor(abs(v) + Fraction(1, 2)) * (1 if v >= 0 else -1)


@given(st.integers(-(1 << 40), 1 << 40))
def test_wrapping_keeps_the_low_bits(v):
    assert (wrap32(v), wrap16(v)) == (wrapped(v, 32), wrapped(v, 16))


@given(INT32)
def test_clamping(v):
    assert clamp16(v) == max(-32768, min(32767, v))
    assert clamp8(v) == max(-128, min(127, v))


@given(INT32, st.integers(1, 4096))
def test_division_is_toward_zero(v, by):
    assert divide(v, by) == abs(v) // by * (1 if v >= 0 else -1)


@given(INT32, st.integers(0, 31))
def test_shifts_round_halves_away_from_zero(v, n):
    assert rounded_shift(v, n) == away_from_zero(Fraction(v, 1 << n))
    assert rounded_shift(np.array([v]), np.array([n])) == away_from_zero(Fraction(v, 1 << n))


@pytest.mark.parametrize(("v", "half", "quarter"), [(-6, -3, -2), (-5, -3, -1), (-3, -2, -1)])
def test_the_table_of_the_page(v, half, quarter):
    assert (rounded_shift(v, 1), rounded_shift(v, 2)) == (half, quarter)
    assert (rounded_shift(-v, 1), rounded_shift(-v, 2)) == (-half, -quarter)


@given(INT32, INT32)
def test_high_products_of_32_bits(a, b):
    expected = floor(Fraction(a * b, 1 << 31) + Fraction(1, 2))
    assert high_product(a, b) == min(expected, (1 << 31) - 1)


@given(INT16, INT16)
def test_high_products_of_16_bits(a, b):
    expected = floor(Fraction(a * b, 1 << 15) + Fraction(1, 2))
    assert high_product(a, b, 16) == min(expected, (1 << 15) - 1)


def test_minus_one_times_minus_one_saturates():
    assert high_product(-(1 << 31), -(1 << 31)) == (1 << 31) - 1
    assert high_product(-(1 << 15), -(1 << 15), 16) == (1 << 15) - 1


@given(INT32, st.integers(1 << 30, (1 << 31) - 1), st.integers(-31, 8))
def test_rescaling_rounds_twice(v, mult, shift):
    left = wrapped(v << max(shift, 0), 32)
    once = floor(Fraction(left * mult, 1 << 31) + Fraction(1, 2))
    twice = away_from_zero(Fraction(once, 1 << max(-shift, 0)))
    assert rescale(v, mult, shift) == twice
    assert rescale(np.array([v, v]), np.array([mult, 0]), shift).tolist() == [twice, 0]


def test_rounding_twice_is_not_rounding_once():
    """0.375 becomes 0.5 and then 1 in steps of 1/4."""
    assert rescale(3, 1 << 30, -2) == 1  # 3 / 8
    assert round(3 / 8) == 0


@given(st.floats(1e-9, 1e8))
def test_multipliers_have_31_bits(real):
    mult, shift = quantized_multiplier(real)
    assert 1 << 30 <= mult < 1 << 31
    assert abs(Fraction(mult) * Fraction(2) ** (shift - 31) / Fraction(real) - 1) <= 2.0**-31


def test_multipliers_at_the_ends():
    assert quantized_multiplier(1 - 2.0**-40) == (1 << 30, 1)  # rounds up to 1
    assert quantized_multiplier(2.0**-33) == (0, 0)
    assert quantized_multiplier(2.0**-32) == (1 << 30, -31)
    assert quantized_multiplier(0.0) == (0, 0)
    assert quantized_multiplier(-0.5) == (-(1 << 30), 0)
    with pytest.raises(ValueError, match="not finite"):
        quantized_multiplier(float("inf"))
