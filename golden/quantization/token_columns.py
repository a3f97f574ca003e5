# SPDX-License-Identifier: Apache-2.0
"""Weights of a path that reads tokens: one column each, of which exactly one counts in every step.

So what all columns of a row have in common may as well stand in the bias: taken out of them, it
leaves a smaller range to the codes, for nothing. And the products' error is that of single columns,
weighted by how often their tokens come; there is nothing between columns to compensate.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..arithmetic import Reals
from .clipping import step_size, to_codes
from .rounding import CLIPS, Rounded, pooled


@dataclass(frozen=True, slots=True)
class TokenMoments:
    """What `rounding.Moments` is of features. shares: [columns] of all frames, each token's."""

    shares: Reals

    @classmethod
    def of(cls, tokens: np.ndarray, columns: int) -> "TokenMoments":
        """Of tokens [n]; each counts once more than it comes, as others than these will come."""
        counts = np.bincount(tokens.astype(np.int64).ravel(), minlength=columns) + 1.0
        return cls(counts / counts.sum())

    def offset(self, weights: Reals, values: Reals) -> Reals:
        """The mean of w - ŵ, [..., columns] -> [...]."""
        mean: Reals = (weights - values) @ self.shares
        return mean

    def spread(self, weights: Reals, values: Reals) -> Reals:
        """The variance of w - ŵ, [..., columns] -> [...]."""
        missing = weights - values
        spread: Reals = np.square(missing - self.offset(weights, values)[..., None]) @ self.shares
        return spread


def centred(weights: np.ndarray) -> tuple[Reals, Reals]:
    """Weights [gates, units, columns] less their rows' means, and these [gates, units]."""
    whole = weights.astype(np.float64)
    centres: Reals = whole.mean(axis=-1)
    return whole - centres[..., None], centres


def round_tokens(
    weights: Reals,
    clips: Reals,
    bits: int,
    moments: TokenMoments | None,
    *,
    refine: bool = False,
    per_row: bool = True,
) -> Rounded:
    """The nearest codes of centred weights [gates, units, columns].

    Parameters
    ----------
    clips: [gates, units].
    moments: what the products are off on average goes to the bias; None: nothing does.
    refine: other clips are tried, too, and of each row (or gate, unless per_row) that of least
        error is taken.
    """
    best = _nearest(weights, clips, bits, moments)
    if moments is None or not refine:
        return best
    least = pooled(moments.spread(weights, best.values), per_row)
    for part in CLIPS:
        trial = _nearest(weights, part * clips, bits, moments)
        error = pooled(moments.spread(weights, trial.values), per_row)
        better = error < least
        least = np.where(better, error, least)
        best = Rounded(
            np.where(better[..., None], trial.codes, best.codes),
            np.where(better, trial.step, best.step),
            np.where(better, trial.offset, best.offset),
        )
    return best


def _nearest(weights: Reals, clips: Reals, bits: int, moments: TokenMoments | None) -> Rounded:
    step = step_size(clips, bits)
    found = Rounded(to_codes(weights, step[..., None], bits), step, np.zeros(step.shape))
    if moments is None:
        return found
    return replace(found, offset=moments.offset(weights, found.values))
