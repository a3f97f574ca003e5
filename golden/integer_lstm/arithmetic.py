# SPDX-License-Identifier: Apache-2.0
"""The integer primitives of docs/integer-lstm.md: those of gemmlowp and LiteRT, on NumPy arrays.

They are not the contract of docs/arithmetic.md: halves round away from zero, a rescaling rounds
twice, and what has 32 or 16 bits wraps where it says so. All take and return int64 arrays.
"""

import math

import numpy as np
import numpy.typing as npt

from ..arithmetic import Ints

HIGH31 = (1 << 31) - 1
HIGH15 = (1 << 15) - 1
MOST = 2.0**40
"""Beyond all integers that reals are rounded to."""


def wrap32(v: npt.ArrayLike) -> Ints:
    """The low 32 bits, signed, as a C int32 that overflows on every machine in use."""
    result: Ints = np.asarray(v, np.int64).astype(np.int32).astype(np.int64)
    return result


def wrap16(v: npt.ArrayLike) -> Ints:
    """The low 16 bits, signed."""
    result: Ints = np.asarray(v, np.int64).astype(np.int16).astype(np.int64)
    return result


def clamp(v: npt.ArrayLike, low: int, high: int) -> Ints:
    """Within low..high."""
    result: Ints = np.minimum(np.maximum(np.asarray(v, np.int64), low), high)
    return result


def clamp16(v: npt.ArrayLike) -> Ints:
    """Within int16."""
    return clamp(v, -HIGH15 - 1, HIGH15)


def clamp8(v: npt.ArrayLike) -> Ints:
    """Within int8."""
    return clamp(v, -128, 127)


def away_from_zero(real: npt.ArrayLike, most: int) -> Ints:
    """Reals to the nearest integers, halves away from zero, within -most..most."""
    wide = np.asarray(real).astype(np.float64)
    return clamp(np.trunc(np.clip(wide, -MOST, MOST) + np.copysign(0.5, wide)), -most, most)


def divide(v: npt.ArrayLike, by: int) -> Ints:
    """v / by toward zero, as C divides; `by` is above 0."""
    value = np.asarray(v, np.int64)
    result: Ints = np.sign(value) * (np.abs(value) // by)
    return result


def rounded_shift(v: npt.ArrayLike, n: npt.ArrayLike) -> Ints:
    """v / 2**n to the nearest integer, halves away from zero; n 0..62, one or of v's shape.

    gemmlowp's RoundingDivideByPOT.
    """
    value, shift = np.asarray(v, np.int64), np.asarray(n, np.int64)
    half = (np.int64(1) << shift) >> 1
    away = (value >> 63) * (shift > 0)  # a half below zero is left to go down
    result: Ints = (value + half + away) >> shift
    return result


def high_product(a: npt.ArrayLike, b: npt.ArrayLike, bits: int = 32) -> Ints:
    """a * b / 2**(bits - 1) to the nearest, halves up, of two signed integers of `bits` bits.

    gemmlowp's SaturatingRoundingDoublingHighMul: -1 times -1 gives the largest value.
    """
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    result: Ints = (product + (1 << (bits - 2))) >> (bits - 1)
    return np.minimum(result, (1 << (bits - 1)) - 1)


def rescale(v: npt.ArrayLike, mult: npt.ArrayLike, shift: npt.ArrayLike) -> Ints:
    """v * mult * 2**(shift - 31), rounded twice; v and the result int32, mult of Q0.31.

    A positive shift is done first and wraps, a negative one is done last and rounds again: LiteRT's
    MultiplyByQuantizedMultiplier without TFLITE_SINGLE_ROUNDING, which is how it is shipped.
    """
    s = np.asarray(shift, np.int64)
    value = np.asarray(v, np.int64)
    if (s > 0).any():
        value = wrap32(value << np.maximum(s, 0))
    return rounded_shift(high_product(value, mult), np.maximum(-s, 0))


def quantized_multiplier(real: float) -> tuple[int, int]:
    """(mult, shift) with mult * 2**(shift - 31) nearest to `real`; mult has 31 bits and a sign.

    Below 2**-32 both are 0. LiteRT's QuantizeMultiplier.
    """
    if not math.isfinite(real):
        raise ValueError(f"a rescale factor of {real} is not finite")
    part, shift = math.frexp(real)
    mult = math.floor(abs(part) * (1 << 31) + 0.5)
    if mult == 1 << 31:
        mult, shift = mult // 2, shift + 1
    if shift < -31:
        mult, shift = 0, 0
    return (-mult if real < 0 else mult), shift
