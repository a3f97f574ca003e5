# SPDX-License-Identifier: Apache-2.0
"""Term lists: where a delta encoder's events go as signed powers of two, for `shift_add` lanes.

Every delta is split into its canonical signed digits (Reitwiesner's non-adjacent form: the bits in
which 3 d and d differ), and its terms are queued by level, two binary digits each. Each level has a
memory of its own, since a delta's terms are written at once, one to a level at most.
"""

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed

from ...parts.memory import block_ram
from ...words import COLUMN_BITS, EVENT_BITS, LEVEL_DIGITS, UNIT_BITS
from .event_lists import Lists
from .words import BankKey, TermEvent


class TermLists(Lists):
    """Lists of terms; they can be read when they are closed, two cycles after that was said.

    THROUGHPUT: an event written, of any number of terms, and a term read in each cycle.

    Parameters
    ----------
    depth : int
        Events in all banks of all lists together: the depth of each level's memory.
    delta_bits : int
        Width of a delta.
    digits : int
        Binary digits that a delta may have.
    levels : int
        Levels, of `LEVEL_DIGITS` digits each, that hold those.
    lists : int
        Lists of the design.

    Members
    -------
    writer : in, `ListWriter(delta_bits)`
        Appends events, each as its terms.
    reader : in, `ListReader(delta_bits, levels)`
        Counts terms and reads them, level by level. Its count holds once the list is closed.
    """

    def __init__(
        self, *, depth: int, delta_bits: int, digits: int, levels: int, lists: int
    ) -> None:
        self._digits = digits
        self._levels = levels
        super().__init__(depth=depth, delta_bits=delta_bits, lists=lists, levels=levels)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        writer, state, entries = self.writer, self.reader.state, self.reader.entries
        live: Any = Signal(BankKey)
        base = Signal(EVENT_BITS)
        closing = Signal()
        filled = [Signal(COLUMN_BITS, name=f"filled_{n}") for n in range(self._levels)]
        level = Signal(range(self._levels))
        with m.If(entries.en):
            m.d.sync += level.eq(entries.level)

        # The terms of an event, by level, a cycle later.
        digits, j = self._digits_of(m), Signal(UNIT_BITS)
        m.d.sync += [j.eq(writer.event.j), closing.eq(writer.close)]
        above: Value = Const(0)
        words: list[Any] = []
        counted: list[Value] = []
        for n in reversed(range(self._levels)):
            memory = block_ram(TermEvent, depth=self._depth)
            m.submodules[f"level_{n}"] = memory
            write, read = memory.write_port(), memory.read_port()
            low, high = digits[2 * n], digits[2 * n + 1]
            present = low.any() | high.any()
            m.d.comb += [
                write.addr.eq(base + filled[n]),
                write.data.j.eq(j),
                write.data.twice.eq(high.any()),
                write.data.negative.eq(low[1] | high[1]),
                write.data.head.eq(~above),
                write.en.eq(present),
                read.addr.eq(entries.addr),
                read.en.eq(entries.en),
            ]
            counted.insert(0, (filled[n] + present)[:COLUMN_BITS])
            m.d.sync += filled[n].eq(counted[0])
            above |= present
            words.insert(0, read.data)
        with m.If(entries.en):
            m.d.sync += entries.data.eq(Array(words)[level])

        closed, count = self._finals(m, closing, live, Cat(counted))
        m.d.comb += [state.closed.eq(closed), state.count.eq(count)]
        with m.If(writer.open):
            m.d.sync += [live.eq(writer.key), base.eq(writer.base)]
            m.d.sync += [each.eq(0) for each in filled]
        return m

    def _digits_of(self, m: Module) -> list[Signal]:
        """The pushed delta's digits, a cycle later: bit 0 for +1, bit 1 for -1; all 0 without."""
        d = self.writer.event.d
        triple = Signal(signed(len(d) + 2))
        m.d.comb += triple.eq(d + (d << 1))
        digits = []
        for n in range(LEVEL_DIGITS * self._levels):
            digit = Signal(2, name=f"digit_{n}")
            if n < self._digits:
                three, one = triple[min(n + 1, len(triple) - 1)], d[min(n + 1, len(d) - 1)]
                m.d.sync += digit.eq(Mux(self.writer.push, Cat(three & ~one, one & ~three), 0))
            digits.append(digit)
        return digits
