# SPDX-License-Identifier: Apache-2.0
"""Functions in fixed point, from int16 to int16: one table each for golden and RTL.

Sigmoid and tanh, from Q3.12 to Q0.15: the magnitude of the input picks one of 512 segments over
[0, 8) and a 6-bit fraction within it; the value is the segment's start plus slope * fraction,
rounded. Negative inputs follow from symmetry: tanh(-x) = -tanh(x), sigmoid(-x) = 1 - sigmoid(x).

Any other function, between any formats: 512 segments over all int16 words, a 7-bit fraction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from .arithmetic import Ints, Reals, rshr, to_fixed

SEGMENTS = 512
FRACTION_BITS = 6
SLOPE_BITS = 10
CURVE_FRACTION_BITS = 7
CURVE_SLOPE_BITS = 17


@dataclass(frozen=True)
class Table:
    """One activation as start values and slopes.

    start: [512] int, Q0.15 at each segment's left end, 0..32767.
    slope: [512] int, the rise over the segment in Q0.15, 0..1023.
    complement: whether f(-x) is 1 - f(x) (sigmoid) instead of -f(x) (tanh).
    """

    start: Ints
    slope: Ints
    complement: bool

    def __call__(self, p: Ints) -> Ints:
        """f(p) for p in Q3.12 (int16 range), in Q0.15."""
        result: Ints = self.words[np.asarray(p, np.int64)]
        return result

    @cached_property
    def words(self) -> Ints:
        """[65536] f of every word, those from -32768 to -1 at the end, where NumPy finds them."""
        p = np.roll(np.arange(-32768, 32768), 32768)
        magnitude = np.minimum(np.abs(p), 32767)
        segment = magnitude >> FRACTION_BITS
        fraction = magnitude & ((1 << FRACTION_BITS) - 1)
        positive = self.start[segment] + rshr(self.slope[segment] * fraction, FRACTION_BITS)
        mirrored = (32768 if self.complement else 0) - positive
        result: Ints = np.where(p < 0, mirrored, positive)
        return result


@dataclass(frozen=True)
class Curve:
    """Any function as start values and slopes over all words from -32768 to 32767.

    start: [512] int16, at each segment's left end. slope: [512] int, the rise over the segment,
        -65535..65535. The segment is the word's upper 9 bits, as an unsigned number.
    """

    start: Ints
    slope: Ints

    def __call__(self, p: Ints) -> Ints:
        """f(p) for int16 words."""
        result: Ints = self.words[np.asarray(p, np.int64)]
        return result

    @cached_property
    def words(self) -> Ints:
        """[65536] f of every word, negative ones at the end, where NumPy finds them."""
        segment, fraction = np.divmod(np.arange(1 << 16), 1 << CURVE_FRACTION_BITS)
        return self.start[segment] + rshr(self.slope[segment] * fraction, CURVE_FRACTION_BITS)


def curve(function: Callable[[Reals], Reals], takes: int, gives: int) -> Curve:
    """A function of reals, from words with `takes` fraction bits to saturated ones with `gives`.

    Raises ValueError where it is NaN or infinite at the end of a segment; the last is at 32768.
    """
    ends = np.arange(-32768, 32769, 1 << CURVE_FRACTION_BITS)
    reals: Reals = ends * np.float64(2.0**-takes)
    values = to_fixed(function(reals), 15 - gives)
    half = SEGMENTS // 2
    start, slope = np.roll(values[:-1], half), np.roll(np.diff(values), half)
    start.flags.writeable = slope.flags.writeable = False
    return Curve(start, slope)


@cache
def sigmoid() -> Table:
    """1 / (1 + exp(-x)); the last segment rises to 1, as the last word stands for all beyond 8."""
    return _table(lambda x: 1 / (1 + np.exp(-x)), complement=True)


@cache
def tanh() -> Table:
    """The hyperbolic tangent."""
    return _table(np.tanh, complement=False)


def _table(function: Callable[[Reals], Reals], *, complement: bool) -> Table:
    ends = np.linspace(0.0, 8.0, SEGMENTS + 1)
    values = np.minimum(np.floor(function(ends) * 32768 + 0.5), 32767).astype(np.int64)
    # A gate that saturates means "all" or "nothing": 1 - sigmoid(8) would make it forget.
    values[-1] = 32767
    slope = np.diff(values)
    assert slope.min() >= 0 and slope.max() < 1 << SLOPE_BITS
    table = Table(values[:-1], slope, complement)
    table.start.flags.writeable = table.slope.flags.writeable = False
    return table
