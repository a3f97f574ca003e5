# SPDX-License-Identifier: Apache-2.0
"""Evaluations by genome, from the log or the workers; their number and the front so far."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..golden.arithmetic import Reals
from .genes import Levels, Space
from .goals import Box, Goals, nondominated
from .log import Key, Log
from .problem import THIN, Values
from .work import Work
from .workers import Workers


class BudgetSpentError(Exception):
    """No evaluation is left; what was found is in `Evaluations`."""


@dataclass(frozen=True, slots=True)
class Solution:
    """A genome and what was measured of it."""

    levels: Levels
    values: Values


@dataclass(frozen=True, slots=True)
class Mark:
    """The hypervolume after so many evaluations."""

    evaluations: float
    hypervolume: float


Show = Callable[["Evaluations"], None]


class Evaluations:
    """What a method asks; the same whatever the number of workers, and however often it is resumed.

    Parameters
    ----------
    budget: evaluations; thin ones count as their part.
    work: of the genome `space.tops`.
    show: called after each result.

    Members
    -------
    full, thin: solutions by genome, in the order in which they were asked for.
    marks: hypervolume over evaluations; none before `box` is set.
    spent: evaluations that were asked for, those of the log, too.
    under_way: of those that are asked for now, how many are there.
    measured: results of any kind that came from the workers.
    show: as given; it may be changed.
    """

    def __init__(
        self,
        space: Space,
        goals: Goals,
        workers: Workers,
        log: Log,
        budget: float,
        work: Work,
        show: Show = lambda evaluations: None,
    ) -> None:
        self.space, self.goals, self.budget, self.work = space, goals, budget, work
        self.full: dict[Levels, Solution] = {}
        self.thin: dict[Levels, Solution] = {}
        self.marks: list[Mark] = []
        self.spent = self.under_way = 0.0
        self.box: Box | None = None
        self.measured = 0
        self._workers, self._log, self.show = workers, log, show
        self._front: list[Solution] = []

    def measure(self, genomes: Iterable[Levels], *, thin: bool = False) -> list[Solution]:
        """A solution for each genome, in order.

        Raises BudgetSpentError where there is no evaluation left for one; those that fit the
        budget are in `full` or `thin` then.
        """
        wanted = [tuple(int(level) for level in levels) for levels in genomes]
        known = self.thin if thin else self.full
        cost = 1 / THIN if thin else 1.0
        room = int((self.budget - self.spent) / cost + 1e-9)
        new = [levels for levels in dict.fromkeys(wanted) if levels not in known]
        for levels, values in zip(new[:room], self._values(new[:room], thin), strict=True):
            self.spent += cost
            known[levels] = solution = Solution(levels, values)
            if not thin:
                self._count(solution)
        if len(new) > room:
            raise BudgetSpentError
        return [known[levels] for levels in wanted]

    @property
    def left(self) -> float:
        """Evaluations that may still be asked for."""
        return self.budget - self.spent

    @property
    def front(self) -> list[Solution]:
        """Solutions within the limits that no other beats, by the first objective."""
        vector = self.goals.vector
        return sorted(self._front, key=lambda one: (*vector(one.values), one.levels))

    @property
    def hypervolume(self) -> float:
        """Of the front, as part of the box; 0 before there is one."""
        return 0.0 if self.box is None else self.box.hypervolume(self.vectors(self._front))

    def vectors(self, solutions: Sequence[Solution]) -> Reals:
        """Objectives [n, objectives], less is better."""
        rows = [self.goals.vector(one.values) for one in solutions]
        return np.array(rows).reshape(len(rows), len(self.goals.objectives))

    def set_box(self, low: Reals, high: Reals) -> None:
        """Measure hypervolume between these from now on."""
        self.box = Box(low, high)
        self.marks.append(Mark(self.spent, self.hypervolume))

    def _values(self, genomes: Sequence[Levels], thin: bool) -> list[Values]:
        keys: list[Key] = [(self.space.choice(levels).key, thin) for levels in genomes]
        missing = [n for n, key in enumerate(keys) if self._log.get(key) is None]
        jobs = [(self.space.choice(genomes[n]), thin) for n in missing]
        for place, values in self._workers.run(jobs):
            self._log.add(keys[missing[place]], values)
            self.measured += 1
            self.under_way += 1 / THIN if thin else 1.0
            self.show(self)
        self.under_way = 0.0
        found = [self._log.get(key) for key in keys]
        return [values for values in found if values is not None]

    def _count(self, solution: Solution) -> None:
        """Take a solution into the front, if it belongs there."""
        if self.goals.violation(solution.values) == 0:
            both = [*self._front, solution]
            good = nondominated(self.vectors(both))
            if good[-1]:
                self._front = [one for one, keep in zip(both, good, strict=True) if keep]
        if self.box is not None:
            self.marks.append(Mark(self.spent, self.hypervolume))
