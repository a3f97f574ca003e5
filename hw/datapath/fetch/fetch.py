# SPDX-License-Identifier: Apache-2.0
"""Sparse column fetch: replays an event list once per group of rows, and gets each event's weights.

For a pass over `groups` groups, event (j, d) of the list asks for weight word
weight_base + group * columns + j. A list that is still being written is not waited for: what it
holds is replayed over all groups as a round of its own, and the rest when there is more. A list of
terms is replayed from its end on, when it is closed, in the order of `levels`.
"""

from itertools import pairwise
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...parts.queue import Queue
from ...words import (
    COLUMN_BITS,
    EVENT_BITS,
    LIST_BITS,
    SOURCE_BITS,
    WEIGHT_BITS,
    WORD_COUNT_BITS,
    FetchPass,
    StepTag,
)
from ..events.event_lists import BankKey, event_layout
from ..events.term_lists import TermEvent
from ..lanes.words import Term, beat_tag
from .drain_room import DrainRoom
from .list_state import look_up
from .term_order import advance_levels, begin_levels, level_fields
from .weight_store import weight_store_signature

FetchJob = data.StructLayout({"pass": FetchPass, "step": StepTag})
"""A pass in a certain step."""

_Current: dict[str, Any] = {
    "pass": FetchPass,
    "key": BankKey,
    "base": EVENT_BITS,
    "void": unsigned(1),  # a sequence's first step: the list of the step before is discarded
    # A round: events `start` up to `count`; what follows is known once it is `set`.
    "start": COLUMN_BITS,
    "count": COLUMN_BITS,
    "set": unsigned(1),
    "final": unsigned(1),  # the list has no more than these
    "single": unsigned(1),  # it has one event
    "at_last": unsigned(1),  # the next event ends its group
    "empty": unsigned(1),  # final and without any
    "plays": unsigned(1),  # set, and not empty
}

Round = data.StructLayout({"empty": unsigned(1), "more": unsigned(1)})
"""empty: no sums come. more: they go into M only, and the pass has another round."""


