# SPDX-License-Identifier: Apache-2.0
"""Rounding weights to codes: to the nearest, or so that a path's outputs change least.

The second is GPTQ (Frantar et al. 2023): with H = E[x̂ x̂ᵀ] of what really enters the product, the
columns are rounded one after the other, and each one's error is made good by those still to come,
through the Cholesky factor of the inverse of H. Here it is tried with several steps per row,
coordinate descent and a refit of the step follow, and the mean of the error moves to the bias.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..arithmetic import Ints, Reals, code_range, to_fixed
from ..models.layers import Quantizer
from .clipping import step_size, to_codes

DAMPING = 0.01
"""Of H, as a part of its mean diagonal."""
CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 1.15)
"""Clips that are tried, as parts of the given ones."""
SWEEPS = 2
"""Of coordinate descent over all columns, each followed by a refit of the steps."""
BLOCK = 32
"""Columns whose errors are carried to the rest together."""


@dataclass(frozen=True, slots=True)
class Rounded:
    """Weights as codes [gates, units, columns] times step [gates, units].

    offset: [gates, units], what the bias must gain for the products to be right on average.
    """

    codes: Ints
    step: Reals
    offset: Reals

    @property
    def values(self) -> Reals:
        """The weights that the codes stand for."""
        values: Reals = self.codes * self.step[..., None]
        return values


@dataclass(frozen=True, slots=True)
class Moments:
    """Means and covariances [columns, columns] of inputs x and of what their codes stand for, x̂."""

    x: Reals
    sent: Reals
    x_x: Reals
    x_sent: Reals
    sent_sent: Reals

    @classmethod
    def of(cls, x: np.ndarray, sent: np.ndarray) -> "Moments":
        """Of frames x and x̂, [n, columns] both."""
        x, sent = x.astype(np.float64), sent.astype(np.float64)
        own, other = x - x.mean(axis=0), sent - sent.mean(axis=0)
        pairs = ((own, own), (own, other), (other, other))
        return cls(x.mean(axis=0), sent.mean(axis=0), *(a.T @ b / len(x) for a, b in pairs))

    def offset(self, weights: Reals, values: Reals) -> Reals:
        """The mean of w x - ŵ x̂, [..., columns] -> [...]."""
        mean: Reals = weights @ self.x - values @ self.sent
        return mean

    def error(self, weights: Reals, rounded: Rounded) -> Reals:
        """The mean of (w x - ŵ x̂ - offset)**2 of each row, [gates, units]."""
        values = rounded.values
        missing = self.offset(weights, values) - rounded.offset
        error: Reals = self.spread(weights, values) + np.square(missing)
        return error

    def spread(self, weights: Reals, values: Reals) -> Reals:
        """The variance of w x - ŵ x̂, [..., columns] -> [...]."""
        spread = (weights @ self.x_x * weights).sum(axis=-1)
        spread -= 2 * (weights @ self.x_sent * values).sum(axis=-1)
        spread += (values @ self.sent_sent * values).sum(axis=-1)
        result: Reals = np.maximum(spread, 0)  # which the rounding of sums may take below 0
        return result


def moments_of(frames: np.ndarray, source_exponent: int, quantizer: Quantizer) -> Moments:
    """Of a source's frames [n, columns], real, and of what its codes stand for."""
    codes = quantizer(to_fixed(frames, source_exponent))
    return Moments.of(frames, (codes - quantizer.zero_point) * quantizer.scale)


def round_nearest(weights: np.ndarray, clips: Reals, bits: int) -> Rounded:
    """The nearest codes of weights [gates, units, columns] with these clips [gates, units]."""
    step = step_size(clips, bits)
    return Rounded(to_codes(weights, step[..., None], bits), step, np.zeros(step.shape))


def round_corrected(weights: np.ndarray, clips: Reals, bits: int, moments: Moments) -> Rounded:
    """The nearest codes, and what the product is off on average goes to the bias."""
    nearest = round_nearest(weights, clips, bits)
    return replace(nearest, offset=moments.offset(weights.astype(np.float64), nearest.values))


