# SPDX-License-Identifier: Apache-2.0
"""Objectives and limits of a search, and the space of what is good: fronts and hypervolume."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..golden.arithmetic import Reals
from ..golden.errors import UserError
from .catalogue import find_cost

ERRORS = ("error", "nmse")
FLOAT, DENSE = "float", "thresholds 0"
"""What "nmse" may be to."""
FITS = "board"
"""The value that tells how much of a board is used, less 1."""


@dataclass(frozen=True, slots=True)
class Objective:
    """One value to be made small, or, with `more`, large."""

    name: str
    title: str
    unit: str
    more: bool = False

    @property
    def sign(self) -> float:
        """What makes less better."""
        return -1.0 if self.more else 1.0

    @property
    def label(self) -> str:
        """Title and unit."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


def find_objective(
    name: str, metric: tuple[str, str] = ("error", ""), exact: str = FLOAT
) -> Objective:
    """An objective by name; metric: title and unit of "error"; exact: what "nmse" is to."""
    if name == "error":
        return Objective(name, *metric)
    if name == "nmse":
        return Objective(name, f"NMSE to {exact}", "dB")
    cost = find_cost(name)
    return Objective(name, cost.title, cost.unit, cost.more)


@dataclass(frozen=True, slots=True)
class Goals:
    """What a search is for.

    Members
    -------
    objectives: two or three, "error" or "nmse" among them.
    limits: by name, what a value may be at most, or, where more is better, at least.
    more: names of the limited values of which more is better.
    board: name of the board that the accelerator must fit, or "".
    """

    objectives: tuple[Objective, ...]
    limits: Mapping[str, float]
    more: frozenset[str]
    board: str = ""

    @classmethod
    def of(
        cls,
        objectives: Sequence[str],
        limits: Mapping[str, float] | None = None,
        metric: tuple[str, str] = ("error", ""),
        board: str = "",
        exact: str = FLOAT,
    ) -> "Goals":
        """Goals by names; metric, exact: as in `find_objective`."""
        names = list(dict.fromkeys(objectives))
        if len(names) not in (2, 3):
            raise UserError(f"objectives: {', '.join(names) or 'none'}; give two or three")
        if not set(names) & set(ERRORS):
            raise UserError(
                f"objectives: {', '.join(names)}; one of them must be error or nmse, or the least "
                "bits would be best"
            )
        limits = dict(limits or {})
        limited = [find_objective(name, metric, exact) for name in limits]
        return cls(
            tuple(find_objective(name, metric, exact) for name in names),
            limits,
            frozenset(one.name for one in limited if one.more),
            board,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Of all values that are needed."""
        board = (FITS,) if self.board else ()
        own = (objective.name for objective in self.objectives)
        return tuple(dict.fromkeys((*own, *self.limits, *board)))

    def vector(self, values: Mapping[str, float]) -> Reals:
        """The objectives, less is better."""
        found = [objective.sign * values[objective.name] for objective in self.objectives]
        return np.array(found, np.float64)

    def violation(self, values: Mapping[str, float]) -> float:
        """By how much limits are missed, as parts of them, added up; 0: by nothing."""
        found = max(0.0, values[FITS]) if self.board else 0.0
        for name, limit in self.limits.items():
            sign = -1 if name in self.more else 1
            found += max(0.0, sign * (values[name] - limit) / (abs(limit) or 1.0))
        return found


class Valued(Protocol):
    """What has values by name."""

    @property
    def values(self) -> Mapping[str, float]: ...


def nondominated(vectors: Reals) -> np.ndarray:
    """For each row [n, objectives] whether no other is as good in all and better in one.

    Of equal rows the first stays.
    """
    order = np.lexsort(vectors.T[::-1])
    good = np.zeros(len(vectors), bool)
    if vectors.shape[1] == 2:
        lowest = np.minimum.accumulate(vectors[order, 1])
        first = np.r_[True, vectors[order[1:], 1] < lowest[:-1]] if len(order) else order
        good[order] = first
        return good
    kept = np.empty_like(vectors)
    count = 0
    for n in order:
        if not (kept[:count] <= vectors[n]).all(axis=1).any():
            kept[count], good[n] = vectors[n], True
            count += 1
    return good


@dataclass(frozen=True, slots=True)
class Box:
    """What hypervolume is measured in: from the best values, `low`, to those of no use, `high`."""

    low: Reals
    high: Reals

    def unit(self, vectors: Reals) -> Reals:
        """The same vectors where the box is 0..1; better than the best counts as the best."""
        span = np.where(self.high > self.low, self.high - self.low, 1.0)
        found: Reals = np.maximum((vectors - self.low) / span, 0.0)
        return found

    def hypervolume(self, vectors: Reals) -> float:
        """The part of the box that these vectors [n, 2 or 3] are better than."""
        rows = self.unit(np.atleast_2d(vectors)) if len(vectors) else np.zeros((0, len(self.low)))
        rows = rows[(rows < 1).all(axis=1)]
        if not len(rows):
            return 0.0
        rows = rows[nondominated(rows)]
        return _area(rows) if rows.shape[1] == 2 else _volume(rows)


def _area(rows: Reals) -> float:
    """Of the unit square, what nondominated rows are better than."""
    rows = rows[np.argsort(rows[:, 0])]
    ends = np.append(rows[1:, 0], 1.0)
    heights = 1.0 - np.minimum.accumulate(rows[:, 1])
    return math.fsum((ends - rows[:, 0]) * heights)


def _volume(rows: Reals) -> float:
    """Of the unit cube: slices along the last axis."""
    rows = rows[np.argsort(rows[:, 2])]
    ends = np.append(rows[1:, 2], 1.0)
    total = 0.0
    for n in range(len(rows)):
        depth = ends[n] - rows[n, 2]
        if depth > 0:
            flat = rows[: n + 1, :2]
            total += depth * _area(flat[nondominated(flat)])
    return total