class Fetch(wiring.Component):
    """One beat a cycle for the MAC array, pass after pass without a gap. An empty list takes none.

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
    begun: one token for every round of a pass; its taker must have room
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
                "begun": Out(stream.Signature(Round, always_ready=True)),
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
    begun: stream.Interface
    drained: Signal
    event: Signal
    event_list: Signal
    macs: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        levels = self._levels
        layout = data.StructLayout(_Current | (level_fields(levels) if levels else {}))
        current: Any = Signal(layout)
        following: Any = Signal(layout)
        running, waiting = Signal(), Signal()
        advance, issue, end, take = Signal(), Signal(), Signal(), Signal()

        # The next pass waits here, its list already looked up when it gets its turn.
        job, tag = self.i.payload["pass"], self.i.payload.step
        bank = tag.parity ^ job.recurrent
        with m.If(~waiting | take):
            known = job.recurrent & tag.fresh
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += [
                waiting.eq(self.i.valid),
                following["pass"].eq(job),
                following.key.list.eq(job.list),
                following.key.bank.eq(bank),
                following.base.eq(job.event_base + Mux(bank, job.columns, 0)),
                following.void.eq(job.recurrent & tag.first),
                following.set.eq(known),
                following.final.eq(known),
                following.empty.eq(known),
                following.plays.eq(0),
                following.start.eq(0),
                following.count.eq(0),
            ]

        # Which event, of which group. What the next event is, is decided a cycle ahead, so that
        # nothing is compared on the way to `issue`. A group's last event goes out only when the
        # drain has room for the group's sums.
        index = Signal(COLUMN_BITS)
        is_first, may_end = Signal(), Signal()
        group_base = Signal(WEIGHT_BITS)
        groups_left = Signal(12)
        first_group, last_group = Signal(), Signal()
        words = Signal(WORD_COUNT_BITS)
        skip, through = Signal(), Signal()
        m.d.comb += [
            issue.eq(advance & current.plays & (~current.at_last | may_end)),
            end.eq(advance & current.plays & current.at_last & may_end),
            skip.eq(running & advance & current.empty),
            through.eq(end & last_group),
            take.eq((through & current.final) | skip | ~running),
            words.eq(Mux(last_group, current["pass"].tail_words, current["pass"].words)),
        ]
        releasing = Signal()
        look_up(
            m,
            self,
            current,
            following,
            running=running,
            waiting=waiting,
            through=through,
            take=take,
            releasing=releasing,
            levels=levels,
        )
        with m.If(~current.set):
            m.d.sync += index.eq(current.start)
        with m.If(issue):
            m.d.sync += is_first.eq(0)
            if levels:
                advance_levels(m, current, index)
            else:
                m.d.sync += [index.eq(index + 1), current.at_last.eq(index + 2 >= current.count)]
        with m.If(end):
            if levels:
                begin_levels(m, current, current, index)
            else:
                m.d.sync += [index.eq(current.start), current.at_last.eq(current.single)]
            m.d.sync += [
                is_first.eq(1),
                group_base.eq(group_base + current["pass"].columns),
                groups_left.eq(groups_left - 1),
                first_group.eq(0),
                last_group.eq(groups_left == 2),
            ]
        with m.If(through):  # if the pass is not: another round
            m.d.sync += [
                current.start.eq(current.count),
                current.set.eq(0),
                current.plays.eq(0),
                group_base.eq(current["pass"].weight_base),
                groups_left.eq(current["pass"].groups),
                first_group.eq(1),
                last_group.eq(current["pass"].groups == 1),
            ]
        with m.If(take):
            m.d.sync += [
                running.eq(waiting),
                current.eq(following),
                index.eq(0),
                is_first.eq(1),
                group_base.eq(following["pass"].weight_base),
                groups_left.eq(following["pass"].groups),
                first_group.eq(1),
                last_group.eq(following["pass"].groups == 1),
            ]
        m.submodules.drain_room = room = DrainRoom(
            queue_words=self._queue_words, group_words=self._group_words, steady=self._steady
        )
        m.d.comb += [
            room.end.eq(end),
            room.words.eq(words),
            room.digits.eq(current["pass"].digits),
            room.arrived.eq(self.valid & self.tag.last),
            room.arrived_words.eq(self.tag.words),
            room.arrived_digits.eq(self.tag.digits),
            room.drained.eq(self.drained),
            may_end.eq(room.may_end),
        ]
        m.d.sync += [
            self.begun.valid.eq((issue & is_first & first_group) | skip),
            self.begun.payload.empty.eq(skip),
            self.begun.payload.more.eq(~current.final),
        ]

        # Event memory, then weight memory; the beat's tag waits for the weights.
        meta_layout = data.StructLayout(
            {
                "source": unsigned(SOURCE_BITS),
                "key": BankKey,
                "release": unsigned(1),
                "group_base": WEIGHT_BITS,
                "first": unsigned(1),
                "last": unsigned(1),
                "words": WORD_COUNT_BITS,
                "digits": unsigned(2),
                "nothing": unsigned(1),
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
        with m.If(advance):
            m.d.sync += [
                valid.eq(Cat(issue, valid[:-1])),
                self.r_addr.eq(current.base + index),
                asked.source.eq(current["pass"].source),
                asked.key.eq(current.key),
                asked.release.eq(((through & current.final) | skip) & current["pass"].release),
                asked.group_base.eq(group_base),
                asked.first.eq(is_first),
                asked.last.eq(end),
                asked.words.eq(words),
                asked.digits.eq(current["pass"].digits),
                asked.used.eq(first_group),
                asked.tally.eq(current["pass"].tally),
                asked.list.eq(current["pass"].list),
                asked.rows.eq(current["pass"].rows),
                *(after.eq(now) for now, after in pairwise([asked, *reads, got])),
                event.eq(Array(self.r_data)[reads[-1].source]),
                address.eq(got.group_base + event.j),
                beat.first.eq(got.first),
                beat.last.eq(got.last),
                beat.words.eq(got.words),
                beat.digits.eq(got.digits),
            ]
            if levels:
                m.d.sync += [
                    self.r_level.eq(current.level),
                    asked.nothing.eq(current.nothing),
                    asked["raise"].eq(current.lower),
                    beat.d.negative.eq(event.negative & ~got.nothing),
                    beat.d.twice.eq(event.twice),
                    beat.d.nothing.eq(got.nothing),
                    beat.d["raise"].eq(got["raise"]),
                ]
            else:
                m.d.sync += beat.d.eq(event.d)
        # A bank is free when its last event has been read, however long the store has held that up.
        m.d.comb += [releasing.eq(asked.release), self.release_key.eq(asked.key)]
        for n, release in enumerate(self.release):
            m.d.comb += release.eq(releasing & advance & (asked.source == n))

        used = valid[-2] & advance & got.used & (event.head & ~got.nothing if levels else 1)
        m.d.sync += [
            self.event.eq(used & got.tally),
            self.event_list.eq(got.list),
            self.macs.eq(Mux(used, got.rows, 0)),
        ]

        m.submodules.tags = tags = Queue(beat.shape(), depth=self._outstanding)
        request, response = self.store.request, self.store.response
        # A steady store never has more requests open than there are tags.
        free: Value = Const(1) if self._steady else tags.i.ready
        m.d.comb += [
            request.valid.eq(valid[-1] & free),
            request.payload.eq(address),
            tags.i.valid.eq(valid[-1] & request.ready),
            tags.i.payload.eq(beat),
            advance.eq(~valid[-1] | (request.ready & free)),
            tags.o.ready.eq(response.valid),
            self.valid.eq(response.valid),
            self.weights.eq(response.payload),
            self.tag.eq(tags.o.payload),
        ]
        return m