def round_gptq(
    weights: np.ndarray, clips: Reals, bits: int, moments: Moments, *, per_row: bool = True
) -> Rounded:
    """The same with the outputs' error compensated; clips are where the search begins.

    per_row: each row has a step of its own; otherwise all of a gate's are one. A row (or a gate)
    whose error, `Moments.error`, is not lowered keeps the nearest codes.
    """
    weights = weights.astype(np.float64)
    best = round_nearest(weights, clips, bits)
    if not weights.size:
        return best
    damping = DAMPING * float(np.trace(moments.sent_sent)) / weights.shape[-1]
    h = moments.sent_sent + (damping or 1.0) * np.eye(weights.shape[-1])
    order = np.argsort(-np.diag(h), kind="stable")
    factor = np.asarray(np.linalg.cholesky(np.linalg.inv(h[np.ix_(order, order)])).T, np.float64)
    least = pooled(moments.error(weights, best), per_row)

    def keep_better(step: Reals, codes: Ints) -> None:
        nonlocal best, least
        trial = Rounded(codes, step, np.zeros(step.shape))
        trial = replace(trial, offset=moments.offset(weights, trial.values))
        error = pooled(moments.error(weights, trial), per_row)
        better = error < least
        least = np.where(better, error, least)
        best = Rounded(
            np.where(better[..., None], trial.codes, best.codes),
            np.where(better, trial.step, best.step),
            np.where(better, trial.offset, best.offset),
        )

    for part in CLIPS:
        step = step_size(part * clips, bits)
        keep_better(step, _gptq(weights, step, bits, order, factor))
    for _ in range(SWEEPS):
        codes = _descend(weights, best, bits, h)
        keep_better(_refit(weights, codes, best.step, h, per_row), codes)
    return best


def pooled(values: Reals, per_row: bool) -> Reals:
    """Row values [gates, units], or in each place the sum of a gate's."""
    return values if per_row else np.broadcast_to(values.sum(axis=1, keepdims=True), values.shape)


def _columns(weights: np.ndarray) -> Reals:
    """[gates, units, columns] -> [columns, rows], in memory column by column."""
    return np.ascontiguousarray(weights.reshape(-1, weights.shape[-1]).T, np.float64)


def _gptq(weights: Reals, step: Reals, bits: int, order: Ints, factor: Reals) -> Ints:
    """GPTQ's codes; factor: the upper Cholesky factor of the inverse of H, columns in `order`."""
    rest, codes = _columns(weights[..., order]), np.empty((weights.shape[-1], step.size))
    steps, inverse = step.reshape(-1), _inverse(step)
    for start in range(0, len(rest), BLOCK):
        end = min(start + BLOCK, len(rest))
        errors = np.empty((end - start, step.size))
        for j in range(start, end):
            codes[j] = np.clip(np.rint(rest[j] * inverse), *code_range(bits))
            errors[j - start] = (rest[j] - codes[j] * steps) / factor[j, j]
            rest[j + 1 : end] -= factor[j, j + 1 : end, None] * errors[j - start]
        rest[end:] -= factor[start:end, end:].T @ errors
    result = np.empty(codes.shape, np.int64)
    result[order] = codes
    return result.T.reshape(weights.shape)


def _descend(weights: Reals, rounded: Rounded, bits: int, h: Reals) -> Ints:
    """Codes after each column in turn took its best code for the others as they are."""
    codes, steps, inverse = (
        _columns(rounded.codes),
        rounded.step.reshape(-1),
        _inverse(rounded.step),
    )
    slope = h @ (codes * steps - _columns(weights))
    for j in range(len(codes)):
        best = np.clip(np.rint(codes[j] - slope[j] * inverse / h[j, j]), *code_range(bits))
        moved = best - codes[j]
        if moved.any():
            slope += h[:, j, None] * (moved * steps)
            codes[j] = best
    return codes.T.reshape(weights.shape).astype(np.int64)


def _refit(weights: Reals, codes: Ints, step: Reals, h: Reals, per_row: bool) -> Reals:
    """The steps of least error for these codes, where there is one above 0."""
    weighted = codes @ h
    both = pooled((weighted * weights).sum(axis=-1), per_row)
    own = pooled((weighted * codes).sum(axis=-1), per_row)
    good = (both > 0) & (own > 0)
    result: Reals = np.where(good, both / np.where(good, own, 1), step)
    return result


def _inverse(step: Reals) -> Reals:
    """1 / step [rows], and 0 where the step is 0."""
    steps = step.reshape(-1)
    inverse: Reals = np.divide(1, steps, out=np.zeros(steps.shape), where=steps > 0)
    return inverse
