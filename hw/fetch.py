# SPDX-License-Identifier: Apache-2.0
"""Sparse column fetch: replays an event list once per group of rows, and gets each event's weights.

For a pass over `groups` groups, event (j, d) of the list asks for weight word
weight_base + group * columns + j. A list that is still being written is followed as it grows; a
list of terms is replayed from its end on, in the order of `levels`.
"""

from itertools import pairwise
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .events import BankKey, event_layout
from .layouts import (
    COLUMN_BITS,
    EVENT_BITS,
    LIST_BITS,
    SOURCE_BITS,
    WEIGHT_BITS,
    WORD_COUNT_BITS,
    FetchPass,
    StepTag,
)
from .levels import LevelOrder, level_state, level_values
from .mac import beat_tag
from .queue import Credits, Queue
from .shift_add import Term
from .terms import TermEvent
from .weights import weight_store_signature

FetchJob = data.StructLayout({"pass": FetchPass, "step": StepTag})
"""A pass in a certain step."""

_Current = {
    "pass": FetchPass,
    "key": BankKey,
    "base": EVENT_BITS,
    "void": unsigned(1),  # a sequence's first step: the list of the step before is discarded
    "closed": unsigned(1),  # the list is final, and what follows is known
}
_Events = data.StructLayout({"count": COLUMN_BITS, "single": unsigned(1), "empty": unsigned(1)})
"""What is known of a list of events; single: at most one of them."""


