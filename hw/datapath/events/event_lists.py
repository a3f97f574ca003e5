# SPDX-License-Identifier: Apache-2.0
"""Event lists: where a delta encoder writes what fired, and the fetch unit replays it.

A list holds one step's events of one path, twice (two banks, used in turn), so that the next
step's list grows while this one is replayed. Every bank has room for all elements of its source,
so it never fills up and nothing is ever dropped. A list may be read while it is still being
written: `count` grows, and `closed` says that it is final.
"""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...parts.memory import block_ram
from ...words import COLUMN_BITS, EVENT_BITS, LIST_BITS, UNIT_BITS

BankKey = data.StructLayout({"bank": unsigned(1), "list": unsigned(LIST_BITS)})
"""Names one bank of one list."""


def event_layout(delta_bits: int) -> data.StructLayout:
    """One fired delta: element index j and delta d."""
    return data.StructLayout({"j": unsigned(UNIT_BITS), "d": signed(delta_bits)})


class Lists(wiring.Component):
    """What the lists of one change detector are to those around it; `EventLists` and `TermLists`.

    Parameters
    ----------
    depth: events in all banks of all lists together
    delta_bits: width of a delta
    lists: how many lists the design has (indices are shared by all detectors)
    count_bits, entry: what is told and what is read of a list; more: further members

    Members
    -------
    open, key, base: start an empty bank; push, event: append, from the second cycle after that on;
        close: the bank is final, with an event that is pushed in this cycle
    taken: the bank that `key` names is final and its reader not done with it
    query -> closed, count: state of any bank
    release, release_key: the reader is done with a bank
    r_en, r_addr -> r_data: read an entry, two cycles with r_en later
    """

    def __init__(
        self,
        *,
        depth: int,
        delta_bits: int,
        lists: int,
        count_bits: int,
        entry: data.StructLayout,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self._depth = depth
        self._banks = 1 << (1 + max(1, (lists - 1).bit_length()))
        super().__init__(
            {
                "open": In(1),
                "key": In(BankKey),
                "base": In(EVENT_BITS),
                "push": In(1),
                "event": In(event_layout(delta_bits)),
                "close": In(1),
                "taken": Out(1),
                "query": In(BankKey),
                "closed": Out(1),
                "count": Out(count_bits),
                "release": In(1),
                "release_key": In(BankKey),
                "r_en": In(1),
                "r_addr": In(EVENT_BITS),
                "r_data": Out(entry),
                **(more or {}),
            }
        )

    open: Signal
    key: data.View
    base: Signal
    push: Signal
    event: data.View
    close: Signal
    taken: Signal
    query: data.View
    closed: Signal
    count: Signal
    release: Signal
    release_key: data.View
    r_en: Signal
    r_addr: Signal
    r_data: data.View

    def _finals(
        self, m: Module, close: Value, live: data.View, count: Value
    ) -> tuple[Value, Value]:
        """Bank `live` is final with `count`, where `close` says so; the queried bank's own."""
        counts: Any = Memory(shape=len(self.count), depth=self._banks, init=[])
        m.submodules.counts = counts
        write, read = counts.write_port(), counts.read_port(domain="comb")
        is_closed = Signal(self._banks)
        m.d.comb += [
            write.addr.eq(self._slot(live)),
            write.data.eq(count),
            write.en.eq(close),
            read.addr.eq(self._slot(self.query)),
            self.taken.eq(is_closed.bit_select(self._slot(self.key), 1)),
        ]
        with m.If(self.release):
            m.d.sync += is_closed.bit_select(self._slot(self.release_key), 1).eq(0)
        with m.If(close):
            m.d.sync += is_closed.bit_select(self._slot(live), 1).eq(1)
        return is_closed.bit_select(self._slot(self.query), 1), read.data

    def _slot(self, key: data.View) -> Value:
        """A bank's place among them: the bits of its key that can differ."""
        return Cat(key.bank, key.list)[: (self._banks - 1).bit_length()]


class EventLists(Lists):
    """Lists of events: one can be read, and is part of `count`, from the cycle after its push."""

    def __init__(self, *, depth: int, delta_bits: int, lists: int) -> None:
        self._event = event_layout(delta_bits)
        super().__init__(
            depth=depth,
            delta_bits=delta_bits,
            lists=lists,
            count_bits=COLUMN_BITS,
            entry=self._event,
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory = block_ram(self._event, depth=self._depth)
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()

        # The bank being written.
        live: Any = Signal(BankKey)
        is_open = Signal()
        live_count = Signal(COLUMN_BITS)
        address = Signal(EVENT_BITS)
        m.d.comb += [
            write.addr.eq(address),
            write.data.eq(self.event),
            write.en.eq(self.push),
        ]
        closed, count = self._finals(m, self.close, live, live_count + self.push)
        opened, key, base = Signal(), Signal(BankKey), Signal.like(self.base)
        m.d.sync += [opened.eq(self.open), key.eq(self.key), base.eq(self.base)]
        with m.If(opened):
            m.d.sync += [live.eq(key), is_open.eq(1), live_count.eq(0), address.eq(base)]
        with m.Elif(self.push):
            m.d.sync += [live_count.eq(live_count + 1), address.eq(address + 1)]
        with m.If(self.close):
            m.d.sync += is_open.eq(0)

        # What the reader sees.
        m.d.comb += [
            read.addr.eq(self.r_addr),
            read.en.eq(self.r_en),
            self.closed.eq(closed),
        ]
        found: Any = Signal(self._event, reset_less=True)
        with m.If(self.r_en):
            m.d.sync += Value.cast(found).eq(Value.cast(read.data))
        m.d.comb += Value.cast(self.r_data).eq(Value.cast(found))
        with m.If(closed):
            m.d.comb += self.count.eq(count)
        with m.Elif(is_open & (self.query == live)):
            m.d.comb += self.count.eq(live_count)
        return m
