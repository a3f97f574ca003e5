# SPDX-License-Identifier: Apache-2.0
"""From an entry of a list to a beat: the event memory, then the weight memory."""

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...parts.queue import Queue
from ...words import LIST_BITS, WEIGHT_BITS
from ..events.words import ListEntries, TermEvent, event_layout
from ..lanes.words import Term, beat_tag
from .words import entry_use, weight_store_signature

READ_CYCLES = 3
"""From an entry's address to the entry in a register: address, memory, register."""

REQUEST_CYCLES = 1 + READ_CYCLES + 1
"""From an entry's use to its request to the weight store: asked for, read, added to the group's."""


class BeatReader(wiring.Component):
    """Reads events, asks for their weights, and sends both to the MAC array.

    For event (j, d) of a list, a group asks for weight word group_base + j. Nothing moves while the
    weight store takes no request; answers come in the order of the requests, and each finds its
    tag in a queue.

    LATENCY: `REQUEST_CYCLES` cycles from a use to its request. THROUGHPUT: a beat a cycle.

    Parameters
    ----------
    sources : int
        Change detectors that have lists.
    delta_bits : int
        Width of a delta.
    address_bits, word_bits : int
        Of the weight store.
    store_steady : bool
        The store's answers keep the requests' spacing, and it never has more open than these:
    store_outstanding : int
        Requests that the store may hold.
    levels : int, optional
        Levels of lists of terms; None: they are lists of events.

    Members
    -------
    issue : in, 1 bit
        An entry is used; only with `advance`.
    use : in, `entry_use(levels)`
        Which one; with `advance`, its `release` holds without an entry, too.
    advance : out, 1 bit
        All that is on its way to the weight store moves on.
    releasing : out, 1 bit
        A bank is released as soon as `advance` holds: its last event has been read.
    lists : out, `ListEntries(delta_bits, levels)` for each source
    store : out, the weight store, as `weight_store_signature` has it
    valid : out, 1 bit
        A beat for the MAC array; it never waits.
    weights : out, `word_bits` bits
    tag : out, `beat_tag`
    event : out, 1 bit
        An event is used for the first time in its step.
    event_list : out, 5 bits
        Its list.
    macs : out, 14 bits
        Products that an event's first use in a pass stands for.
    """

    def __init__(
        self,
        *,
        sources: int,
        delta_bits: int,
        address_bits: int,
        word_bits: int,
        store_steady: bool,
        store_outstanding: int,
        levels: int | None = None,
    ) -> None:
        self._levels = levels
        self._use = entry_use(levels)
        self._event = event_layout(delta_bits) if levels is None else TermEvent
        self._tag = beat_tag(signed(delta_bits) if levels is None else Term)
        self._steady = store_steady
        self._outstanding = store_outstanding
        store = weight_store_signature(address_bits=address_bits, word_bits=word_bits)
        super().__init__(
            {
                "issue": In(1),
                "use": In(self._use),
                "advance": Out(1),
                "releasing": Out(1),
                "lists": Out(ListEntries(delta_bits, levels)).array(sources),
                "store": In(store),
                "valid": Out(1),
                "weights": Out(word_bits),
                "tag": Out(self._tag),
                "event": Out(1),
                "event_list": Out(LIST_BITS),
                "macs": Out(14),
            }
        )

    issue: Signal
    use: data.View
    advance: Signal
    releasing: Signal
    lists: list[Any]
    store: Any
    valid: Signal
    weights: Signal
    tag: data.View
    event: Signal
    event_list: Signal
    macs: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # What is in each stage: an address; the memory, twice; the event; the weight's address.
        valid = Signal(REQUEST_CYCLES)
        uses: list[Any] = [Signal(self._use, name=f"use_{n}") for n in range(READ_CYCLES + 1)]
        asked, reading, got = uses[0], uses[-2], uses[-1]
        event: Any = Signal(self._event)
        address = Signal(WEIGHT_BITS)
        beat: Any = Signal(self._tag)
        with m.If(self.advance):
            m.d.sync += [
                valid.eq(Cat(self.issue, valid[:-1])),
                *(late.eq(early) for early, late in zip([self.use, *uses], uses, strict=False)),
                event.eq(Array(each.data for each in self.lists)[reading.source]),
                address.eq(got.group_base + event.j),
                beat.first.eq(got.first),
                beat.last.eq(got.last),
                beat.words.eq(got.words),
                beat.digits_log2.eq(got.digits_log2),
            ]
            self._factor(m, beat, event, got)
        # A bank is free when its last event has been read, however long the store has held that up.
        m.d.comb += self.releasing.eq(asked.release)
        for n, each in enumerate(self.lists):
            m.d.comb += [
                each.en.eq(self.advance),
                each.addr.eq(asked.address),
                *([each.level.eq(asked.level)] if self._levels else []),
                each.release.eq(asked.release & self.advance & (asked.source == n)),
                each.release_key.eq(asked.key),
            ]

        stands_for_event = event.head & ~got.nothing if self._levels else 1
        used = valid[-2] & self.advance & got.used & stands_for_event
        m.d.sync += [
            self.event.eq(used & got.tally),
            self.event_list.eq(got.list),
            self.macs.eq(Mux(used, got.products, 0)),
        ]
        self._weights(m, valid[-1], address, beat)
        return m

    def _factor(self, m: Module, beat: Any, event: Any, use: Any) -> None:
        """What the lanes multiply with: the event's delta, or its term."""
        if not self._levels:
            m.d.sync += beat.d.eq(event.d)
            return
        m.d.sync += [
            beat.d.negative.eq(event.negative & ~use.nothing),
            beat.d.twice.eq(event.twice),
            beat.d.nothing.eq(use.nothing),
            beat.d["raise"].eq(use.lower),
        ]

    def _weights(self, m: Module, valid: Value, address: Value, beat: Any) -> None:
        """The request, and the answer with the tag that has waited for it."""
        m.submodules.tags = tags = Queue(beat.shape(), depth=self._outstanding)
        request, response = self.store.request, self.store.response
        # A steady store never has more requests open than there are tags.
        free: Value = Const(1) if self._steady else tags.i.ready
        m.d.comb += [
            request.valid.eq(valid & free),
            request.payload.eq(address),
            tags.i.valid.eq(valid & request.ready),
            tags.i.payload.eq(beat),
            self.advance.eq(~valid | (request.ready & free)),
            tags.o.ready.eq(response.valid),
            self.valid.eq(response.valid),
            self.weights.eq(response.payload),
            self.tag.eq(tags.o.payload),
        ]
