# SPDX-License-Identifier: Apache-2.0
"""Cycle model of datapath/fetch and datapath/lanes: rounds over lists, and groups that drain."""

from collections import deque
from collections.abc import Container

from ..compiler.plan import Plan
from ..datapath.core import drain_queue_words
from ..datapath.fetch.reader import REQUEST_CYCLES
from ..datapath.fetch.sequencer import PASS_CYCLES
from ..datapath.lanes.array import array_latency
from ..parts.queue import BUFFERED_CYCLES
from .cycle_detect import DetectModel
from .cycle_parts import ASK, CREDIT, LOOK_UP, NEVER, PASS_ROOM, ListTimes, PassWork
from .cycle_rows import RowsModel
from .cycle_store import store_model


class FetchModel:
    """The fetch unit, the array behind it, and the queue behind the drain.

    Members
    -------
    beats: cycles in which the array has worked
    drained: D-words that the rows have had, those of the rounds before a pass's last one, too
    through: when the last event of the pass before had its turn
    """

    def __init__(
        self, plan: Plan, detect: DetectModel, rows: RowsModel, starts: Container[int]
    ) -> None:
        config = plan.config
        self.beats = 0
        self.drained = 0
        self.through = NEVER
        self._detect, self._rows = detect, rows
        self._starts = starts
        self._units = config.cell_units
        # From a group's last event to its first D-word at the queue.
        self._store = store_model(config)
        self._front = REQUEST_CYCLES + array_latency(config.weight_bits)
        self._asked = self._store.of(0)
        # When the sequencer has the next pass; when the last one was taken; its rounds as (set,
        # through).
        self._pass, self._take = 0, NEVER
        self._rounds: list[tuple[int, int]] = []
        # When the last group ended, and how long it drains; its like, with their D-words.
        self._end, self._drain = NEVER, 0
        self._ends: deque[tuple[int, int]] = deque([(NEVER, 0)] * (CREDIT - 1), maxlen=CREDIT - 1)
        # When the latest D-words left the queue; those of the row of units that is not complete.
        group_words = config.group_words(config.digit_bits)
        self._spare = drain_queue_words(config) - 3 * group_words
        kept = self._spare + 1 + (CREDIT - 1) * group_words
        self._popped: deque[int] = deque([NEVER] * kept, maxlen=kept)
        self._wide = 0

    def start_step(self, cycle: int) -> None:
        """A step's passes are there from `cycle` on."""
        self._pass = max(self._pass, cycle)

    def run(self, p: PassWork, t: int) -> None:
        """A pass of step t: its rounds one after the other."""
        # Handed out by the sequencer, then waiting behind the pass before.
        accepted = max(self._pass, self._take, self._rows.taken[0] + PASS_ROOM)
        self._pass = accepted + PASS_CYCLES
        waits = accepted + 1
        take = max(self.through, waits)
        known = self._detect.bank_of(p.list, (t & 1) ^ p.recurrent)
        events = known or ListTimes.EMPTY
        void = p.recurrent and t in self._starts
        if known is None:
            found: tuple[int, int, bool] | None = (take + 1 - LOOK_UP, 0, True)
        else:
            found = self._look_up(events, p.least, void, waits, take)
        through, start = take, 0
        rounds: list[tuple[int, int]] = []
        while True:
            if found is None:
                found = events.seen(through + ASK, start + p.least, void)
            asked, count, final = found
            issue = max(take + 1, asked + LOOK_UP)
            self._round(p, t, issue, count - start, final)
            through = self.through
            rounds.append((issue, through))
            if final:
                break
            start, found = count, None
        self._take, self._rounds = take, rounds

    def _look_up(
        self, events: ListTimes, least: int, void: bool, waits: int, take: int
    ) -> tuple[int, int, bool] | None:
        """A list's state, asked for while the pass before runs, or when this one's turn has come;
        None where it is not known by then."""
        for begin, through in self._rounds:
            seen = events.seen(max(begin, waits) + 1, least, void)
            if seen[0] == take - 1:  # its answer comes while this one is taken, and is lost
                seen = events.seen(take, least, void)
            if seen[0] <= min(through + 1, take):
                return seen
        return None

    def _round(self, p: PassWork, t: int, issue: int, count: int, final: bool) -> None:
        """`count` events over all groups, from cycle `issue` on; where there are none, none is."""
        if count or final:
            self.drained += (p.groups - 1) * p.words + p.tail
        if not count:
            self._rows.begin(p, issue, final)
            self._rows.take_none(p, t, final)
            self.through = issue
            return
        self.beats += count * p.groups
        end = issue - 1
        straight = self._units == p.digits == 1 and not p.flush and not (p.last and final)
        for group in range(p.groups):
            words = p.tail if group == p.groups - 1 else p.words
            store = self._store.of(p.weight_base + group * p.columns)
            front = self._front + store.latency
            # Room behind the drain, the group before has drained, the store has had its words.
            apart = 1 if store.waits is None else store.waits + self._drain
            apart = max(apart, store.busy(count, p.columns) if store.ahead else 0)
            if store is not self._asked:  # what is open there is answered first
                apart, self._asked = max(apart, count + self._asked.handover), store
            end = self._room(max(end + count, self._end + apart))
            if group == 0:
                self._rows.begin(p, issue if count > 1 else end, final)
            self._ends.append((end, words))
            self._end, self._drain = end, words * p.digits
            if straight:  # every word follows the one before at once
                taken = self._rows.take_all(words, end + front, self._popped[-1])
                self._popped.extend(range(taken, taken + words))
            else:
                self._drain_words(p, t, end + front - 1, words, final)
        self.through = max(issue + count * p.groups - 1, end - store.ahead)

    def _drain_words(self, p: PassWork, t: int, at: int, words: int, final: bool) -> None:
        """The D-words of a group leave the queue, which they come to after cycle `at`."""
        popped = self._popped
        for _ in range(words):
            at += p.digits
            self._wide += 1
            if self._wide == self._units:
                self._wide = 0
                popped.append(self._rows.take(p, t, at, popped[-1], final))
            else:
                popped.append(at if popped[-1] < at else max(at + BUFFERED_CYCLES, popped[-1] + 1))

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
