# SPDX-License-Identifier: Apache-2.0
"""Cycle model of datapath/units: unit-words through their cells, to the encoders and out."""

from collections import deque
from math import ceil

from ..cells.catalogue import CELLS
from ..compiler.plan import Plan
from ..compiler.stages import Stage
from ..datapath.rows.accumulate import QUEUE_WORDS
from ..datapath.turns.means import means_cycles
from ..datapath.turns.turns import AGAIN
from ..datapath.units.collect import COLLECT_CYCLES
from ..datapath.units.outputs import output_words
from ..datapath.units.unit import state_distance, unit_latency
from ..parts.queue import BUFFERED_CYCLES
from .cycle_detect import DetectModel
from .cycle_norm import NormModel
from .cycle_parts import NEVER, OUTPUT_ROOM, QUEUE_ROOM, PassWork


class UnitsModel:
    """The queue to the cell unit, the layer normalisation, the cell unit, and the output stream.

    Members
    -------
    output: when the last output up to now has left
    """

    def __init__(self, plan: Plan, detect: DetectModel) -> None:
        config = plan.config
        self._plan = plan
        self.output = -1  # none leaves before cycle 0
        self._config = config
        self._detect = detect
        self._last_stage = len(plan.stages) - 1
        # From a unit-word's last word to where it begins to run, and from there to its first h;
        # between two stages.
        self._to_load = COLLECT_CYCLES - 1
        self._to_h = unit_latency(config.cells) - self._to_load
        self._gap = max(detect.recovery, state_distance(config.cells))
        # The stages whose gates are normalised; unit-words of one that are not yet through with it.
        self._norm = NormModel(plan)
        self._normalised = {s.index for s in plan.stages if "norm" in CELLS[s.cell].READS}
        self._gathered: list[tuple[PassWork, bool]] = []
        # When the latest words for the cell unit were accepted, and those of the unit-word.
        self._accepted: deque[int] = deque([NEVER] * QUEUE_WORDS, maxlen=QUEUE_WORDS)
        # When the last unit-word began to run; when the units of the next one may, if it is of the
        # same stage; the first h of the stage's unit-words.
        self._load = self._free = NEVER
        self._left: list[int] = []
        # The units of unit-words that have gone through a cell, and will again.
        self._kept: list[int] = []
        # When the outputs of the latest unit-words had left, for as many as there is room.
        room = max(1, output_words(config) // config.unit_word - 1)
        self._outputs: deque[int] = deque([NEVER] * room, maxlen=room)

    def room(self, p: PassWork, cycle: int, *, begins: bool, completed: int) -> int:
        """The first cycle from `cycle` on in which there is room for a D-word's result.

        begins: it is the first of a unit-word; completed: when the one before it had its turn
        """
        # Room is known a cycle late, so there must be some for the word before, too.
        if completed < cycle - 1 or self._accepted[0] + QUEUE_ROOM > cycle:
            cycle = max(cycle, self._accepted[1] + QUEUE_ROOM)
        if begins and p.stage == self._last_stage:
            # Of those that are gathered or kept the room is taken, and the outputs are to come.
            ahead = len(self._gathered) + len(self._kept)
            cycle = max(cycle, self._outputs[ahead] + OUTPUT_ROOM)
        return cycle

    def accept(self, p: PassWork, came: int, *, begins: bool, last: bool) -> None:
        """A word has come to the queue.

        begins: it is the first of its unit-word; last: that is its pass's last
        """
        if p.stage in self._normalised:
            units = self._units(p, last)
            self._accepted.append(self._norm.take(came, self._accepted[-1], units))
            return
        free = max(self._load if begins else 0, self._norm.free)
        if came < free or came <= self._accepted[-1]:
            came = max(came + BUFFERED_CYCLES, free, self._accepted[-1] + 1)
        self._accepted.append(came)

    def run(self, p: PassWork, t: int, *, last: bool) -> None:
        """A unit-word is complete, and runs through its cell; last: it is the pass's last."""
        if p.stage not in self._normalised:
            self._run(p, t, self._accepted[-1], last=last)
            return
        self._gathered.append((p, last))
        if not (last and p.layer_end):
            return
        words = iter([(n, *one) for one in self._gathered for n in range(p.entries)])
        self._gathered = []

        def accept(there: int) -> int:
            n, work, is_last = next(words)
            if n == 0:
                there = max(there, self._load)
            if n == p.entries - 1:
                self._run(work, t, there, last=is_last)
            return there

        self._norm.give(p.stage, accept)

    def _units(self, p: PassWork, last: bool) -> int:
        """Of a unit-word."""
        return p.tail_units if last else self._config.unit_word

    def _run(self, p: PassWork, t: int, accepted: int, *, last: bool) -> None:
        """A unit-word runs, whose last word the cell unit has accepted."""
        units = self._units(p, last)
        load = max(accepted + self._to_load, self._free)
        if not (self._left or self._kept):
            load = max(load, self._free + self._gap - 1)
        self._load, self._free = load, load + self._cycles(units)
        stage = self._plan.stages[p.stage]
        if CELLS[stage.cell].TURNS:
            self._kept.append(units)
            if last and p.layer_end:
                self._take_turns(p, stage)
        else:
            self._leave(p, load, units)
        if last and p.layer_end:
            self._norm.left = self._left[-1] + self._cycles(units) - 1
            self._detect.encode(p.stage, t, self._left, self._norm.left)
            self._left = []

    def _take_turns(self, p: PassWork, stage: Stage) -> None:
        """A stage's units go through the cell again, in turn after turn, and leave in the last."""
        width = self._config.cell_units
        cycles = [self._cycles(units) for units in self._kept]
        for turn in range(len(CELLS[stage.cell].TURNS)):
            last = self._free - 1
            first = last + means_cycles(stage.cell, turn, sum(self._kept), width) + AGAIN
            self._free = first + sum(cycles)
        load = self._free - sum(cycles)
        kept, self._kept = self._kept, []
        for units in kept:
            self._leave(p, load, units)
            load += self._cycles(units)

    def _leave(self, p: PassWork, load: int, units: int) -> None:
        """A unit-word's units leave, which began to run in cycle `load`."""
        config = self._config
        first = load + self._to_h
        self._left.append(first)
        if p.stage == self._last_stage:
            beats = ceil(units / config.output_elements)
            # Units come as fast as beats leave, or faster.
            self.output = max(self.output, first + BUFFERED_CYCLES - 1) + beats
            self._outputs.append(self.output)

    def _cycles(self, units: int) -> int:
        """In which so many units go into their cell."""
        return ceil(units / self._config.cell_units)
