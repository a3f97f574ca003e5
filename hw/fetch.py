# SPDX-License-Identifier: Apache-2.0
"""Sparse column fetch: replays an event list once per group of rows, and gets each event's weights.

For a pass over `groups` groups, event (j, d) of the list asks for weight word
weight_base + group * columns + j. A list that is still being written is not waited for: what it
holds is replayed over all groups as a round of its own, and the rest when there is more.
"""

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, unsigned
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
        # A round: events `start` up to `count`; what follows is known once it is `set`.
        "start": COLUMN_BITS,
        "count": COLUMN_BITS,
        "set": unsigned(1),
        "final": unsigned(1),  # the list has no more than these
        "single": unsigned(1),  # it has one event
        "at_last": unsigned(1),  # the next event ends its group
        "empty": unsigned(1),  # final and without any
    }
)

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

    Members
    -------
    i: passes
    query -> closed, count (one per source); release, release_key: see `EventLists`
    r_en, r_addr -> r_data (one per source)
    store: the weight store, seen from here
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
    ) -> None:
        if queue_words < 3 * group_words:
            raise ValueError(
                f"queue_words must be at least three groups of {group_words}, not {queue_words!r}"
            )
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
        current: Any = Signal(_Current)
        following: Any = Signal(_Current)
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
            issue.eq(
                running & advance & current.set & ~current.empty & (~current.at_last | may_end)
            ),
            end.eq(issue & current.at_last),
            skip.eq(running & advance & current.empty),
            through.eq(end & last_group),
            take.eq((through & current.final) | skip | ~running),
            words.eq(Mux(last_group, current["pass"].tail_words, current["pass"].words)),
        ]
        releasing = Signal()
        moving = take | through
        self._look_up(m, current, following, running, waiting, moving, releasing)
        with m.If(~current.set):
            m.d.sync += index.eq(current.start)
        with m.If(issue):
            m.d.sync += [
                index.eq(index + 1),
                is_first.eq(0),
                current.at_last.eq(index + 2 >= current.count),
            ]
        with m.If(end):
            m.d.sync += [
                index.eq(current.start),
                is_first.eq(1),
                current.at_last.eq(current.single),
                group_base.eq(group_base + current["pass"].columns),
                groups_left.eq(groups_left - 1),
                first_group.eq(0),
                last_group.eq(groups_left == 2),
            ]
        with m.If(through):  # if the pass is not: another round
            m.d.sync += [
                current.start.eq(current.count),
                current.set.eq(0),
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
        self._reserve_drain(m, end, words, current["pass"].digits, may_end)
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
            }
        )
        asked: Any = Signal(meta_layout)
        read: Any = Signal(meta_layout)
        got: Any = Signal(meta_layout)
        event: Any = Signal(event_layout(self._delta_bits))
        valid = Signal(4)
        address = Signal(WEIGHT_BITS)
        beat: Any = Signal(beat_tag(self._delta_bits))
        m.d.comb += self.r_en.eq(advance)
        with m.If(advance):
            m.d.sync += [
                valid.eq(Cat(issue, valid[:3])),
                self.r_addr.eq(current.base + index),
                asked.source.eq(current["pass"].source),
                asked.key.eq(current.key),
                asked.release.eq(((through & current.final) | skip) & current["pass"].release),
                asked.group_base.eq(group_base),
                asked.first.eq(is_first),
                asked.last.eq(end),
                asked.words.eq(words),
                asked.digits.eq(current["pass"].digits),
                read.eq(asked),
                got.eq(read),
                event.eq(Array(self.r_data)[read.source]),
                address.eq(got.group_base + event.j),
                beat.d.eq(event.d),
                beat.first.eq(got.first),
                beat.last.eq(got.last),
                beat.words.eq(got.words),
                beat.digits.eq(got.digits),
            ]
        # A bank is free when its last event has been read, however long the store has held that up.
        m.d.comb += [releasing.eq(asked.release), self.release_key.eq(asked.key)]
        for n, release in enumerate(self.release):
            m.d.comb += release.eq(releasing & advance & (asked.source == n))

        first_use = Signal()
        m.d.comb += first_use.eq(issue & first_group)
        m.d.sync += [
            self.event.eq(first_use & current["pass"].tally),
            self.event_list.eq(current["pass"].list),
            self.macs.eq(Mux(first_use, current["pass"].rows, 0)),
        ]

        m.submodules.tags = tags = Queue(beat.shape(), depth=self._outstanding)
        request, response = self.store.request, self.store.response
        m.d.comb += [
            request.valid.eq(valid[3] & tags.i.ready),
            request.payload.eq(address),
            tags.i.valid.eq(valid[3] & request.ready),
            tags.i.payload.eq(beat),
            advance.eq(~valid[3] | (request.ready & tags.i.ready)),
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
        moving: Value,
        releasing: Value,
    ) -> None:
        """Asks for the state of one list per cycle, for whichever pass needs a round.

        An answer takes two cycles, and is dropped when the rounds move on in between. The next
        pass may use the bank that is just being released, two steps later: it is not answered
        before that. A round is worth it when no group drains longer than it takes.
        """
        layout = data.StructLayout(
            {"valid": unsigned(1), "following": unsigned(1), "closed": unsigned(1)}
            | {"count": COLUMN_BITS}
        )
        seen: Any = Signal(layout, name="seen")
        asking, for_following, void = Signal(), Signal(), Signal()
        source = Signal(SOURCE_BITS)
        least = Signal(COLUMN_BITS + 1)
        follow = running & ~current.set
        m.d.sync += [
            asking.eq((follow | (waiting & ~following.set)) & ~moving),
            for_following.eq(~follow),
            self.query.eq(Mux(follow, current.key, following.key)),
            source.eq(Mux(follow, current["pass"].source, following["pass"].source)),
            void.eq(Mux(follow, current.void, following.void)),
            seen.valid.eq(asking & ~moving & ~releasing),
            seen.following.eq(for_following),
            seen.closed.eq(Array(self.closed)[source]),
            seen.count.eq(Mux(void, 0, Array(self.count)[source])),
            least.eq(
                Mux(for_following, 0, current.start)
                + (
                    Mux(for_following, following["pass"].words, current["pass"].words)
                    << Mux(for_following, following["pass"].digits, current["pass"].digits)
                )
            ),
        ]
        for entry, asked in ((current, ~seen.following), (following, seen.following)):
            with m.If(seen.valid & asked & ~moving & ~entry.set):
                m.d.sync += [
                    entry.set.eq(seen.closed | (seen.count >= least)),
                    entry.final.eq(seen.closed),
                    entry.count.eq(seen.count),
                    entry.single.eq(seen.count <= entry.start + 1),
                    entry.at_last.eq(seen.count <= entry.start + 1),
                    entry.empty.eq(seen.closed & (seen.count == entry.start)),
                ]

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
