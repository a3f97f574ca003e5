# SPDX-License-Identifier: Apache-2.0
"""The integer primitives of the contract (docs/arithmetic.md), on NumPy arrays.

`deltaloom.hw.parts.arithmetic` has the same names for the hardware. All functions take and return
int64 arrays (or anything NumPy turns into one) and never wrap: callers keep magnitudes below 2**62.
"""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

WIDTHS = (2, 4, 8, 16)
"""Bit widths that the hardware has for codes, of weights and activations alike."""
GOLDEN_WIDTHS = range(2, 17)
"""Bit widths that golden runs."""


def rshr(v: npt.ArrayLike, n: npt.ArrayLike) -> Ints:
    """Shift right by `n` with rounding: half goes toward plus infinity; negative `n` shifts left.

    rshr(v, n) = (v + 2**(n-1)) >> n for n > 0, v for n = 0, v << -n for n < 0.
    """
    if isinstance(n, int):  # the same, without arrays of shifts: the common case, and much faster
        value = np.asarray(v, np.int64)
        if n <= 0:
            return value << -n
        value = value + (1 << (n - 1))
        value >>= n
        return value
    value, shift = np.asarray(v, np.int64), np.asarray(n, np.int64)
    right = np.maximum(shift, 0)
    half = np.where(shift > 0, np.left_shift(1, np.maximum(shift - 1, 0)), 0)
    result: Ints = np.left_shift(np.right_shift(value + half, right), np.maximum(-shift, 0))
    return result


def sat(v: npt.ArrayLike, bits: int) -> Ints:
    """Saturate to a signed integer of `bits` bits."""
    low, high = code_range(bits)
    result: Ints = np.minimum(np.maximum(np.asarray(v, np.int64), low), high)  # np.clip is slower
    return result


def sat16(v: npt.ArrayLike) -> Ints:
    """`sat` to 16 bits, the width of states, pre-activations and outputs."""
    return sat(v, 16)


def code_range(bits: int) -> tuple[int, int]:
    """Lowest and highest signed code of `bits` bits."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def to_fixed(real: npt.ArrayLike, exponent: int) -> Ints:
    """Real values as int16 Q(exponent).(15-exponent): round half up, then saturate.

    Raises ValueError for NaN or infinity, which have no code.
    """
    values = np.asarray(real, np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a value is not finite: fixed point has no code for NaN or infinity")
    with np.errstate(over="ignore"):  # beyond all reals is beyond all codes too
        scaled = np.floor(values * 2.0 ** (15 - exponent) + 0.5)
    return np.clip(scaled, -32768, 32767).astype(np.int64)


def from_fixed(codes: npt.ArrayLike, exponent: int) -> Reals:
    """Inverse of `to_fixed` where nothing saturated: int16 Q(exponent).(15-exponent) as reals."""
    return np.asarray(codes, np.float64) * 2.0 ** (exponent - 15)


def multiplier(real: float, *, bits: int = 16, max_shift: int = 40) -> tuple[int, int]:
    """The (mult, shift) with mult * 2**-shift nearest to `real`, mult signed of `bits` bits.

    The multiplier is as large as it can be, so its relative error is at most 2**(1-bits), but for
    reals so small that `max_shift` ends its growth; there the error is at most 2**(-1-max_shift).
    Raises ValueError where `real` needs a left shift or more than `max_shift`.
    """
    if not np.isfinite(real):
        raise ValueError(f"a rescale factor of {real} is not finite")
    if real == 0:
        return 0, 0
    top = (1 << (bits - 1)) - 1
    shift = bits - 1 - int(np.ceil(np.log2(abs(real))))
    shift = min(shift, max_shift)
    if round(abs(real) * 2.0**shift) > top:
        shift -= 1
    if shift < 0:
        raise ValueError(f"a rescale factor of {real:g} is too large: at most {top} can be held")
    return round(real * 2.0**shift), shift


def exact_dtype(bound: int) -> type[np.floating]:
    """The fastest floating-point type that holds every integer up to `bound` in magnitude.

    A matrix product in it is exact where every partial sum stays within `bound`, whatever the
    order of summation. Raises OverflowError where no type does.
    """
    if bound < 2**24:
        return np.float32
    if bound < 2**53:
        return np.float64
    raise OverflowError(f"a sum may reach {bound}: exact only below 2**53")
