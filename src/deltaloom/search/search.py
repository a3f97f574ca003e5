# SPDX-License-Identifier: Apache-2.0
"""The search: a method, its evaluations, and what it found."""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from ..golden.errors import UserError
from ..golden.evaluation.networks import N
from .beacons import BEACON, Beacons, WithBeacons
from .evaluations import BudgetSpentError, Evaluations, Mark, Show, Solution
from .genes import Space
from .goals import Goals
from .log import Log, Warn
from .methods import find_method
from .problem import AnyProblem, Bench
from .work import Work
from .workers import Workers

BUDGET = 630
"""Evaluations: 40 and 59 generations of 10, as in the MOHAQ paper's code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """A search and its result.

    Members
    -------
    method, seed: of the search.
    space, goals: what it varied, and for what.
    front: solutions that no other beats, by the first objective.
    solutions: all full ones, in the order in which they were asked for.
    alone: thin solutions with one gene changed; none where the method needs none.
    marks: hypervolume over evaluations.
    evaluations: that were asked for; thin ones count as their part.
    measured: evaluations of any kind that this run did itself; the others were in the log.
    float_error: of the float model; NaN where nothing is scored.
    """

    method: str
    seed: int
    space: Space
    goals: Goals
    front: tuple[Solution, ...]
    solutions: tuple[Solution, ...]
    alone: tuple[Solution, ...]
    marks: tuple[Mark, ...]
    evaluations: float
    measured: int
    float_error: float

    @property
    def hypervolume(self) -> float:
        """At the end."""
        return self.marks[-1].hypervolume if self.marks else 0.0

    @property
    def knee(self) -> int:
        """Place in the front of the solution that is farthest below the line between its ends.

        Objectives count as parts of the front's range.
        """
        rows = np.array([self.goals.vector(one.values) for one in self.front])
        span = np.ptp(rows, axis=0)
        unit = (rows - rows.min(axis=0)) / np.where(span > 0, span, 1.0)
        return int(unit.sum(axis=1).argmin())


def search(
    problem: AnyProblem,
    space: Space,
    goals: Goals,
    workers: Callable[[AnyProblem, Bench], Workers],
    *,
    method: str = "sensitivity",
    evaluations: int = BUDGET,
    seed: int = 1,
    log: Path | None = None,
    beacons: Beacons | None = None,
    warn: Warn = lambda line: None,
    show: Show = lambda found: None,
) -> Search:
    """Search; the result depends on nothing but the problem, the method and the seed.

    Parameters
    ----------
    problem: with the values that `goals` name.
    space: what varies.
    goals: objectives and limits.
    workers: makes who evaluates, from the problem and this process's bench.
    method: of `methods.METHODS`.
    evaluations: budget; the two corners of the space are among them.
    seed: of all that is random.
    log: JSON lines of all evaluations; those that it has are not measured again, unless their
        beacon is gone.
    beacons: of the problem, that candidates are judged by, too.
    warn: called with a line about damage in the log.
    show: called after each evaluation.
    """
    run = find_method(method)
    if evaluations < 2:
        raise UserError(f"evaluations: {evaluations} is not possible, it must be at least 2")
    bench = Bench(problem)
    top = bench.quantize(space.choice(space.tops))
    crew = workers(problem, bench)
    if beacons is None:
        known = Log(log, problem.digest, warn)
    else:
        known = Log(log, problem.digest, warn, beacons.serve)
        crew = WithBeacons(crew, bench, beacons)
    with crew:
        found = Evaluations(
            space, goals, crew, known, evaluations, Work.of(top, problem.paths), show
        )
        float_error = bench.float_error()
        _measure_corners(found, float_error)
        with suppress(BudgetSpentError):
            run(found, np.random.default_rng(seed))
    if not found.front:
        raise UserError(_none_found(found))
    alone = [one for one in found.thin.values() if _changed(space, one) <= 1]
    return Search(
        method=method,
        seed=seed,
        space=space,
        goals=goals,
        front=tuple(found.front),
        solutions=tuple(found.full.values()),
        alone=tuple(alone),
        marks=tuple(found.marks),
        evaluations=found.spent,
        measured=found.measured,
        float_error=float_error,
    )


def _measure_corners(found: Evaluations, float_error: float) -> None:
    """Measure the most exact genome and the cheapest; hypervolume is between their values.

    Of an error from the float model's on, up to its limit, where it has one.
    """
    space, goals = found.space, found.goals
    ends = found.vectors(found.measure([space.tops, space.bottoms]))
    low, high = ends.min(axis=0), ends.max(axis=0)
    for n, one in enumerate(goals.objectives):
        if one.name == "error" and not math.isnan(float_error):
            low[n] = min(low[n], float_error)
        if one.name in goals.limits:
            limit = one.sign * goals.limits[one.name]
            high[n] = limit if limit > low[n] else high[n]
    found.set_box(low, high)


def _none_found(found: Evaluations) -> str:
    """The line for a search without a front: the solution nearest to the limits, and the limits."""
    violation = found.goals.violation
    best = min(found.full.values(), key=lambda one: violation(one.values))
    rules = [
        f"{name} {best.values[name]:.4g} of {limit:g}" for name, limit in found.goals.limits.items()
    ]
    if found.goals.board:
        rules.append(f"{found.goals.board}'s use {1 + best.values['board']:.0%}")
    nearest = ", ".join(rules)
    return (
        f"limits: none of {len(found.full)} candidates is within them, the nearest has {nearest}; "
        "allow more"
    )


def _changed(space: Space, one: Solution) -> int:
    return sum(a != b for a, b in zip(one.levels, space.tops, strict=True))


def network_of(
    problem: AnyProblem[N], space: Space, one: Solution, beacons: Beacons | None = None
) -> N:
    """The network that a solution stands for, with its thresholds.

    beacons: of the search. Raises UserError where the solution's is not there.
    """
    choice = space.choice(one.levels)
    number = int(one.values.get(BEACON, -1))
    if number < 0:
        return choice.with_thresholds(Bench(problem).quantize(choice))
    if beacons is None:
        raise UserError(f"beacons: the solution is by beacon {number}; give those of its search")
    return choice.with_thresholds(cast(N, beacons[number].bench.quantize(choice)))
