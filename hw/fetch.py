# SPDX-License-Identifier: Apache-2.0
"""Sparse column fetch: replays an event list once per group of rows, and gets each event's weights.

For a pass over `groups` groups, event (j, d) of the list asks for weight word
weight_base + group * columns + j. A list that is still being written is followed as it grows.
"""

from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, Value, unsigned
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
from .mac import beat_tag
from .queue import Credits, Queue
from .weights import weight_store_signature

FetchJob = data.StructLayout({"pass": FetchPass, "step": StepTag})
"""A pass in a certain step."""

_Current = data.StructLayout(
    {
        "pass": FetchPass,
        "key": BankKey,
        "base": EVENT_BITS,
        "void": unsigned(1),  # a sequence's first step: the list of the step before is discarded
        "closed": unsigned(1),
        "count": COLUMN_BITS,
    }
)


class Fetch(wiring.Component):
    """One beat a cycle for the MAC array, pass after pass without a gap.

    Parameters
    ----------
    sources: how many encoders write lists
    group_words: D-words of the largest group
    queue_words: room for D-words behind the array; reserved before a group is completed
    address_bits, word_bits: of the weight store
    store_steady: its answers keep the requests' spacing; store_outstanding: requests it may hold

    Members
    -------
    i: passes
    query -> closed, count (one per source); release, release_key: see `EventLists`
    r_en, r_addr -> r_data (one per source)
    store: the weight store, seen from here
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
    ) -> None:
        self._sources = sources
        self._delta_bits = delta_bits
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
                "count": In(COLUMN_BITS).array(sources),
                "release": Out(1).array(sources),
                "release_key": Out(BankKey),
                "r_en": Out(1),
                "r_addr": Out(EVENT_BITS),
                "r_data": In(event_layout(delta_bits)).array(sources),
                "store": In(store),
                "valid": Out(1),
                "weights": Out(word_bits),
                "tag": Out(beat_tag(delta_bits)),
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
        current: Any = Signal(_Current)
        following: Any = Signal(_Current)
        running, waiting = Signal(), Signal()
        advance, issue, finish = Signal(), Signal(), Signal()

        # The next pass waits here, its list already looked up when it gets its turn.
        job, tag = self.i.payload["pass"], self.i.payload.step
        bank = tag.parity ^ job.recurrent
        with m.If(~waiting | finish | ~running):
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += [
                waiting.eq(self.i.valid),
                following["pass"].eq(job),
                following.key.list.eq(job.list),
                following.key.bank.eq(bank),
                following.base.eq(job.event_base + Mux(bank, job.columns, 0)),
                following.void.eq(job.recurrent & tag.first),
                following.closed.eq(job.recurrent & tag.fresh),
                following.count.eq(0),
            ]

        # One look at a list's state per cycle, for whichever pass still needs it. The next pass may
        # use the bank that is just being released, two steps later: it looks after that.
        releasing = Signal()
        follow = running & ~current.closed
        m.d.comb += self.query.eq(Mux(follow, current.key, following.key))
        source = Mux(follow, current["pass"].source, following["pass"].source)
        closed, count = Array(self.closed)[source], Array(self.count)[source]
        with m.If(follow):
            m.d.sync += [current.closed.eq(closed), current.count.eq(Mux(current.void, 0, count))]
        with m.Elif(waiting & ~following.closed & running & ~finish & ~releasing):
            m.d.sync += [
                following.closed.eq(closed),
                following.count.eq(Mux(following.void, 0, count)),
            ]

        # Which event, of which group. A group's last event goes out only when it is known to be
        # the last, and when the drain has room for the group's sums.
        index = Signal(COLUMN_BITS)
        group_base = Signal(WEIGHT_BITS)
        groups_left = Signal(12)
        last_event, last_group = Signal(), Signal()
        words = Signal(WORD_COUNT_BITS)
        room = Signal()
        m.d.comb += [
            last_event.eq(current.closed & (index + 1 >= current.count)),
            last_group.eq(groups_left == 1),
            words.eq(Mux(last_group, current["pass"].tail_words, current["pass"].words)),
            issue.eq(
                running
                & advance
                & Mux(current.closed, ~last_event | room, index + 1 < current.count)
            ),
            finish.eq(issue & last_event & last_group),
        ]
        with m.If(issue):
            m.d.sync += index.eq(index + 1)
            with m.If(last_event):
                m.d.sync += [
                    index.eq(0),
                    group_base.eq(group_base + current["pass"].columns),
                    groups_left.eq(groups_left - 1),
                ]
        with m.If(finish | ~running):
            m.d.sync += [
                running.eq(waiting),
                current.eq(following),
                groups_left.eq(following["pass"].groups),
                group_base.eq(following["pass"].weight_base),
                index.eq(0),
            ]
        self._reserve_drain(m, issue & last_event, words, current["pass"].digits, room)

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
            }
        )
        asked: Any = Signal(meta_layout)
        read: Any = Signal(meta_layout)
        asked_valid, read_valid, ready_valid = Signal(), Signal(), Signal()
        empty = current.closed & (current.count == 0)
        address = Signal(WEIGHT_BITS)
        beat: Any = Signal(beat_tag(self._delta_bits))
        event = Array(self.r_data)[read.source]
        m.d.comb += self.r_en.eq(advance)
        with m.If(advance):
            m.d.sync += [
                asked_valid.eq(issue),
                self.r_addr.eq(current.base + index),
                asked.source.eq(current["pass"].source),
                asked.key.eq(current.key),
                asked.release.eq(finish & current["pass"].release),
                asked.empty.eq(empty),
                asked.group_base.eq(group_base),
                asked.first.eq(index == 0),
                asked.last.eq(last_event),
                asked.words.eq(words),
                asked.digits.eq(current["pass"].digits),
                read_valid.eq(asked_valid),
                read.eq(asked),
                ready_valid.eq(read_valid),
                address.eq(read.group_base + Mux(read.empty, 0, event.j)),
                beat.d.eq(Mux(read.empty, 0, event.d)),
                beat.first.eq(read.first),
                beat.last.eq(read.last),
                beat.words.eq(read.words),
                beat.digits.eq(read.digits),
            ]
        # A bank is free when its last event has been read, however long the store has held that up.
        m.d.comb += [releasing.eq(asked_valid & asked.release), self.release_key.eq(asked.key)]
        for n, release in enumerate(self.release):
            m.d.comb += release.eq(releasing & advance & (asked.source == n))

        first_use = Signal()
        m.d.comb += first_use.eq(issue & ~empty & (groups_left == current["pass"].groups))
        m.d.sync += [
            self.event.eq(first_use & current["pass"].tally),
            self.event_list.eq(current["pass"].list),
            self.macs.eq(Mux(first_use, current["pass"].rows, 0)),
        ]

        m.submodules.tags = tags = Queue(beat.shape(), depth=self._outstanding)
        request, response = self.store.request, self.store.response
        m.d.comb += [
            request.valid.eq(ready_valid & tags.i.ready),
            request.payload.eq(address),
            tags.i.valid.eq(ready_valid & request.ready),
            tags.i.payload.eq(beat),
            advance.eq(~ready_valid | (request.ready & tags.i.ready)),
            tags.o.ready.eq(response.valid),
            self.valid.eq(response.valid),
            self.weights.eq(response.payload),
            self.tag.eq(tags.o.payload),
        ]
        return m

    def _reserve_drain(
        self, m: Module, end: Value, words: Value, digits: Value, room: Signal
    ) -> None:
        """`room`: a group may be completed; the sums before it will have been drained by then."""
        m.submodules.credits = credits = Credits(total=self._queue_words, need=self._group_words)
        spacing = Signal(WORD_COUNT_BITS + 1)
        on_its_way = Signal()
        m.d.comb += [
            credits.take.eq(end),
            credits.amount.eq(words),
            credits.give.eq(self.drained),
            room.eq(credits.room & (spacing == 0) & ~on_its_way),
        ]
        with m.If(spacing != 0):
            m.d.sync += spacing.eq(spacing - 1)
        if self._steady:
            with m.If(end):
                m.d.sync += spacing.eq((words << digits) - 1)
        else:
            # Answers may bunch up: the next group waits until this one's end has arrived.
            with m.If(end):
                m.d.sync += on_its_way.eq(1)
            with m.If(self.valid & self.tag.last):
                m.d.sync += [on_its_way.eq(0), spacing.eq(self.tag.words << self.tag.digits)]
