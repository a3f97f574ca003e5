# SPDX-License-Identifier: Apache-2.0
"""gemmlowp's sigmoid and tanh over all inputs: their errors, symmetry, ends; the vectors and LiteRT
itself (test_vectors.py, test_litert.py) say that they are equal in every bit.
"""

import numpy as np
import pytest

from deltaloom.golden import activations as own
from deltaloom.golden.integer_lstm.activations import (
    MOST_INTEGER_BITS,
    sigmoid,
    sigmoid_table,
    tanh,
    tanh_table,
)

ALL = np.arange(-32768, 32768)


def test_errors_are_those_of_the_page():
    error = sigmoid(ALL) - 32768 / (1 + np.exp(-ALL / 4096))
    assert np.abs(error).max() == pytest.approx(6.39, abs=0.01)
    assert error.mean() == pytest.approx(-0.5, abs=0.001)
    error = tanh(ALL) - 32768 * np.tanh(ALL / 4096)
    assert np.abs(error).max() == pytest.approx(11.79, abs=0.01)


def test_the_contract_s_tables_are_others_and_closer():
    """So an exact mode needs tables of its own."""
    assert np.count_nonzero(own.sigmoid()(ALL) != sigmoid(ALL)) == 56_885
    assert np.count_nonzero(own.tanh()(ALL) != tanh(ALL)) == 41_500


@pytest.mark.parametrize("bits", range(MOST_INTEGER_BITS + 1))
def test_tanh_of_every_format(bits):
    table = tanh_table(bits)
    # The multipliers' 16 bits and the three Newton steps: some units, whatever the format.
    assert np.abs(table - 32768 * np.tanh(ALL * 2.0 ** (bits - 15))).max() < 13
    assert table[32768] == 0
    np.testing.assert_array_equal(table[1:32768], -table[:32768:-1])


def test_sigmoid_is_symmetric_about_a_half():
    table = sigmoid_table()
    assert table[32768] == 16384
    np.testing.assert_array_equal(table[1:32768], 32767 - table[:32768:-1])
    assert (table[0], table[-1]) == (11, 32756)


def test_tables_are_made_once_and_not_changed():
    assert tanh_table(3) is tanh_table(3)
    with pytest.raises(ValueError, match="read-only"):
        sigmoid_table()[0] = 1
