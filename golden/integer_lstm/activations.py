# SPDX-License-Identifier: Apache-2.0
"""gemmlowp's 16-bit sigmoid and tanh, as tables over all 65,536 inputs.

Fixed-point numbers are int16 here, F(k) has k integer bits and 15 - k fraction bits; sums wrap,
products round (`high_product`), shifts to the left saturate. exp is a polynomial on one quarter and
a product of constants for the rest; 1 / (1 + e) takes three Newton steps. Errors reach 6.4 units of
Q0.15 for sigmoid and 11.8 for tanh, so that golden/activations.py, which is closer, cannot replace
them where bits have to be equal.
"""

from functools import cache

import numpy as np

from ..arithmetic import Ints
from .arithmetic import HIGH15, clamp16, divide, high_product, rounded_shift, wrap16

GATE_BITS = 3
"""Integer bits of the pre-activations, Q3.12."""
MOST_INTEGER_BITS = 6
"""Of the cell states whose tanh LiteRT has."""
_ONE = HIGH15
"""1 in F(0), which ends just below."""
_EXP = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
"""exp(-2**k) in Q0.31, for k from -2 on."""


@cache
def sigmoid_table() -> Ints:
    """[65536] sigmoid in Q0.15 of the Q3.12 input n - 32768."""
    a = np.arange(-32768, 32768)
    positive = _inverse(_exp(-np.abs(a), GATE_BITS))
    table = np.where(a > 0, positive, _ONE - positive)
    table[a == 0] = 1 << 14
    return _frozen(table)


@cache
def tanh_table(integer_bits: int) -> Ints:
    """[65536] tanh in Q0.15 of the input n - 32768 with so many integer bits, 0..6."""
    a = np.arange(-32768, 32768)
    x = _newton(_exp(-np.abs(a), integer_bits + 1))  # exp of twice the value
    positive = _left(wrap16(x - (1 << 13)), 2)  # (1 - e) / (1 + e) = 2 / (1 + e) - 1
    table = np.where(a < 0, -positive, positive)
    table[a == 0] = 0
    return _frozen(table)


def sigmoid(v: Ints) -> Ints:
    """Of int16 Q3.12, in Q0.15."""
    return sigmoid_table()[v + 32768]


def tanh(v: Ints, integer_bits: int = GATE_BITS) -> Ints:
    """Of int16 with so many integer bits, in Q0.15."""
    return tanh_table(integer_bits)[v + 32768]


def _frozen(table: Ints) -> Ints:
    table.flags.writeable = False
    return table


def _product(a: Ints | int, b: Ints | int) -> Ints:
    return high_product(a, b, 16)


def _constant(q31: int) -> int:
    """A constant of 32 bits in 16."""
    return int(rounded_shift(q31, 16))


def _left(v: Ints, n: int) -> Ints:
    return clamp16(v << n)


def _exp(a: Ints, integer_bits: int) -> Ints:
    """exp(a) in F(0) of an F(integer_bits) that is not above 0."""
    fraction_bits = 15 - integer_bits
    # Of more than 13 integer bits no quarter would be left; there are at most 7.
    quarter = 1 << (fraction_bits - 2)
    low = (a & (quarter - 1)) - quarter  # the last quarter, -1/4 up to 0
    result = _exp_of_quarter(_left(low, integer_bits))
    rest = low - a
    for k, factor in enumerate(_EXP, -2):
        if k < integer_bits:
            bit = (rest >> (fraction_bits + k)) & 1
            result = np.where(bit == 1, _product(result, _constant(factor)), result)
    if integer_bits > 5:
        result = np.where(a < -(32 << fraction_bits), 0, result)
    return np.where(a == 0, _ONE, result)


def _exp_of_quarter(a: Ints) -> Ints:
    """exp(a) of an F(0) -1/4 up to 0, by its Taylor series around -1/8."""
    x = wrap16(a + (1 << 12))
    x2 = _product(x, x)
    x3 = _product(x2, x)
    x4_4 = rounded_shift(_product(x2, x2), 2)
    third = _constant(715827883)
    higher = rounded_shift(wrap16(_product(wrap16(x4_4 + x3), third) + x2), 1)
    center = _constant(1895147668)  # exp(-1/8)
    return clamp16(center + _product(center, wrap16(x + higher)))


def _newton(e: Ints) -> Ints:
    """2 / (1 + e) in F(2), of e in F(0) from 0 to 1."""
    total = e + _ONE
    half = divide(total + np.where(total >= 0, 1, -1), 2)  # (1 + e) / 2
    x = wrap16(_constant(1515870810) + _product(half, _constant(-1010580540)))  # 48/17 - 32/17 d
    for _ in range(3):
        left = wrap16((1 << 13) - _product(half, x))
        x = wrap16(x + _left(_product(x, left), 2))
    return x


def _inverse(e: Ints) -> Ints:
    """1 / (1 + e) in F(0)."""
    return _left(_newton(e), 1)
