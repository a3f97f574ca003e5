# SPDX-License-Identifier: Apache-2.0
"""Tables over all 65,536 inputs: error, order, symmetry and range."""

import numpy as np
import pytest

from deltaloom.golden import activations

P = np.arange(-32768, 32768)
X = P / 4096
REAL = {"sigmoid": 1 / (1 + np.exp(-X)), "tanh": np.tanh(X)}

both = pytest.mark.parametrize("name", ["sigmoid", "tanh"])


def table(name):
    return getattr(activations, name)()


@both
def test_error_is_at_most_two_lsb(name):
    inside = np.abs(P) < 32768 - (1 << activations.FRACTION_BITS)
    error = np.abs(table(name)(P) - REAL[name] * 32768)
    assert error[inside].max() <= 2
    assert error.max() <= {"sigmoid": 11, "tanh": 2}[name]


def test_a_gate_that_saturates_is_all_or_nothing():
    """To a unit of Q0.15, where it would be 11 by the function at 8."""
    values = activations.sigmoid()(np.array([32767, -32768]))
    assert values.tolist() == [32767, 1]


@both
def test_monotone(name):
    assert (np.diff(table(name)(P)) >= 0).all()


def test_tanh_is_odd():
    values = activations.tanh()(P)
    np.testing.assert_array_equal(values[1:], -values[1:][::-1])


def test_sigmoid_complements_itself():
    values = activations.sigmoid()(P)
    np.testing.assert_array_equal(values[1:] + values[1:][::-1], 32768)


@both
def test_the_two_ends_agree(name):
    """-32768 has no positive twin: it takes 32767's."""
    first, second = table(name)(P[:2])
    assert first == second


@pytest.mark.parametrize(
    ("name", "lowest", "zero", "highest"),
    [("sigmoid", 1, 16384, 32767), ("tanh", -32767, 0, 32767)],
)
def test_range_is_int16(name, lowest, zero, highest):
    values = table(name)(P)
    assert (values[0], values[32768], values[-1]) == (lowest, zero, highest)


@both
def test_segment_starts_are_the_rounded_function(name):
    left = np.arange(0, 32768, 1 << activations.FRACTION_BITS)
    expected = np.minimum(np.floor(REAL[name][32768 + left] * 32768 + 0.5), 32767)
    np.testing.assert_array_equal(table(name)(left), expected)


@both
def test_tables_fit_their_words_and_cannot_change(name):
    found = table(name)
    assert found.start.shape == found.slope.shape == (activations.SEGMENTS,)
    assert found.start.min() >= 0 and found.start.max() <= 32767
    assert found.slope.min() >= 0 and found.slope.max() < 1 << activations.SLOPE_BITS
    with pytest.raises(ValueError, match="read-only"):
        found.start[0] = 1


@both
def test_shape_is_kept(name):
    assert table(name)(P.reshape(256, 16, 16)).shape == (256, 16, 16)
    assert table(name)(np.int64(5)).shape == ()


@pytest.mark.parametrize(
    ("function", "takes", "gives", "most"),  # a chord of cos is 2**-13 below its arc
    [(np.cos, 12, 15, 5.1), (np.exp, 15, 13, 1.1), (np.square, 12, 9, 1.1), (np.sinh, 15, 14, 1.1)],
)
def test_a_curve_is_its_function_but_for_the_chords_and_an_lsb(function, takes, gives, most):
    found = activations.curve(function, takes, gives)(P)
    assert np.abs(found - function(P * 2.0**-takes) * 2.0**gives).max() <= most


def test_a_curve_saturates_and_meets_its_words_at_segment_starts():
    found = activations.curve(np.exp, 12, 12)
    left = np.arange(-32768, 32768, 1 << activations.CURVE_FRACTION_BITS)
    expected = np.clip(np.floor(np.exp(left / 4096) * 4096 + 0.5), -32768, 32767)
    np.testing.assert_array_equal(found(left), expected)
    assert (np.diff(found(P)) >= 0).all() and found(P).max() == 32767


@pytest.mark.parametrize("function", [np.log, np.reciprocal])
def test_a_curve_must_be_finite(function):
    with pytest.raises(ValueError, match="not finite"), np.errstate(all="ignore"):
        activations.curve(function, 12, 15)
