# SPDX-License-Identifier: Apache-2.0
"""The mean of a value over the units of a layer."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ...parts.pipeline import delay
from ...words import MULT_BITS, SHIFT_BITS, UNIT_BITS

__all__ = ["Reciprocal", "UnitMean", "division_cycles", "sum_cycles"]


def sum_cycles(width: int) -> int:
    """Cycles from the last of the units, of which so many come at once, to where the sum holds."""
    return 1 + ceil_log2(width)


def division_cycles(shift: int) -> int:
    """Cycles from `start` of a `Reciprocal` to `done`."""
    return shift + 2


class Reciprocal(wiring.Component):
    """What makes means of sums: 1 / units, a bit a cycle from the lowest on.

        cycle    0      1      2     ..    shift + 1   shift + 2
        start    high
        runs            high   high  high  high
        bit             0      1     ..
        rounds                             high
        done                                           high

    LATENCY: `division_cycles`.

    Members
    -------
    start : in, 1 bit
    mult, shift : in, unsigned(15), unsigned(6)
        With start: mult * 2**-shift is 1 / units, shift at least 14.
    runs, bit, rounds : out, 1 bit
        For `UnitMean`.
    done : out, 1 bit
        The means hold; for one cycle.
    """

    start: Signal
    mult: Signal
    shift: Signal
    runs: Signal
    bit: Signal
    rounds: Signal
    done: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "mult": In(unsigned(MULT_BITS)),
                "shift": In(unsigned(SHIFT_BITS)),
                "runs": Out(1),
                "bit": Out(1),
                "rounds": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        mult, left = Signal(MULT_BITS), Signal(SHIFT_BITS)  # cycles after this one
        m.d.comb += [self.bit.eq(mult[0]), self.rounds.eq(left == 0)]
        m.d.sync += self.done.eq(self.runs & self.rounds)
        with m.If(self.start):
            m.d.sync += [mult.eq(self.mult), left.eq(self.shift), self.runs.eq(1)]
        with m.Elif(self.runs):
            m.d.sync += [mult.eq(mult >> 1), left.eq(left - 1), self.runs.eq(~self.rounds)]
        return m


class UnitMean(wiring.Component):
    """rshr(sum * mult, shift) of a value over units: `golden.cells.steps.mean`.

    The product is made a bit of mult a cycle, which takes no multiplier: a turn has one mean of a
    kind, and the next turn waits for it. Twice the product is made, and 1 is added with the last
    bit, which rounds.

    THROUGHPUT: `width` units a cycle.

    Parameters
    ----------
    value_bits, mean_bits : int
        Of the value and of its mean.
    width : int
        Units that come in one cycle, a power of two.

    Members
    -------
    first : in, 1 bit
        With the first units.
    there : in, `width` bits
        Which values are units'.
    values : in, `width` times signed(value_bits), the first one low
    start, runs, bit, rounds : in, 1 bit
        Those of a `Reciprocal` that starts `sum_cycles` after the last units.
    mean : out, signed(mean_bits)
        Holds with its `done`, until the next start.
    """

    first: Signal
    there: Signal
    values: Signal
    start: Signal
    runs: Signal
    bit: Signal
    rounds: Signal
    mean: Signal

    def __init__(self, *, value_bits: int, mean_bits: int, width: int = 1) -> None:
        self._value_bits, self._width = value_bits, width
        super().__init__(
            {
                "first": In(1),
                "there": In(width),
                "values": In(width * value_bits),
                "start": In(1),
                "runs": In(1),
                "bit": In(1),
                "rounds": In(1),
                "mean": Out(signed(mean_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self._value_bits + UNIT_BITS
        total = Signal(signed(bits))
        values: list[Value] = [
            self.values.word_select(n, self._value_bits).as_signed() for n in range(self._width)
        ]
        if self._width > 1:
            values = [Mux(self.there[n], value, 0) for n, value in enumerate(values)]
        # A register behind each adder: several in a row would become slow and large.
        late = 0
        while len(values) > 1:
            late += 1
            pairs = zip(values[::2], values[1::2], strict=True)
            values = [delay(m, a + b, 1, f"sum_{late}_{n}") for n, (a, b) in enumerate(pairs)]
        there = delay(m, self.there.any(), late, "there", reset=True)
        first = delay(m, self.first, late, "first")
        with m.If(there):
            m.d.sync += total.eq(Mux(first, 0, total) + values[0].as_signed())

        product, added = Signal(signed(bits + 1)), Signal(signed(bits + 2))
        doubled = Mux(self.bit, Cat(0, total).as_signed(), 0)
        # What rounds is the adder's carry.
        sums = Cat(1, product).as_signed() + Cat(self.rounds, doubled).as_signed()
        m.d.comb += added.eq(sums.shift_right(1))
        with m.If(self.start):
            m.d.sync += product.eq(0)
        with m.Elif(self.runs):
            m.d.sync += product.eq(added >> 1)
        m.d.comb += self.mean.eq(product)
        return m
