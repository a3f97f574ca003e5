# SPDX-License-Identifier: Apache-2.0
"""Term lists: where a delta encoder's events go as signed powers of two, for `shift_add` lanes.

Every delta is split into its canonical signed digits (Reitwiesner's non-adjacent form: the bits in
which 3 d and d differ), and its terms are queued by level, two binary digits each. Each level has a
memory of its own, since a delta's terms are written at once, one to a level at most.
"""

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In

from ...parts.memory import block_ram
from ...words import COLUMN_BITS, EVENT_BITS, LEVEL_DIGITS, UNIT_BITS
from .event_lists import BankKey, Lists

TermEvent = data.StructLayout(
    {
        "j": unsigned(UNIT_BITS),
        "twice": unsigned(1),
        "negative": unsigned(1),
        "head": unsigned(1),  # the delta's highest term, which stands for the event
    }
)
"""One term of element j: +-1 or +-2 times 4**level."""


class TermLists(Lists):
    """Lists of terms; they can be read when they are closed, two cycles after that was said.

    Parameters
    ----------
    digits: binary digits that a delta may have; levels: of LEVEL_DIGITS of them
    The others are those of `Lists`.

    Members
    -------
    count: terms of each level, level 0 in the lowest bits
    r_level: the level to read from, with r_addr; r_data: two cycles later while r_en is high
    The others are those of `Lists`.
    """

    def __init__(
        self, *, depth: int, delta_bits: int, digits: int, levels: int, lists: int
    ) -> None:
        self._digits = digits
        self._levels = levels
        super().__init__(
            depth=depth,
            delta_bits=delta_bits,
            lists=lists,
            count_bits=COLUMN_BITS * levels,
            entry=TermEvent,
            more={"r_level": In(range(levels))},
        )

    r_level: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        live: Any = Signal(BankKey)
        base = Signal(EVENT_BITS)
        closing = Signal()
        filled = [Signal(COLUMN_BITS, name=f"filled_{n}") for n in range(self._levels)]
        level = Signal(range(self._levels))
        with m.If(self.r_en):
            m.d.sync += level.eq(self.r_level)

        # The terms of an event, by level, a cycle later.
        digits, j = self._digits_of(m), Signal(UNIT_BITS)
        m.d.sync += [j.eq(self.event.j), closing.eq(self.close)]
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
                read.addr.eq(self.r_addr),
                read.en.eq(self.r_en),
            ]
            counted.insert(0, (filled[n] + present)[:COLUMN_BITS])
            m.d.sync += filled[n].eq(counted[0])
            above |= present
            words.insert(0, read.data)
        with m.If(self.r_en):
            m.d.sync += self.r_data.eq(Array(words)[level])

        closed, count = self._finals(m, closing, live, Cat(counted))
        m.d.comb += [self.closed.eq(closed), self.count.eq(count)]
        with m.If(self.open):
            m.d.sync += [live.eq(self.key), base.eq(self.base)]
            m.d.sync += [each.eq(0) for each in filled]
        return m

    def _digits_of(self, m: Module) -> list[Signal]:
        """The pushed delta's digits, a cycle later: bit 0 for +1, bit 1 for -1; all 0 without."""
        d = self.event.d
        triple = Signal(signed(len(d) + 2))
        m.d.comb += triple.eq(d + (d << 1))
        digits = []
        for n in range(LEVEL_DIGITS * self._levels):
            digit = Signal(2, name=f"digit_{n}")
            if n < self._digits:
                three, one = triple[min(n + 1, len(triple) - 1)], d[min(n + 1, len(d) - 1)]
                m.d.sync += digit.eq(Mux(self.push, Cat(three & ~one, one & ~three), 0))
            digits.append(digit)
        return digits
