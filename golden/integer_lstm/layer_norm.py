# SPDX-License-Identifier: Apache-2.0
"""Layer normalisation of a gate in integers, over the cells of a layer."""

import numpy as np

from ..arithmetic import Ints
from .arithmetic import (
    HIGH31,
    clamp,
    clamp16,
    divide,
    high_product,
    rescale,
    rounded_shift,
    wrap32,
)

_LOW31 = -HIGH31 - 1
ONE_HALF_THREE = (1 << 28) + (1 << 27)
HALF_SQRT_2 = 1518500250
STEPS = 5
"""Of Newton's method, which starts at 1."""


def normalized(v: Ints, gain: Ints, bias: Ints, scale: tuple[int, int], guard: int) -> Ints:
    """(v - mean) / deviation * gain + bias over the last axis, int16 Q3.12.

    Parameters
    ----------
    v: [.., cells] int16 pre-activations, of any one scale.
    gain: [cells] int16. bias: [cells] int32, in the gain's scale / 1024.
    scale: the multiplier and shift of the gain's scale.
    guard: what stands for a variance below 1.

    Mean and deviation have ten more bits than v. 2**20 / cells is cut to an integer, so the
    variance is a little small where the cells are no power of two.
    """
    cells = v.shape[-1]
    total, squares = v.sum(axis=-1, keepdims=True), (v * v).sum(axis=-1, keepdims=True)
    mean = wrap32(divide(total * 1024, cells))
    variance = wrap32(divide(squares * ((1 << 20) // cells) - mean * mean, 1 << 20))
    mult, shift = inverse_root(np.where(variance < 1, guard, variance))
    unit = rescale(wrap32(1024 * v - mean), mult, shift)
    scaled = wrap32(unit * gain + bias)
    scaled = divide(scaled + np.where(scaled > 0, 512, -512), 1024)
    return clamp16(rescale(scaled, scale[0], scale[1] + 12))


def inverse_root(v: Ints) -> tuple[Ints, Ints]:
    """(mult, shift) of 1 / sqrt(v), v int32 of at least 1, for `rescale`.

    LiteRT's GetInvSqrtQuantizedMultiplierExp: v as Q3.28 within 1/4 and 1, then Newton's steps
    x := x (3 - v x**2) / 2.
    """
    v = np.asarray(v, np.int64)
    large = v >= 1 << 29
    start = np.where(large, v >> 2, v)
    bits = np.frexp(start.astype(np.float64))[1]  # its binary digits; exact below 2**53
    pairs = (31 - bits) // 2 - 1
    shift = 11 + large - pairs
    a = (start << (2 * pairs)) >> 1
    half = rounded_shift(a, 1)
    x = np.full_like(v, 1 << 28)
    for _ in range(STEPS):
        cube = _left(high_product(high_product(x, x), x), 6)
        x = _left(wrap32(high_product(ONE_HALF_THREE, x) - high_product(half, cube)), 3)
    mult = high_product(x, HALF_SQRT_2)
    mult = wrap32(mult << np.maximum(-shift, 0))
    one = v <= 1
    return np.where(one, HIGH31, mult), np.where(one, 0, -np.maximum(shift, 0))


def _left(v: Ints, n: int) -> Ints:
    return clamp(v << n, _LOW31, HIGH31)
