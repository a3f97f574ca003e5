# SPDX-License-Identifier: Apache-2.0
"""Clips, steps and codes, by hand and by brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deltaloom.golden.arithmetic import code_range
from deltaloom.golden.quantization.clipping import (
    asymmetric,
    find_clip,
    find_range,
    max_clip,
    mmse_clip,
    paper_clip,
    range_error,
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


@pytest.mark.parametrize("bits", [2, 4])
def test_histogram_finds_about_the_exact_clip(bits):
    values = np.random.default_rng(0).normal(size=(40, 250))
    exact, approximate = mmse_clip(values.reshape(-1), bits), paper_clip(values, bits)
    assert approximate < 0.8 * max_clip(values.reshape(-1))  # tails are worth cutting
    # A histogram misplaces values by half a bin at most and does not see level -2**(bits-1).
    errors = [squared_error(values.reshape(-1), clip, bits) for clip in (exact, approximate)]
    assert errors[1] <= 1.5 * errors[0]


@pytest.mark.parametrize("values", [[0.0, 0.0], [3.0], [2.5, 2.5], []])
def test_tensors_without_a_spread(values):
    clip = max(values, default=0.0)
    assert paper_clip(np.array(values), 8) == clip
    assert max_clip(np.array(values)) == clip


def test_paper_by_hand():
    """-1 .. 1 in 201 values: one in each bin, whose middle is it, nearly. 2 bits: -a, 0, a.

    The cost of a is sum over b >= 0 of (b - [b > a/2] a)**2, about a**3/12 within a and
    (1 - a)**3 / 3 beyond: least where a**2 / 4 = (1 - a)**2, so at a = 2/3.
    """
    assert paper_clip(np.linspace(-1, 1, 201), 2) == pytest.approx(0.67)
    assert paper_clip(10 * np.linspace(-1, 1, 201), 2) == pytest.approx(6.7)


@given(TENSORS, BITS)
def test_paper_as_its_formula_says(values, bits):
    """Bin by bin and candidate by candidate, with the first of the least cost."""
    flat = values.reshape(-1)
    largest = np.abs(flat).max()
    if flat.min() == flat.max():
        return
    share, edges = np.histogram(flat, bins=201, density=True)
    best = (np.inf, 0.0)
    for k in range(1, 100):
        a = k / 100 * largest
        s = (2 ** (bits - 1) - 1) / a
        cost = 0.0
        for b, p in zip((edges[:-1] + edges[1:]) / 2, share, strict=True):
            if p:
                nearest = np.rint(b * s) / s
                cost += p * ((abs(b) - a) ** 2 if abs(b) > a else (b - nearest) ** 2)
        best = min(best, (cost * (1 - 1e-9), a)) if cost < best[0] * (1 - 1e-9) else best
    found = paper_clip(values, bits)
    assert found <= 0.99 * largest * (1 + 1e-12)
    assert found == pytest.approx(best[1]) or bits > 4  # near ties, which rounding decides


def test_percentiles_by_hand():
    rows = np.array([np.arange(-100.0, 1.0), np.arange(0.0, 202.0, 2.0)])
    assert find_clip(rows, 8, "percentile:90").tolist() == [90.0, 180.0]
    assert find_clip(rows, 8, "percentile:100").tolist() == [100.0, 200.0]
    assert find_range(rows[0], 8, "percentile:90") == (-90.0, 0.0)  # 0 is within
    assert find_range(np.arange(-10.0, 91.0), 8, "percentile:95") == (-5.0, 85.0)


@pytest.mark.parametrize("rule", ["mmse", "paper", "max", "percentile:97"])
def test_each_rule_is_for_each_row(rule):
    rows = np.random.default_rng(0).laplace(size=(2, 3, 50))
    clips = find_clip(rows, 4, rule)
    assert clips.shape == (2, 3)
    for n, row in enumerate(rows.reshape(6, 50)):
        assert clips.flat[n] == find_clip(row, 4, rule)


@pytest.mark.parametrize(
    ("ends", "bits", "step", "zero"),
    [
        ((0.0, 15.0), 4, 1.0, -8),  # all codes above 0
        ((-15.0, 0.0), 4, 1.0, 7),
        ((-5.0, 10.0), 4, 1.0, -3),
        ((-2.0, 1.0), 2, 1.0, 0),
        ((-1.4, 1.6), 2, 1.0, -1),
        ((-1.0, 254.0), 8, 1.0, -127),
    ],
)
def test_asymmetric_by_hand(ends, bits, step, zero):
    found = asymmetric(ends, bits)
    assert found == (pytest.approx(step), zero)


def test_range_error_by_hand():
    """-3..12 at 4 bits: step 1, codes -8..7 for -3..12."""
    assert asymmetric((-3.0, 12.0), 4) == (1.0, -5)
    assert range_error([-4.0, -2.75, 0.0, 11.5, 14.0], (-3.0, 12.0), 4) == 1 + 0.0625 + 0.25 + 4


@given(TENSORS, st.sampled_from([2, 3, 4, 6, 8]))
def test_asymmetric_mmse_is_never_worse(values, bits):
    """Than the whole range, nor than symmetric codes."""
    flat = values.reshape(-1)
    ends = find_range(flat, bits, "mmse")
    if ends == (0.0, 0.0):
        assert not flat.any()
        return
    error = range_error(flat, ends, bits) * (1 - 1e-9)
    assert error <= range_error(flat, find_range(flat, bits, "max"), bits)
    assert error <= squared_error(flat, mmse_clip(flat, bits), bits) + 1e-12
    step, zero = asymmetric(ends, bits)
    low, high = code_range(bits)
    assert step > 0 and low <= zero <= high


def test_values_of_one_sign_gain_a_bit():
    values = np.abs(np.random.default_rng(0).normal(size=5000))
    error = range_error(values, find_range(values, 4, "mmse"), 4)
    assert error < 0.4 * float(squared_error(values, mmse_clip(values, 4), 4))


@pytest.mark.parametrize("spread", [0.0, 2.0**-52, 1e-15])
def test_paper_clip_of_values_that_are_all_but_one(spread):
    """There are no 201 bins between neighbours in float64: nothing is cut."""
    values = 3.0 * (1 + spread * np.linspace(0, 1, 9))
    assert paper_clip(values, 4) == values.max()