class Fetch(wiring.Component):
    """One beat a cycle for the MAC array, pass after pass without a gap.

    Parameters
    ----------
    sources: how many encoders write lists
    group_words: D-words of the largest group
    queue_words: room for D-words behind the array, reserved before a group is completed; at least
        three of the largest groups
    address_bits, word_bits: of the weight store
    store_steady: its answers keep the requests' spacing; store_outstanding: requests it may hold
    levels: of the lists, where they are `TermLists`; None: they are `EventLists`

    Members
    -------
    i: passes
    query -> closed, count (one per source); release, release_key: see `EventLists`
    r_en, r_addr, r_level -> r_data (one per source); store: the weight store, seen from here
    valid, weights, tag: to the MAC array
    drained: one D-word has left the queue behind the array
    event, event_list: an event is used for the first time in its step
    macs: products that an event's first use in a pass stands for
    """

    def __init__(
        self,
        *,
        sources: int,
        delta_bits: int,
        group_words: int,
        queue_words: int,
        address_bits: int,
        word_bits: int,
        store_steady: bool,
        store_outstanding: int,
        levels: int | None = None,
    ) -> None:
        if queue_words < 3 * group_words:
            raise ValueError(
                f"queue_words must be at least three groups of {group_words}, not {queue_words!r}"
            )
        self._sources = sources
        self._levels = levels
        self._event = event_layout(delta_bits) if levels is None else TermEvent
        self._tag = beat_tag(signed(delta_bits) if levels is None else Term)
        self._group_words = group_words
        self._queue_words = queue_words
        self._steady = store_steady
        self._outstanding = store_outstanding
        store = weight_store_signature(address_bits=address_bits, word_bits=word_bits)
        super().__init__(
            {
                "i": In(stream.Signature(FetchJob)),
                "query": Out(BankKey),
                "closed": In(1).array(sources),
                "count": In(COLUMN_BITS * (levels or 1)).array(sources),
                "release": Out(1).array(sources),
                "release_key": Out(BankKey),
                "r_en": Out(1),
                "r_addr": Out(EVENT_BITS),
                "r_level": Out(range(levels or 1)),
                "r_data": In(self._event).array(sources),
                "store": In(store),
                "valid": Out(1),
                "weights": Out(word_bits),
                "tag": Out(self._tag),
                "drained": In(1),
                "event": Out(1),
                "event_list": Out(LIST_BITS),
                "macs": Out(14),
            }
        )

    i: stream.Interface
    query: data.View
    closed: list[Signal]
    count: list[Signal]
    release: list[Signal]
    release_key: data.View
    r_en: Signal
    r_addr: Signal
    r_level: Signal
    r_data: list[data.View]
    store: Any
    valid: Signal
    weights: Signal
    tag: data.View
    drained: Signal
    event: Signal
    event_list: Signal
    macs: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        known = _Events if self._levels is None else level_state(self._levels)
        layout = data.StructLayout(_Current | known.members)
        current: Any = Signal(layout, name="current")
        following: Any = Signal(layout, name="following")
        running, waiting = Signal(), Signal()
        advance, issue, end, take = Signal(), Signal(), Signal(), Signal()

        # The next pass waits here, its list already looked up when it gets its turn.
        job, tag = self.i.payload["pass"], self.i.payload.step
        bank = tag.parity ^ job.recurrent
        with m.If(~waiting | take):
            nothing = job.recurrent & tag.fresh
            nothings = self._known(m, Const(0, COLUMN_BITS * (self._levels or 1)))
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += [
                waiting.eq(self.i.valid),
                following["pass"].eq(job),
                following.key.list.eq(job.list),
                following.key.bank.eq(bank),
                following.base.eq(job.event_base + Mux(bank, job.columns, 0)),
                following.void.eq(job.recurrent & tag.first),
                following.closed.eq(nothing),
                *(following[name].eq(value) for name, value in nothings.items()),
            ]

        # Which event, of which group. What the next event is, is decided a cycle ahead, so that
        # nothing is compared on the way to `issue`. A group's last event goes out only when it is
        # known to be the last, and when the drain has room for the group's sums.
        order = LevelOrder.of(self._levels) if self._levels else None
        index = order.index if order else Signal(COLUMN_BITS)
        is_last = order.is_last if order else Signal()
        is_first, more, may_end = Signal(), Signal(), Signal()
        group_base = Signal(WEIGHT_BITS)
        groups_left = Signal(12)
        first_group, last_group = Signal(), Signal()
        words = Signal(WORD_COUNT_BITS)
        m.d.comb += [
            issue.eq(running & advance & Mux(current.closed, ~is_last | may_end, more)),
            end.eq(running & advance & current.closed & is_last & may_end),
            words.eq(Mux(last_group, current["pass"].tail_words, current["pass"].words)),
        ]
        done = (end & last_group) | ~running
        releasing = Signal()
        seen = self._look_up(m, current, following, running, waiting, take, issue, releasing)
        if order:  # a list's highest level is known when it is closed, and not before
            m.d.comb += take.eq(done & (following.closed | ~waiting))
            with m.If(end):
                order.begin(m, current)
            with m.Elif(issue):
                order.advance(m, current)
            with m.If(take):
                order.begin(m, following)
        else:
            m.d.comb += take.eq(done)
            m.d.sync += more.eq(0)
            with m.If(seen.valid & ~seen.following & ~current.closed & ~issue):
                m.d.sync += [
                    more.eq(~seen.closed & (index + 1 < seen.count)),
                    is_last.eq(index + 1 >= seen.count),
                ]
            with m.If(issue):
                m.d.sync += [index.eq(index + 1), is_last.eq(index + 2 >= current.count)]
            with m.If(end):
                m.d.sync += [index.eq(0), is_last.eq(current.single)]
            with m.If(take):
                m.d.sync += [more.eq(0), index.eq(0), is_last.eq(following.single)]
        with m.If(issue):
            m.d.sync += is_first.eq(0)
        with m.If(end):
            m.d.sync += [
                running.eq(~last_group),
                is_first.eq(1),
                group_base.eq(group_base + current["pass"].columns),
                groups_left.eq(groups_left - 1),
                first_group.eq(0),
                last_group.eq(groups_left == 2),
            ]
        with m.If(take):
            m.d.sync += [
                running.eq(waiting),
                current.eq(following),
                is_first.eq(1),
                group_base.eq(following["pass"].weight_base),
                groups_left.eq(following["pass"].groups),
                first_group.eq(1),
                last_group.eq(following["pass"].groups == 1),
            ]
        self._reserve_drain(m, end, words, current["pass"].digits, may_end)

        # Event memory, then weight memory; the beat's tag waits for the weights.
        meta_layout = data.StructLayout(
            {
                "source": unsigned(SOURCE_BITS),
                "key": BankKey,
                "release": unsigned(1),
                "empty": unsigned(1),
                "group_base": WEIGHT_BITS,
                "first": unsigned(1),
                "last": unsigned(1),
                "words": WORD_COUNT_BITS,
                "digits": unsigned(2),
                "raise": unsigned(1),
                "used": unsigned(1),  # for the first time in this pass
                "tally": unsigned(1),
                "list": unsigned(LIST_BITS),
                "rows": unsigned(14),
            }
        )
        asked: Any = Signal(meta_layout)
        reads: list[Any] = [Signal(meta_layout, name=f"read_{n}") for n in range(2)]
        got: Any = Signal(meta_layout)
        event: Any = Signal(self._event)
        valid = Signal(3 + len(reads))
        address = Signal(WEIGHT_BITS)
        beat: Any = Signal(self._tag)
        m.d.comb += self.r_en.eq(advance)
        nothing = order.nothing if order else current.closed & current.empty
        with m.If(advance):
            m.d.sync += [
                valid.eq(Cat(issue, valid[:-1])),
                self.r_addr.eq(current.base + index),
                asked.source.eq(current["pass"].source),
                asked.key.eq(current.key),
                asked.release.eq(end & last_group & current["pass"].release),
                asked.empty.eq(nothing),
                asked.group_base.eq(group_base),
                asked.first.eq(is_first),
                asked.last.eq(end),
                asked.words.eq(words),
                asked.digits.eq(current["pass"].digits),
                asked.used.eq(first_group & ~nothing),
                asked.tally.eq(current["pass"].tally),
                asked.list.eq(current["pass"].list),
                asked.rows.eq(current["pass"].rows),
                *(after.eq(now) for now, after in pairwise([asked, *reads, got])),
                event.eq(Array(self.r_data)[reads[-1].source]),
                address.eq(got.group_base + Mux(got.empty, 0, event.j)),
                beat.first.eq(got.first),
                beat.last.eq(got.last),
                beat.words.eq(got.words),
                beat.digits.eq(got.digits),
            ]
            if order:
                m.d.sync += [
                    self.r_level.eq(order.level),
                    asked["raise"].eq(order.lower),
                    beat.d.negative.eq(event.negative & ~got.empty),
                    beat.d.twice.eq(event.twice),
                    beat.d.nothing.eq(got.empty),
                    beat.d["raise"].eq(got["raise"]),
                ]
            else:
                m.d.sync += beat.d.eq(Mux(got.empty, 0, event.d))
        # A bank is free when its last event has been read, however long the store has held that up.
        m.d.comb += [releasing.eq(valid[0] & asked.release), self.release_key.eq(asked.key)]
        for n, release in enumerate(self.release):
            m.d.comb += release.eq(releasing & advance & (asked.source == n))

        used = valid[-2] & advance & got.used & (event.head if order else 1)
        m.d.sync += [
            self.event.eq(used & got.tally),
            self.event_list.eq(got.list),
            self.macs.eq(Mux(used, got.rows, 0)),
        ]

        m.submodules.tags = tags = Queue(beat.shape(), depth=self._outstanding)
        request, response = self.store.request, self.store.response
        # A steady store never has more requests open than there are tags.
        room: Value = Const(1) if self._steady else tags.i.ready
        m.d.comb += [
            request.valid.eq(valid[-1] & room),
            request.payload.eq(address),
            tags.i.valid.eq(valid[-1] & request.ready),
            tags.i.payload.eq(beat),
            advance.eq(~valid[-1] | (request.ready & room)),
            tags.o.ready.eq(response.valid),
            self.valid.eq(response.valid),
            self.weights.eq(response.payload),
            self.tag.eq(tags.o.payload),
        ]
        return m

    def _look_up(
        self,
        m: Module,
        current: Any,
        following: Any,
        running: Value,
        waiting: Value,
        take: Value,
        issue: Value,
        releasing: Value,
    ) -> Any:
        """Asks for the state of one list per cycle, for whichever pass still needs it.

        Returns the answer, three cycles later. When the passes move on in between, that of the next
        pass is the current one's, and the current one's is dropped. The next pass may use the bank
        that is just being released, two steps later: it is not answered before that.
        """
        flags = dict.fromkeys(("valid", "following", "closed"), unsigned(1))
        layout = data.StructLayout(flags | {"count": len(self.count[0])})
        seen: Any = Signal(layout, name="seen")
        ask_layout = data.StructLayout(
            {"valid": unsigned(1), "following": unsigned(1), "void": unsigned(1)}
            | {"source": unsigned(SOURCE_BITS)}
        )
        asked: Any = Signal(ask_layout, name="asked_list")
        looked: Any = Signal(ask_layout, name="looked_up")
        follow = running & ~current.closed
        m.d.sync += [
            asked.valid.eq((follow | (waiting & ~following.closed)) & ~take),
            asked.following.eq(~follow),
            self.query.eq(Mux(follow, current.key, following.key)),
            asked.source.eq(Mux(follow, current["pass"].source, following["pass"].source)),
            asked.void.eq(Mux(follow, current.void, following.void)),
            looked.eq(asked),
            looked.valid.eq(asked.valid & (~take | asked.following) & ~releasing),
            looked.following.eq(asked.following & ~take),
            seen.valid.eq(looked.valid & (~take | looked.following)),
            seen.following.eq(looked.following & ~take),
            seen.closed.eq(Array(self.closed)[looked.source]),
            seen.count.eq(Mux(looked.void, 0, Array(self.count)[looked.source])),
        ]
        known = {"closed": seen.closed} | self._known(m, seen.count)
        with m.If(seen.valid & seen.following & ~take):
            m.d.sync += [following[name].eq(value) for name, value in known.items()]
        # While a list grows, its events go out at most every second cycle.
        with m.If(seen.valid & ~seen.following & ~current.closed & ~issue & ~take):
            m.d.sync += [current[name].eq(value) for name, value in known.items()]
        return seen

    def _known(self, m: Module, count: Value) -> dict[str, Value]:
        """What is known of a list by its count."""
        if self._levels:
            return level_values(m, count, self._levels)
        return {"count": count, "single": count <= 1, "empty": count == 0}

    def _reserve_drain(
        self, m: Module, end: Value, words: Value, digits: Value, may_end: Signal
    ) -> None:
        """`may_end`: a group may be completed in the next cycle.

        Its sums must find the drain register empty, and room behind it. Decided a cycle ahead, and
        with the last two groups not yet taken off the credits: hence the threefold need.
        """
        m.submodules.credits = credits = Credits(
            total=self._queue_words, need=3 * self._group_words
        )
        drain = Signal(WORD_COUNT_BITS + 3)
        spacing = Signal.like(drain)
        m.d.comb += [drain.eq(words << digits), credits.give.eq(self.drained)]
        m.d.sync += [credits.take.eq(end), credits.amount.eq(words)]
        with m.If(spacing != 0):
            m.d.sync += spacing.eq(spacing - 1)
        if self._steady:
            m.d.sync += may_end.eq(credits.room & Mux(end, drain == 1, spacing <= 1))
            with m.If(end):
                m.d.sync += spacing.eq(drain - 1)
        else:
            # Answers may bunch up: the next group waits until this one's end has arrived.
            on_its_way = Signal()
            m.d.sync += may_end.eq(credits.room & ~end & ~on_its_way & (spacing <= 1))
            with m.If(end):
                m.d.sync += on_its_way.eq(1)
            with m.If(self.valid & self.tag.last):
                m.d.sync += [on_its_way.eq(0), spacing.eq(self.tag.words << self.tag.digits)]
