# SPDX-License-Identifier: Apache-2.0
"""The components' cycle models put together: one step after the other."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from ...golden.arithmetic import Ints
from ..compiler.plan import Plan
from .cycle_detect import DetectModel
from .cycle_fetch import FetchModel
from .cycle_parts import FIRST_PASS, NEVER, PassWork
from .cycle_rows import RowsModel
from .cycle_units import UnitsModel

Events = Mapping[str, Sequence[int] | Ints | Sequence[Ints]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Cycles of an accelerator.

    Members
    -------
    ends: cycle in which each frame's last output leaves [steps]; in cycle 0 the first frame's first
        word is taken
    beats: cycles in which the array works, exactly
    drained: D-words that the rows have, of which some are of a part of a list only
    """

    ends: tuple[int, ...]
    beats: int
    drained: int

    @property
    def cycles_per_step(self) -> float:
        """Mean cycles per frame."""
        return self.ends[-1] / len(self.ends)


class Machine:
    """The components' models: cycles from the first word of the first frame on."""

    def __init__(
        self, plan: Plan, fired: Mapping[str, Sequence[int | Ints]], starts: Container[int]
    ) -> None:
        self._program = [PassWork(p, plan.config, first=n == 0) for n, p in enumerate(plan.passes)]
        self._detect = DetectModel(plan, fired)
        self._units = UnitsModel(plan, self._detect)
        self._rows = RowsModel(plan, self._detect, self._units)
        self._fetch = FetchModel(plan, self._detect, self._rows, starts)

    @property
    def beats(self) -> int:
        """Cycles in which the array has worked."""
        return self._fetch.beats

    @property
    def drained(self) -> int:
        """D-words that the rows have had."""
        return self._fetch.drained

    def step(self, t: int) -> int:
        """One step: its frame, and its passes one after the other; when its last output leaves."""
        ready = self._detect.frame(t) + FIRST_PASS
        self._fetch.start_step(ready)
        self._rows.start_step(ready)
        released = NEVER
        for p in self._program:
            self._fetch.run(p, t)
            if p.frames and p.release:
                released = max(released, self._fetch.through)
        self._detect.end_step(released=released, finished=self._rows.taken[-1])
        return self._units.output
