# SPDX-License-Identifier: Apache-2.0
"""How many cycles a network takes on an accelerator, from its events alone and without simulation.

A recurrence over the program's passes, with the latencies of the components: when each group of
rows has its last beat, when its sums are taken into M, when the units leave the cell unit, and when
their events can be read. What golden does not tell is which elements fire: events are taken to be
spread evenly over their source. The weight store answers as block RAM does, and both streams are
always ready. Several encoders are taken to keep up with the cell units.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil

import numpy as np
import numpy.typing as npt

from ...golden.arithmetic import Ints
from ...golden.errors import UserError
from ...golden.models.network import Network
from ..compiler.plan import INPUT, passes, plan_paths, plan_stages
from ..config import AcceleratorConfig
from ..datapath.core import PASSES_AHEAD, drain_queue_words
from ..datapath.detect.encoder import recovery
from ..datapath.fetch.weight_store import store_latency
from ..datapath.lanes.array import array_latency
from ..datapath.rows.accumulate import QUEUE_WORDS
from ..datapath.units.outputs import output_words
from ..datapath.units.unit import unit_latency
from ..parts.arithmetic import SMALL_STAGE_BITS, rescale_latency
from .cycle_parts import (
    ASK,
    BUFFERED,
    CREDIT,
    FETCH,
    LOOK_UP,
    NEXT_PASS,
    SETTLE,
    ListTimes,
    PassWork,
    check_covered,
)

Events = Mapping[str, Sequence[int] | Ints | Sequence[Ints]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """ends: cycle in which each frame's last output leaves [steps]; in cycle 0 the first frame's
    first word is taken. beats: cycles in which the array works, exactly.
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
    """Cycles of sequences that follow each other without a pause.

    events: of each sequence, by path name, the fired deltas per step [steps], as
    `golden.engine.Result.events` has them; or, where they are known, the indices of the elements
    that fired in each step, in rising order.

    Raises UserError for what it does not cover: a sequence buffer, and lanes that take terms.
    """
    check_covered(config)
    lengths = [len(next(iter(each.values()))) for each in events]
    steps = sum(lengths)
    if not steps:
        raise UserError("events: there are no steps, a cycle count needs at least one")
    fired = {name: [e for each in events for e in each[name]] for name, _ in network.paths()}
    machine = _Machine(network, config, fired, {0, *accumulate(lengths)})
    for t in range(steps):
        machine.step(t)
    return Estimate(ends=tuple(machine.ends), beats=machine.beats)


def dense_events(network: Network, steps: int) -> dict[str, Ints]:
    """The events of a sequence in whose steps every element changes."""
    dense = {name: np.full(steps, path.columns) for name, path in network.paths()}
    for name, path in network.paths():
        if path.source == "h":
            dense[name][:1] = 0
    return dense


