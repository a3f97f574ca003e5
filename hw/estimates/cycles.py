# SPDX-License-Identifier: Apache-2.0
"""How many cycles a network takes on an accelerator, from its events alone and without simulation.

A recurrence over the program's passes, with the latencies of the components: when each group of
rows has its last beat, when its sums are taken into M, when the units leave the cell unit, and when
their events can be read. What golden does not tell is which elements fire: events are taken to be
spread evenly over their source. The weight store answers as block RAM does, and both streams are
always ready. Several encoders are taken to keep up with the cell units.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from ...golden.arithmetic import Ints
from ...golden.errors import UserError
from ...golden.models.network import Network
from ..compiler.plan import Plan
from ..config import AcceleratorConfig
from .cycle_detect import DetectModel
from .cycle_fetch import FetchModel
from .cycle_parts import FIRST_PASS, NEVER, PassWork, check_covered
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
    """

    ends: tuple[int, ...]
    beats: int

    @property
    def cycles_per_step(self) -> float:
        """Mean cycles per frame."""
        return self.ends[-1] / len(self.ends)


def estimate_cycles(
    network: Network, config: AcceleratorConfig, events: Sequence[Events]
) -> Estimate:
    """Cycles of sequences that follow each other without a pause; see `estimate_plan`."""
    return estimate_plan(Plan.of(network, config), events)


def estimate_plan(plan: Plan, events: Sequence[Events]) -> Estimate:
    """Cycles of sequences that follow each other without a pause, on a network's plan.

    Parameters
    ----------
    events: of each sequence, by path name, the fired deltas per step [steps], as
        `golden.engines.engine.Result.events` has them; or, where they are known, the indices of the
        elements that fired in each step, in rising order

    Raises UserError for what it does not cover: a sequence buffer, and lanes that take terms.
    """
    check_covered(plan.config)
    lengths = [len(next(iter(each.values()))) for each in events]
    steps = sum(lengths)
    if not steps:
        raise UserError("events: there are no steps, a cycle count needs at least one")
    fired = {name: [e for each in events for e in each[name]] for name, _ in plan.network.paths()}
    machine = _Machine(plan, fired, {0, *accumulate(lengths)})
    ends = [machine.step(t) for t in range(steps)]
    return Estimate(ends=tuple(ends), beats=machine.beats)


def dense_events(network: Network, steps: int) -> dict[str, Ints]:
    """The events of a sequence in whose steps every element changes."""
    dense = {name: np.full(steps, path.columns) for name, path in network.paths()}
    for name, path in network.paths():
        if path.source == "h":
            dense[name][:1] = 0
    return dense


class _Machine:
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
