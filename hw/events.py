# SPDX-License-Identifier: Apache-2.0
"""Event lists: where a delta encoder writes what fired, and the fetch unit replays it.

A list holds one step's events of one path, twice (two banks, used in turn), so that the next
step's list grows while this one is replayed. Every bank has room for all elements of its source,
so it never fills up and nothing is ever dropped. A list may be read while it is still being
written: `count` grows, and `closed` says that it is final.
"""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .layouts import COLUMN_BITS, EVENT_BITS, LIST_BITS, UNIT_BITS
from .ram import block_ram

BankKey = data.StructLayout({"bank": unsigned(1), "list": unsigned(LIST_BITS)})
"""Names one bank of one list."""


def event_layout(delta_bits: int) -> data.StructLayout:
    """One fired delta: element index j and delta d."""
    return data.StructLayout({"j": unsigned(UNIT_BITS), "d": signed(delta_bits)})


class EventLists(wiring.Component):
    """The event lists that one delta encoder writes.

    An event can be read, and is part of `count`, from the cycle after its push on.

    Parameters
    ----------
    depth: events in all banks of all lists together
    delta_bits: width of a delta
    lists: how many lists the design has (indices are shared by all encoders)

    Members
    -------
    open, key, base: start an empty bank; push, event: append, from the second cycle after that on;
        close: the bank is final, with an event that is pushed in this cycle
    taken: the bank that `key` names is final and its reader not done with it
    query -> closed, count: state of any bank
    release, release_key: the reader is done with a bank
    r_en, r_addr -> r_data: read an event, two cycles with r_en later
    """

    def __init__(self, *, depth: int, delta_bits: int, lists: int) -> None:
        self._depth = depth
        self._lists = lists
        self._event = event_layout(delta_bits)
        super().__init__(
            {
                "open": In(1),
                "key": In(BankKey),
                "base": In(EVENT_BITS),
                "push": In(1),
                "event": In(self._event),
                "close": In(1),
                "taken": Out(1),
                "query": In(BankKey),
                "closed": Out(1),
                "count": Out(COLUMN_BITS),
                "release": In(1),
                "release_key": In(BankKey),
                "r_en": In(1),
                "r_addr": In(EVENT_BITS),
                "r_data": Out(self._event),
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

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory = block_ram(self._event, depth=self._depth)
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()
        banks = 1 << (1 + max(1, (self._lists - 1).bit_length()))
        counts: Any = Memory(shape=COLUMN_BITS, depth=banks, init=[])
        m.submodules.counts = counts
        count_write = counts.write_port()
        count_read = counts.read_port(domain="comb")
        is_closed, closed = Signal(banks), Signal()

        # The bank being written.
        live: Any = Signal(BankKey)
        is_open = Signal()
        live_count = Signal(COLUMN_BITS)
        address = Signal(EVENT_BITS)
        m.d.comb += [
            write.addr.eq(address),
            write.data.eq(self.event),
            write.en.eq(self.push),
            count_write.addr.eq(slot(live, banks)),
            count_write.data.eq(live_count + self.push),
            count_write.en.eq(self.close),
        ]
        opened, key, base = Signal(), Signal(BankKey), Signal.like(self.base)
        m.d.sync += [opened.eq(self.open), key.eq(self.key), base.eq(self.base)]
        with m.If(opened):
            m.d.sync += [live.eq(key), is_open.eq(1), live_count.eq(0), address.eq(base)]
        with m.Elif(self.push):
            m.d.sync += [live_count.eq(live_count + 1), address.eq(address + 1)]
        with m.If(self.release):
            m.d.sync += is_closed.bit_select(slot(self.release_key, banks), 1).eq(0)
        with m.If(self.close):
            m.d.sync += is_open.eq(0)
            m.d.sync += is_closed.bit_select(slot(live, banks), 1).eq(1)

        # What the reader sees.
        m.d.comb += [
            self.taken.eq(is_closed.bit_select(slot(self.key, banks), 1)),
            count_read.addr.eq(slot(self.query, banks)),
            closed.eq(is_closed.bit_select(slot(self.query, banks), 1)),
            read.addr.eq(self.r_addr),
            read.en.eq(self.r_en),
        ]
        found: Any = Signal(self._event, reset_less=True)
        with m.If(self.r_en):
            m.d.sync += Value.cast(found).eq(Value.cast(read.data))
        m.d.comb += Value.cast(self.r_data).eq(Value.cast(found))
        m.d.comb += self.closed.eq(closed)
        with m.If(closed):
            m.d.comb += self.count.eq(count_read.data)
        with m.Elif(is_open & (self.query == live)):
            m.d.comb += self.count.eq(live_count)
        return m


def slot(key: data.View, banks: int) -> Value:
    """A bank's place in the state arrays: the bits of its key that can differ."""
    return Cat(key.bank, key.list)[: (banks - 1).bit_length()]