class _Machine:
    """The components' clocks: cycles from the first word of the first frame on."""

    def __init__(
        self,
        network: Network,
        config: AcceleratorConfig,
        fired: Mapping[str, Sequence[int | Ints]],
        starts: set[int],
    ) -> None:
        self._config, self._fired, self._starts = config, fired, starts
        self._inputs = network.inputs
        stages = plan_stages(network)
        self._last_stage = len(stages) - 1
        self._units = [network.layers[stage.layer].units for stage in stages]
        self._program = [
            PassWork(item, config, len(item.plan.stage.gates), first=n == 0)
            for n, item in enumerate(passes(network, config))
        ]
        made: dict[int, list[tuple[int, str, int, bool]]] = {}
        for plan in {plan.list: plan for plan in plan_paths(network, config)}.values():
            writes = (plan.list, plan.name, plan.path.columns, plan.path.source == "h")
            made.setdefault(plan.producer, []).append(writes)
        self._made = made
        self._latencies()

        self.ends: list[int] = []
        self.beats = 0
        self._lists: dict[tuple[int, int], ListTimes] = {}
        # Frames: of the last one, its last word; per step, when its banks are free again.
        self._frame_word = -1
        self._released: list[int] = []
        self._tags: deque[int] = deque(maxlen=4)
        # Sequencer: when the next pass is there for either receiver; when the rows took passes.
        self._fetch_pass = self._row_pass = 0
        self._jobs: deque[int] = deque([-2] * PASSES_AHEAD, maxlen=PASSES_AHEAD)
        # Fetch unit: when the last pass was taken and was through.
        self._take = self._through = self._end = -1
        self._rounds: list[tuple[int, int]] = []  # of the pass before: (set, through)
        self._drain = 0
        # Behind the drain: D-words up to now, and when the latest ones were popped.
        kept = self._spare + 1 + (CREDIT - 1) * config.group_words(config.digit_bits)
        self._popped: deque[int] = deque([-CREDIT] * kept, maxlen=kept)
        self._ends: deque[tuple[int, int]] = deque([(-CREDIT, 0)] * (CREDIT - 1), maxlen=CREDIT - 1)
        self._wide = 0
        # Accumulators: earliest next issue; last issue; last one for the cell unit.
        self._next, self._issued, self._completed = 0, -SETTLE, -100
        self._partial = False
        self._context = self._head = -2
        self._stage = 0
        # Cell unit: when words were accepted; when the last unit-word began, and its cycles.
        self._accepted: deque[int] = deque([-3] * QUEUE_WORDS, maxlen=QUEUE_WORDS)
        self._load, self._runs = -100, 0
        self._left: list[int] = []  # of the stage's unit-words, their first h
        self._merged: dict[int, int] = {}
        self._encoded = -1
        self._output = -1
        self._outputs: deque[int] = deque([-9] * self._output_words, maxlen=self._output_words)

    def _latencies(self) -> None:
        config = self._config
        rescale = rescale_latency(
            config.sum_bits, *config.shifts, stage_bits=SMALL_STAGE_BITS, rounds=False, plain=True
        )
        self._recovery = recovery(config.quantizer_shifts, config.delta_modes)
        store = store_latency(config.weight_words)
        # From a group's last event to its first D-word at the queue.
        self._front = FETCH + store + array_latency(config.weight_bits)
        self._to_queue = 3 + rescale + 2
        # From a unit-word that begins to run to its first h, and between two layers.
        self._to_h = unit_latency(config.cells) - 1
        self._gap = max(self._recovery, self._to_h)
        group_words = config.group_words(config.digit_bits)
        self._spare = drain_queue_words(config) - 3 * group_words
        self._output_words = max(1, output_words(config) // config.unit_word - 1)

    def step(self, t: int) -> None:
        """One step: its frame, and its passes one after the other."""
        self._frame(t)
        released = -1
        for p in self._program:
            self._fetch(p, t)
            if p.frames and p.release:
                released = max(released, self._through)
        self._tags.append(self._jobs[-1])
        self._released.append(released)
        self.ends.append(self._output)

    def _frame(self, t: int) -> None:
        start = self._frame_word + self._recovery + 1 if t else 0
        free = self._released[t - 2] + 4 if t > 1 else 0
        if len(self._tags) == self._tags.maxlen:
            start = max(start, self._tags[0] + 3)
        elements = self._config.input_elements
        if elements == 1:
            start = max(start, free)
        words = ceil(self._inputs / elements)
        self._frame_word = start + words - 1
        first = start + np.arange(words)
        for n, name, columns, _ in self._made[INPUT]:
            at = first[self._elements(name, t, columns) // elements]
            self._write(n, t, at, self._frame_word, elements, free)
        self._fetch_pass = max(self._fetch_pass, start + 2)
        self._row_pass = max(self._row_pass, start + 2)

    def _write(
        self, n: int, t: int, at: npt.NDArray[np.int64], end: int, slices: int, free: int = -1
    ) -> None:
        """A list: its events' elements came at `at`, the source's last one at `end`."""
        pushes, closed = at + self._recovery - 2, end + self._recovery - 2
        if slices > 1:
            # One event a cycle out of the slices' queues, and the list is opened before.
            order = np.arange(len(at))
            pushes = np.maximum(pushes + 1, free) - order
            pushes = np.maximum.accumulate(pushes) + order
            closed = max(closed + 2, free, int(pushes[-1]) + 1 if len(at) else 0)
        self._lists[n, t & 1] = ListTimes(pushes, closed)

    def _fetch(self, p: PassWork, t: int) -> None:
        # Handed out by the sequencer, then waiting behind the pass before.
        accepted = max(self._fetch_pass, self._take, self._jobs[0] + 2)
        self._fetch_pass = accepted + NEXT_PASS
        waits = accepted + 1
        take = max(self._through, waits)
        known = self._lists.get((p.list, (t & 1) ^ p.recurrent))
        here = known or ListTimes.EMPTY  # since reset, nothing has been written
        void = p.recurrent and t in self._starts
        found = None if known else (take + 1 - LOOK_UP, 0, True)
        # Looked up while the pass before runs, or when this one's turn has come.
        for begin, through in self._rounds if known else ():
            seen = here.seen(max(begin, waits) + 1, p.least, void)
            if seen[0] == take - 1:  # its answer comes while this one is taken, and is lost
                seen = here.seen(take, p.least, void)
            if seen[0] <= min(through + 1, take):
                found = seen
                break
        through, start = take, 0
        rounds: list[tuple[int, int]] = []
        while True:
            if found is None:
                found = here.seen(through + ASK, start + p.least, void)
            asked, count, final = found
            issue = max(take + 1, asked + LOOK_UP)
            self._round(p, issue, count - start, final)
            through = self._through
            rounds.append((issue, through))
            if final:
                break
            start, found = count, None
        self._take, self._rounds = take, rounds

    def _round(self, p: PassWork, issue: int, count: int, final: bool) -> None:
        """`count` events over all groups, from cycle `issue` on; where there are none, none is."""
        if not count:
            self._begin(p, issue, final)
            for _ in range(p.unit_words * (p.entries - p.flush)):
                self._word(p, None, final)
            self._through = issue
            return
        self.beats += count * p.groups
        end = issue - 1
        front, digits, popped, slots = self._front, p.digits, self._popped, self._config.cell_units
        straight = slots == digits == 1 and not p.flush and not (p.last and final)
        for group in range(p.groups):
            words = p.tail if group == p.groups - 1 else p.words
            # Room behind the drain, and the group before has drained.
            end = self._room(max(end + count, self._end + self._drain))
            if group == 0:
                self._begin(p, issue if count > 1 else end, final)
            self._ends.append((end, words))
            self._end, self._drain = end, words * digits
            at = end + front - 1
            if straight:  # every word follows the one before at once
                taken = at + 1
                if self._next > taken or popped[-1] >= taken:
                    taken = max(self._next, at + 1 + BUFFERED)
                self._next = taken + words
                self._issued = taken + words - 1
                popped.extend(range(taken, taken + words))
                continue
            for _ in range(words):
                at += digits
                self._wide += 1
                if self._wide == slots:
                    self._wide = 0
                    popped.append(self._word(p, at, final))
                else:
                    popped.append(at if popped[-1] < at else max(at + BUFFERED, popped[-1] + 1))
        self._through = end

    def _room(self, end: int) -> int:
        """The first cycle from `end` on in which a group may end, for the room behind the drain."""
        if self._popped[-1 - self._spare] + CREDIT <= end:
            return end
        # The credits of the latest groups are not yet taken: the sooner, the less it needs.
        for cycle in range(end, end + CREDIT):
            late = sum(words for at, words in self._ends if at > cycle - CREDIT)
            room = self._popped[-1 - self._spare - late] + CREDIT
            if room <= cycle:
                return cycle
        return room

    def _begin(self, p: PassWork, issue: int, final: bool) -> None:
        """The accumulators take a round that the fetch unit began in cycle `issue`."""
        load = max(issue + 1, self._next - 1, self._row_pass)
        begun = load + 1 if load < self._next else load  # there, not behind a pass that runs
        if p.step_start or self._partial:
            begun = max(begun, self._issued + SETTLE)
        elif not (p.layer_start and final):
            begun = load
        if p.layer_start and final:
            begun = max(begun, self._completed + self._to_queue + 1)
            # The layer's record is looked up once the encoders have begun the one before, and when
            # this pass is the next one.
            begun = max(begun, self._context + 1)
            if p.stage != self._stage:
                begun = max(begun, self._row_pass + 2, self._head + 2)
            self._context = max(begun + 1, self._encoded) + 1
        self._stage = p.stage
        self._next = self._head = begun + 1
        self._partial = not final
        self._entry, self._unit_word = 0, 0
        if final:
            self._jobs.append(load)
            self._row_pass = load + NEXT_PASS

    def _word(self, p: PassWork, came: int | None, final: bool) -> int:
        """Takes a word of sums, and the flushed ones in front of it; the cycle in which it does.

        came: when it came to the queue; None: it needs no sums.
        """
        if self._entry == 0:
            for _ in range(p.flush):
                self._issue(p, self._next, final)
        if came is None:
            return self._issue(p, self._next, final)
        if self._popped[-1] < came and self._may_issue(p, max(self._next, came), final) == came:
            return self._issue(p, came, final)
        return self._issue(p, max(self._next, came + BUFFERED, self._popped[-1] + 1), final)

    def _may_issue(self, p: PassWork, cycle: int, final: bool) -> int:
        """The first cycle from `cycle` on in which there is room for the pass's next word."""
        if p.last and final:
            # Room is known a cycle late, so there must be some for the word before, too.
            if self._completed < cycle - 1 or self._accepted[0] + 3 > cycle:
                cycle = max(cycle, self._accepted[1] + 3)
            if self._entry == 0 and p.stage == self._last_stage:
                cycle = max(cycle, self._outputs[0] + 4)
        return cycle

    def _issue(self, p: PassWork, cycle: int, final: bool) -> int:
        last = p.last and final
        cycle = self._may_issue(p, cycle, final)
        self._next, self._issued = cycle + 1, cycle
        self._entry += 1
        if last:
            self._completed = cycle
            accepted = cycle + self._to_queue
            free = self._load if self._entry == 1 else 0
            if accepted < free or accepted <= self._accepted[-1]:
                accepted = max(accepted + BUFFERED, free, self._accepted[-1] + 1)
            self._accepted.append(accepted)
        if self._entry == p.entries:
            self._entry = 0
            self._unit_word += 1
            if last:
                self._run(p, self._accepted[-1])
        return cycle

    def _run(self, p: PassWork, accepted: int) -> None:
        """A unit-word is complete, and runs through its cell."""
        config = self._config
        load = max(accepted + 1, self._load + self._runs)
        if not self._left:
            load = max(load, self._load + self._runs + self._gap - 1)
        ends = self._unit_word == p.unit_words
        units = p.tail_units if ends else config.unit_word
        self._load, self._runs = load, ceil(units / config.cell_units)
        first = load + self._to_h
        self._left.append(first)
        if p.stage == self._last_stage:
            beats = ceil(units / config.output_elements)
            each = config.cell_units // config.output_elements
            self._output = max(self._output + beats, first + BUFFERED + self._runs + each - 2)
            self._outputs.append(self._output)
        if ends and p.layer_end:
            self._encode(p.stage, first + self._runs - 1)

    def _encode(self, stage: int, end: int) -> None:
        """The events of a stage whose last units left in cycle `end`."""
        config, left = self._config, np.array(self._left)
        t = len(self.ends)
        self._encoded = end + self._recovery - 1
        for n, name, columns, recurrent in self._made.get(stage, []):
            unit = self._elements(name, t + recurrent, columns)
            at = left[unit // config.unit_word] + unit % config.unit_word // config.cell_units
            self._write(n, t, at, end, config.cell_units)
        self._left = []

    def _elements(self, name: str, t: int, columns: int) -> npt.NDArray[np.int64]:
        """Which elements of a path's source fire in a step: spread evenly where it is not known."""
        fired = self._fired[name][t] if t < len(self._fired[name]) else 0
        if isinstance(fired, np.ndarray):
            return fired
        return (2 * np.arange(int(fired)) + 1) * columns // (2 * max(int(fired), 1))
