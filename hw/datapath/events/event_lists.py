# SPDX-License-Identifier: Apache-2.0
"""Event lists: where a delta encoder writes what fired, and the fetch unit replays it.

A list holds one step's events of one path, twice (two banks, used in turn), so that the next
step's list grows while this one is replayed. Every bank has room for all elements of its source,
so it never fills up and nothing is ever dropped. A list may be read while it is still being
written: `count` grows, and `closed` says that it is final.
"""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from ...parts.memory import block_ram
from ...words import EVENT_BITS
from .words import BankKey, ListReader, ListWriter, event_layout


class Lists(wiring.Component):
    """What `EventLists` and `TermLists` share: the lists of one change detector.

    Parameters
    ----------
    depth : int
        Events in all banks of all lists together.
    delta_bits : int
        Width of a delta.
    lists : int
        Lists of the design: their indices are shared by all detectors.
    levels : int, optional
        Levels of lists of terms; None: they are lists of events.

    Members
    -------
    writer : in, `ListWriter(delta_bits)`
        Appends events.
    reader : in, `ListReader(delta_bits, levels)`
        Asks for a bank's state, and reads its entries.
    """

    def __init__(
        self, *, depth: int, delta_bits: int, lists: int, levels: int | None = None
    ) -> None:
        self._depth = depth
        self._banks = 1 << (1 + max(1, (lists - 1).bit_length()))
        super().__init__(
            {"writer": In(ListWriter(delta_bits)), "reader": In(ListReader(delta_bits, levels))}
        )

    writer: Any
    reader: Any

    def _finals(
        self, m: Module, close: Value, live: data.View, count: Value
    ) -> tuple[Value, Value]:
        """Bank `live` is final with `count`, where `close` says so; the queried bank's own."""
        state, entries = self.reader.state, self.reader.entries
        counts: Any = Memory(shape=len(state.count), depth=self._banks, init=[])
        m.submodules.counts = counts
        write, read = counts.write_port(), counts.read_port(domain="comb")
        is_closed = Signal(self._banks)
        m.d.comb += [
            write.addr.eq(self._slot(live)),
            write.data.eq(count),
            write.en.eq(close),
            read.addr.eq(self._slot(state.query)),
            self.writer.taken.eq(is_closed.bit_select(self._slot(self.writer.key), 1)),
        ]
        with m.If(entries.release):
            m.d.sync += is_closed.bit_select(self._slot(entries.release_key), 1).eq(0)
        with m.If(close):
            m.d.sync += is_closed.bit_select(self._slot(live), 1).eq(1)
        return is_closed.bit_select(self._slot(state.query), 1), read.data

    def _slot(self, key: data.View) -> Value:
        """A bank's place among them: the bits of its key that can differ."""
        return Cat(key.bank, key.list)[: (self._banks - 1).bit_length()]


class EventLists(Lists):
    """Lists of events: one can be read, and is part of `count`, from the cycle after its push.

    Parameters and Members are those of `Lists`, without levels.

    THROUGHPUT: an event written and one read in each cycle.
    """

    def __init__(self, *, depth: int, delta_bits: int, lists: int) -> None:
        self._event = event_layout(delta_bits)
        super().__init__(depth=depth, delta_bits=delta_bits, lists=lists)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        writer, state, entries = self.writer, self.reader.state, self.reader.entries
        memory = block_ram(self._event, depth=self._depth)
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()

        # The bank being written.
        live: Any = Signal(BankKey)
        is_open = Signal()
        live_count = Signal(range(self._depth + 1))  # no list has more events than there are words
        address = Signal(EVENT_BITS)
        m.d.comb += [
            write.addr.eq(address),
            write.data.eq(writer.event),
            write.en.eq(writer.push),
        ]
        closed, count = self._finals(m, writer.close, live, live_count + writer.push)
        opened, key, base = Signal(), Signal(BankKey), Signal.like(writer.base)
        m.d.sync += [opened.eq(writer.open), key.eq(writer.key), base.eq(writer.base)]
        with m.If(opened):
            m.d.sync += [live.eq(key), is_open.eq(1), live_count.eq(0), address.eq(base)]
        with m.Elif(writer.push):
            m.d.sync += [live_count.eq(live_count + 1), address.eq(address + 1)]
        with m.If(writer.close):
            m.d.sync += is_open.eq(0)

        # What the reader sees.
        m.d.comb += [read.addr.eq(entries.addr), read.en.eq(entries.en), state.closed.eq(closed)]
        found: Any = Signal(self._event, reset_less=True)
        with m.If(entries.en):
            m.d.sync += Value.cast(found).eq(Value.cast(read.data))
        m.d.comb += Value.cast(entries.data).eq(Value.cast(found))
        with m.If(closed):
            m.d.comb += state.count.eq(count)
        with m.Elif(is_open & (state.query == live)):
            m.d.comb += state.count.eq(live_count)
        return m
