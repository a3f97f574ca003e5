# SPDX-License-Identifier: Apache-2.0
"""The integer primitives against plain Python integers."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deltaloom.golden.arithmetic import (
    WIDTHS,
    code_range,
    exact_dtype,
    from_fixed,
    multiplier,
    rshr,
    sat,
    sat16,
    to_fixed,
)

values = st.integers(-(2**61), 2**61)
shifts = st.integers(0, 40)


def as_array(shift):
    """The same shift on the other path of `rshr`, which takes one shift per element."""
    return np.array([shift])


@pytest.mark.parametrize(
    ("v", "n", "expected"),
    [
        (3, 1, 2),  # 1.5: half goes up
        (-3, 1, -1),  # -1.5: up is toward zero here
        (1, 1, 1),  # 0.5
        (-1, 1, 0),  # -0.5
        (5, 2, 1),  # 1.25
        (6, 2, 2),  # 1.5
        (-5, 2, -1),  # -1.25
        (-6, 2, -1),  # -1.5
        (-7, 2, -2),  # -1.75
        (2, 2, 1),  # 0.5
        (-2, 2, 0),  # -0.5
        (7, 0, 7),
        (-7, 0, -7),
        (7, -2, 28),
        (-7, -2, -28),
        (0, 40, 0),
        (-1, 40, 0),
        (-(2**39) - 1, 40, -1),
        (-(2**39), 40, 0),
        (2**39, 40, 1),
        (2**39 - 1, 40, 0),
    ],
)
def test_rshr_table(v, n, expected):
    assert rshr(v, n) == expected
    assert rshr([v], as_array(n)) == [expected]


@given(values, shifts)
def test_rshr_rounds_half_toward_plus_infinity(v, n):
    expected = floor(Fraction(v, 2**n) + Fraction(1, 2))
    assert int(rshr(v, n)) == expected
    assert int(rshr(v, as_array(n))[0]) == expected


@given(st.integers(-(2**31), 2**31), st.integers(0, 30))
def test_rshr_by_a_negative_number_is_exact(v, n):
    assert int(rshr(v, -n)) == v * 2**n
    assert int(rshr(v, as_array(-n))[0]) == v * 2**n


@given(st.lists(st.tuples(values, shifts), min_size=1))
def test_rshr_takes_a_shift_per_element(pairs):
    v, n = zip(*pairs, strict=True)
    assert rshr(v, n).tolist() == [int(rshr(a, b)) for a, b in pairs]


def test_rshr_broadcasts():
    assert rshr(np.full((3, 1, 2), 8), np.arange(4)[:, None]).shape == (3, 4, 2)


@given(st.integers(-(2**62), 2**62), st.integers(1, 40))
def test_sat(v, bits):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    assert int(sat(v, bits)) == (low if v < low else high if v > high else v)


@pytest.mark.parametrize(
    ("v", "expected"),
    [(32767, 32767), (32768, 32767), (-32768, -32768), (-32769, -32768), (2**61, 32767), (0, 0)],
)
def test_sat16_table(v, expected):
    assert sat16(v) == expected


@pytest.mark.parametrize("bits", WIDTHS)
def test_code_range_holds_all_codes(bits):
    low, high = code_range(bits)
    assert high - low + 1 == 2**bits and low == -high - 1


def relative_error(real, mult, shift):
    return abs(Fraction(mult, 2**shift) / Fraction(real) - 1)


@given(st.floats(2.0**-25, 32767))
def test_multiplier_is_within_half_its_last_bit(real):
    mult, shift = multiplier(real)
    assert 0 < mult <= 32767 and 0 <= shift <= 40
    assert relative_error(real, mult, shift) <= Fraction(1, 2**15)


@given(st.floats(2.0**-25, 16383.4))
def test_multiplier_is_as_large_as_it_can_be(real):
    mult, shift = multiplier(real)
    assert mult >= 2**14
    assert shift == 40 or round(Fraction(real) * 2 ** (shift + 1)) > 32767


@given(st.floats(1e-12, 32767), st.sampled_from([8, 12, 16]))
def test_multiplier_of_a_negative_is_the_negative(real, bits):
    assume(real < (1 << (bits - 1)) - 1)
    mult, shift = multiplier(real, bits=bits)
    assert multiplier(-real, bits=bits) == (-mult, shift)


@given(st.floats(0, 2.0**-25))
def test_multiplier_of_little_is_the_nearest_at_the_last_shift(real):
    mult, shift = multiplier(real)
    assert abs(Fraction(mult, 2**shift) - Fraction(real)) <= Fraction(1, 2**41)


@pytest.mark.parametrize("exponent", range(-25, 14))
def test_multiplier_of_a_power_of_two_is_exact(exponent):
    """Also one step to either side, where the logarithm may round across."""
    for real in (2.0**exponent, np.nextafter(2.0**exponent, 0), np.nextafter(2.0**exponent, 9e9)):
        mult, shift = multiplier(float(real))
        assert Fraction(mult, 2**shift) == Fraction(2.0**exponent)


@pytest.mark.parametrize("real", [32767.6, 1e9, -1e300])
def test_multiplier_refuses_what_needs_a_left_shift(real):
    with pytest.raises(ValueError, match="too large: at most 32767"):
        multiplier(real)


@pytest.mark.parametrize("real", [float("nan"), float("inf")])
def test_multiplier_refuses_what_is_not_finite(real):
    with pytest.raises(ValueError, match="not finite"):
        multiplier(real)


@pytest.mark.parametrize(
    ("real", "exponent", "expected"),
    [
        (0.5, 0, 16384),
        (1.0, 0, 32767),
        (-1.0, 0, -32768),
        (-1.0, 3, -4096),
        (0.5 / 32768, 0, 1),  # half goes up
        (-0.5 / 32768, 0, 0),
        (-1.5 / 32768, 0, -1),
        (1e308, 0, 32767),
        (-1e308, 12, -32768),
    ],
)
def test_to_fixed_table(real, exponent, expected):
    assert to_fixed(real, exponent) == expected


@given(st.integers(-32768, 32767), st.integers(0, 12))
def test_fixed_point_comes_back(code, exponent):
    assert to_fixed(from_fixed(code, exponent), exponent) == code


@pytest.mark.parametrize("real", [float("nan"), float("inf")])
def test_to_fixed_refuses_what_is_not_finite(real):
    with pytest.raises(ValueError, match="not finite"):
        to_fixed([0.0, real], 3)


@given(st.integers(0, 2**32), st.sampled_from([2**11, 2**12 - 1, 2**25, 2**26 - 1]))
def test_matmul_in_the_exact_type_is_exact(seed, peak):
    """Sums that come close to the type's limit: two terms of up to peak**2 / 2 each."""
    rng = np.random.default_rng(seed)
    a = rng.integers(-(peak // 2), peak // 2 + 1, (5, 2))
    b = rng.integers(-peak, peak + 1, (2, 3))
    bound = int(np.abs(b).sum(axis=0).max()) * (peak // 2)
    dtype = exact_dtype(bound)
    product = np.matmul(a.astype(dtype), b.astype(dtype))
    exact = [[sum(int(x) * int(y) for x, y in zip(r, c, strict=True)) for c in b.T] for r in a]
    assert [[int(v) for v in row] for row in product] == exact


@pytest.mark.parametrize(
    ("bound", "dtype"),
    [(0, np.float32), (2**24 - 1, np.float32), (2**24, np.float64), (2**53 - 1, np.float64)],
)
def test_exact_dtype_holds_its_bound(bound, dtype):
    assert exact_dtype(bound) is dtype
    assert int(dtype(bound)) == bound


def test_no_type_holds_more():
    with pytest.raises(OverflowError, match="exact only below"):
        exact_dtype(2**53)
