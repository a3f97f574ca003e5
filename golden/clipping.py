# SPDX-License-Identifier: Apache-2.0
"""Where to clip a tensor before symmetric linear quantization.

A clip of `a` makes the step between codes a / (2**(bits-1) - 1). "max" clips at the largest
magnitude, so nothing is cut; "mmse" cuts the tails where that lowers the mean squared error.
"""

import numpy as np
import numpy.typing as npt

from .arithmetic import Ints, Reals, code_range

CLIPPINGS = ("mmse", "max")
CANDIDATES = np.arange(1, 101) / 100
"""Clips that are tried, as parts of the largest magnitude."""
BINS = 201


def step_size(clip: npt.ArrayLike, bits: int) -> Reals:
    """The real value of one code for this clip; 0 where the clip is 0."""
    return np.asarray(clip, np.float64) / code_range(bits)[1]


def to_codes(values: npt.ArrayLike, step: npt.ArrayLike, bits: int) -> Ints:
    """Nearest codes (ties to even), saturated; zeros where the step is 0."""
    step = np.asarray(step, np.float64)
    scaled = np.asarray(values, np.float64) / np.where(step > 0, step, np.inf)
    return np.clip(np.rint(scaled), *code_range(bits)).astype(np.int64)


def squared_error(values: npt.ArrayLike, clip: npt.ArrayLike, bits: int) -> Reals:
    """Sum over the last axis of the squared error of quantizing with this clip [..., 1]."""
    step = step_size(clip, bits)
    values = np.asarray(values, np.float64)
    error: Reals = np.square(to_codes(values, step, bits) * step - values).sum(axis=-1)
    return error


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


def mmse_clip_histogram(values: npt.ArrayLike, bits: int) -> float:
    """The same for one tensor of any shape as paper and reference code do it, by a histogram.

    201 bins over [min, max] stand for the values; candidates are 0.01 .. 0.99 of the largest
    magnitude (outlier channel splitting, Zhao et al. 2019). Where not clipping at all has less
    squared error on the tensor itself, it is kept: the result is never worse than "max".
    """
    flat = np.asarray(values, np.float64).reshape(-1)
    largest = float(max_clip(flat))
    if largest == 0 or flat.min() == flat.max():
        return largest
    count, edges = np.histogram(flat, bins=BINS)
    middle = (edges[:-1] + edges[1:]) / 2
    costs = []
    for part in CANDIDATES[:-1]:
        step = step_size(part * largest, bits)
        inside = np.clip(middle, -part * largest, part * largest)
        costs.append(float((count * np.square(np.rint(inside / step) * step - middle)).sum()))
    clip = float(CANDIDATES[int(np.argmin(costs))]) * largest
    keep = squared_error(flat, largest, bits) <= squared_error(flat, clip, bits)
    return largest if keep else clip
