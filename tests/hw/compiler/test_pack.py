# SPDX-License-Identifier: Apache-2.0
"""Integers as words of memories, and weights as digits of lanes."""

import numpy as np
import pytest

from deltaloom.hw.compiler.pack import pack_words, weight_digits


def fields(word, bits, count):
    """`count` signed fields of a word, the first in the lowest bits."""
    raw = [(word >> (n * bits)) & ((1 << bits) - 1) for n in range(count)]
    return [v - (v >> (bits - 1) << bits) for v in raw]


@pytest.mark.parametrize("bits", [2, 4, 8, 16, 36])
def test_pack_words(bits):
    rng = np.random.default_rng(bits)
    values = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (6, 5))
    assert [fields(word, bits, 5) for word in pack_words(values, bits)] == values.tolist()


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_weight_digits(bits):
    """The top digit is signed and the others are not, and together they are the weight."""
    weights = np.array([-32768, 32767, -1, 0, 1, -32767, 12345, -12345])
    count = 16 // bits
    digits = weight_digits(weights, count, bits)
    assert digits.shape == (count, len(weights))
    assert (abs(2 * digits[0] + 1) < 1 << bits).all()
    assert ((digits[1:] >= 0) & (digits[1:] < 1 << bits)).all()
    powers = 1 << bits * np.arange(count - 1, -1, -1)
    np.testing.assert_array_equal(powers @ digits, weights)
