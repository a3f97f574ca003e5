# SPDX-License-Identifier: Apache-2.0
"""Where to clip values before uniform quantization.

A clip of `a` makes the step between symmetric codes a / (2**(bits-1) - 1). The rules, by name:

- "mmse": the least squared error of 100 clips, on the values themselves;
- "paper": the same by a histogram of 201 bins and 99 clips, as in "Shrink and Eliminate" (Rezk et
  al. 2022) after outlier channel splitting (Zhao et al. 2019);
- "percentile:P": P percent of the magnitudes are not cut, 0 < P <= 100;
- "max": nothing is cut.
"""

import numpy as np
import numpy.typing as npt

from ..arithmetic import Ints, Reals, code_range
from ..errors import UserError

CLIPPINGS = ("mmse", "paper", "max", "percentile:P")
CANDIDATES = np.arange(1, 101) / 100
"""Clips that are tried, as parts of the largest magnitude."""
BINS = 201
PERCENTILE = "percentile:"


def check_clipping(what: str, rule: str) -> None:
    """Raise UserError unless `rule` is one of the rules."""
    if rule not in CLIPPINGS[:-1] and not 0 < _percent(rule) <= 100:
        raise UserError(
            f"{what}: {rule!r} is not possible, it must be one of {', '.join(CLIPPINGS)}, "
            "such as percentile:99.9"
        )


def step_size(clip: npt.ArrayLike, bits: int) -> Reals:
    """The real value of one code for this clip; 0 where the clip is 0."""
    return np.asarray(clip, np.float64) / code_range(bits)[1]


def to_codes(values: npt.ArrayLike, step: npt.ArrayLike, bits: int) -> Ints:
    """Nearest codes (ties to even), saturated; zeros where the step is 0."""
    return _codes(values, step, bits).astype(np.int64)


def squared_error(values: npt.ArrayLike, clip: npt.ArrayLike, bits: int) -> Reals:
    """Sum over the last axis of the squared error of quantizing with this clip [..., 1]."""
    step = step_size(clip, bits)
    values = np.asarray(values, np.float64)
    error: Reals = np.square(_codes(values, step, bits) * step - values).sum(axis=-1)
    return error


def find_clip(values: npt.ArrayLike, bits: int, rule: str) -> Reals:
    """The clip of each row by one of the rules, [..., n] -> [...]."""
    values = np.asarray(values, np.float64)
    if rule == "mmse":
        return mmse_clip(values, bits)
    if rule == "paper":
        rows = values.reshape(-1, values.shape[-1])
        return np.array([paper_clip(row, bits) for row in rows]).reshape(values.shape[:-1])
    if rule == "max" or not values.size:
        return max_clip(values)
    clip: Reals = np.percentile(np.abs(values), _percent(rule), axis=-1)
    return clip


def max_clip(values: npt.ArrayLike) -> Reals:
    """The largest magnitude along the last axis."""
    largest: Reals = np.abs(np.asarray(values, np.float64)).max(axis=-1, initial=0.0)
    return largest


def mmse_clip(values: npt.ArrayLike, bits: int) -> Reals:
    """The candidate of least squared error per row, [..., n] -> [...]; the largest wins ties."""
    values = np.asarray(values, np.float64)
    largest = max_clip(values)
    best, least = largest.copy(), squared_error(values, largest[..., None], bits)
    for part in CANDIDATES[-2::-1]:
        error = squared_error(values, part * largest[..., None], bits)
        better = error < least
        best, least = np.where(better, part * largest, best), np.where(better, error, least)
    return best


def paper_clip(values: npt.ArrayLike, bits: int) -> float:
    """The clip of one tensor of any shape, exactly as the paper's code finds it.

    A histogram of 201 bins over [min, max] stands for the values; of the clips a = 0.01 .. 0.99
    times the largest magnitude, the first of least cost: the sum over bins of their share times
    (|b| - a)**2 beyond a and (b - Q(b))**2 within. A tensor without a spread is not cut.
    """
    flat = np.asarray(values, np.float64).reshape(-1)
    largest = float(max_clip(flat))
    spread = float(flat.max() - flat.min()) if flat.size else 0.0
    if spread <= 2 * BINS * np.spacing(largest):  # float64 has no such bins
        return largest
    count, edges = np.histogram(flat, bins=BINS)
    middle = (edges[:-1] + edges[1:]) / 2
    clips = CANDIDATES[:-1, None] * largest
    step = step_size(clips, bits)
    rounded = np.rint(np.clip(middle, -clips, clips) / step) * step
    cost = (count * np.square(rounded - middle)).sum(axis=1)
    return float(clips[np.argmin(cost), 0])


def find_range(values: npt.ArrayLike, bits: int, rule: str) -> tuple[float, float]:
    """(lowest, highest) real value that asymmetric codes of [n] values should reach, by a rule.

    0 is always within. "mmse" tries the candidates as parts of the whole range, and the symmetric
    codes of `mmse_clip`, too: it is never worse than these.
    """
    values = np.asarray(values, np.float64)
    if rule == "paper":
        raise UserError(
            "activation codes: 'asymmetric' is not possible with 'paper' clipping, which is "
            "symmetric; use mmse, max or percentile:P"
        )
    low, high = min(float(values.min(initial=0)), 0.0), max(float(values.max(initial=0)), 0.0)
    if low == high:
        return low, high
    if rule == "max":
        return low, high
    if rule != "mmse":
        share = _percent(rule)
        below, above = np.percentile(values, [100 - share, share])
        return min(float(below), 0.0), max(float(above), 0.0)
    symmetric = float(step_size(mmse_clip(values, bits), bits))
    tried = [(part * low, part * high) for part in CANDIDATES[::-1]]
    bottom, top = code_range(bits)
    tried.append((bottom * symmetric, top * symmetric))
    return min(tried, key=lambda ends: range_error(values, ends, bits))


def asymmetric(ends: tuple[float, float], bits: int) -> tuple[float, int]:
    """(step, zero point) of codes that reach from ends[0] <= 0 to ends[1] >= 0, not both 0.

    0 has a code of its own, the zero point, so the ends move by half a step at most.
    """
    bottom, top = code_range(bits)
    step = (ends[1] - ends[0]) / (top - bottom)
    zero = int(np.clip(np.rint(bottom - ends[0] / step), bottom, top))
    return step, zero


def range_error(values: npt.ArrayLike, ends: tuple[float, float], bits: int) -> float:
    """Sum of the squared error of quantizing with asymmetric codes that reach these ends."""
    step, zero = asymmetric(ends, bits)
    values = np.asarray(values, np.float64)
    codes = np.clip(np.rint(values / step) + zero, *code_range(bits))
    return float(np.square((codes - zero) * step - values).sum())


def _percent(rule: str) -> float:
    """P of "percentile:P", NaN for anything else."""
    if not rule.startswith(PERCENTILE):
        return float("nan")
    try:
        return float(rule.removeprefix(PERCENTILE))
    except ValueError:
        return float("nan")


def _codes(values: npt.ArrayLike, step: npt.ArrayLike, bits: int) -> Reals:
    step = np.asarray(step, np.float64)
    scaled = np.asarray(values, np.float64) / np.where(step > 0, step, np.inf)
    return np.clip(np.rint(scaled), *code_range(bits))
