# SPDX-License-Identifier: Apache-2.0
"""Cycle model of datapath/rows: when a round begins, and each D-word has its turn."""

from collections import deque

from ..compiler.plan import Plan
from ..datapath.core import PASSES_AHEAD
from ..datapath.fetch.sequencer import PASS_CYCLES
from ..datapath.rows.interlock import SUMS_SETTLE, gates_settle
from ..datapath.rows.layer_table import LOOK_UP
from ..datapath.rows.stages import complete_stage
from ..parts.queue import BUFFERED_CYCLES
from .cycle_detect import DetectModel
from .cycle_parts import NEVER, PassWork
from .cycle_units import UnitsModel


class RowsModel:
    """The accumulators' schedule.

    Members
    -------
    taken: when the latest passes were taken, as many as the fetch unit may be ahead
    """

    def __init__(self, plan: Plan, detect: DetectModel, units: UnitsModel) -> None:
        self.taken: deque[int] = deque([NEVER] * PASSES_AHEAD, maxlen=PASSES_AHEAD)
        self._detect, self._units = detect, units
        self._to_queue = complete_stage(plan.config)
        self._gates_settle = gates_settle(plan.config)
        # When the sequencer has the next pass; the earliest turn of the next D-word; the last turn,
        # and the last one that completed a gate.
        self._pass, self._next = 0, 0
        self._turn, self._completed = NEVER, NEVER
        # When the encoders took the last stage's record; when the last round began to be the next.
        self._record, self._head = NEVER, NEVER
        self._stage = 0
        self._partial = False
        self._entry = self._unit_word = 0  # of the round: the next D-word's

    def start_step(self, cycle: int) -> None:
        """A step's passes are there from `cycle` on."""
        self._pass = max(self._pass, cycle)

    def begin(self, p: PassWork, issue: int, final: bool) -> None:
        """Takes a round that the fetch unit began in cycle `issue`; final: the pass's last."""
        load = max(issue + 1, self._next - 1, self._pass)
        begun = load + 1 if load < self._next else load  # there, not behind a pass that runs
        begins_stage = p.layer_start and final
        if p.step_start or self._partial:
            begun = max(begun, self._turn + SUMS_SETTLE)
        elif not begins_stage:
            begun = load
        if begins_stage:
            begun = max(begun, self._completed + self._gates_settle)
            # The stage's record is looked up once the encoders have begun the one before, and when
            # this pass is the next one.
            begun = max(begun, self._record + 1)
            if p.stage != self._stage:
                begun = max(begun, self._pass + LOOK_UP, self._head + LOOK_UP)
            self._record = max(begun + 1, self._detect.encoded) + 1
        self._stage = p.stage
        self._next = self._head = begun + 1
        self._partial = not final
        self._entry = self._unit_word = 0
        if final:
            self.taken.append(load)
            self._pass = load + PASS_CYCLES

    def take_all(self, words: int, came: int, popped: int) -> int:
        """Takes a group's D-words, each of which is its own turn; the cycle of the first.

        came: when the first came to the queue behind the drain; popped: when the last word left it
        """
        if self._next > came or popped >= came:
            came = max(self._next, came + BUFFERED_CYCLES)
        self._next = came + words
        self._turn = self._next - 1
        return came

    def take(self, p: PassWork, t: int, came: int, popped: int, final: bool) -> int:
        """Takes a word of sums, and the flushed ones in front of it; the cycle in which it does.

        came: when it came to the queue behind the drain; popped: when the word before left it
        """
        self._flush(p, t, final)
        if popped < came and self._room(p, max(self._next, came), final) == came:
            return self._have_turn(p, t, came, final)
        return self._have_turn(p, t, max(self._next, came + BUFFERED_CYCLES, popped + 1), final)

    def take_none(self, p: PassWork, t: int, final: bool) -> None:
        """Has the turns of a round for which no sums come."""
        for _ in range(p.unit_words * (p.entries - p.flush)):
            self._flush(p, t, final)
            self._have_turn(p, t, self._next, final)

    def _flush(self, p: PassWork, t: int, final: bool) -> None:
        if self._entry == 0:
            for _ in range(p.flush):
                self._have_turn(p, t, self._next, final)

    def _room(self, p: PassWork, cycle: int, final: bool) -> int:
        """The first cycle from `cycle` on in which there is room for the round's next D-word."""
        if p.last and final:
            begins = self._entry == 0
            return self._units.room(p, cycle, begins=begins, completed=self._completed)
        return cycle

    def _have_turn(self, p: PassWork, t: int, cycle: int, final: bool) -> int:
        """The next D-word has its turn, from `cycle` on; the cycle in which it has."""
        completes = p.last and final
        cycle = self._room(p, cycle, final)
        self._next, self._turn = cycle + 1, cycle
        self._entry += 1
        if completes:
            self._completed = cycle
            came, last = cycle + self._to_queue, self._unit_word + 1 == p.unit_words
            self._units.accept(p, came, begins=self._entry == 1, last=last)
        if self._entry == p.entries:
            self._entry = 0
            self._unit_word += 1
            if completes:
                self._units.run(p, t, last=self._unit_word == p.unit_words)
        return cycle
