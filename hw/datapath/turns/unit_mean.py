# SPDX-License-Identifier: Apache-2.0
"""The mean of a value over the units of a layer."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...words import MULT_BITS, SHIFT_BITS, UNIT_BITS

__all__ = ["UnitMean"]


class UnitMean(wiring.Component):
    """rshr(sum * mult, shift) of a value over units: `golden.cells.steps.mean`.

    The product is made a bit of mult a cycle, which takes no multiplier: there is one mean in a
    layer's turn, and the next turn waits for it.

    LATENCY: `shift` + 3 cycles from the last units to `done`. THROUGHPUT: `width` units a cycle.

    Parameters
    ----------
    value_bits, mean_bits : int
        Of the value and of its mean.
    width : int
        Units that come in one cycle.

    Members
    -------
    first, last : in, 1 bit
        With the first and with the last units.
    there : in, `width` bits
        Which values are units'.
    values : in, `width` times signed(value_bits), the first one low
    mult, shift : in, unsigned(15), unsigned(6)
        mult * 2**-shift is 1 / units, shift at least 14; taken a cycle after the last units.
    done : out, 1 bit
        The mean is that of all units so far; low from a first unit until then.
    mean : out, signed(mean_bits)
    """

    first: Signal
    last: Signal
    there: Signal
    values: Signal
    mult: Signal
    shift: Signal
    done: Signal
    mean: Signal

    def __init__(self, *, value_bits: int, mean_bits: int, width: int = 1) -> None:
        self._value_bits, self._width = value_bits, width
        super().__init__(
            {
                "first": In(1),
                "last": In(1),
                "there": In(width),
                "values": In(width * value_bits),
                "mult": In(unsigned(MULT_BITS)),
                "shift": In(unsigned(SHIFT_BITS)),
                "done": Out(1),
                "mean": Out(signed(mean_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self._value_bits + UNIT_BITS
        total = Signal(signed(bits))
        values = [
            Mux(self.there[n], self.values.word_select(n, self._value_bits).as_signed(), 0)
            for n in range(self._width)
        ]
        with m.If(self.there.any()):
            m.d.sync += total.eq(Mux(self.first, 0, total) + sum(values[1:], values[0]))

        # Twice the product, from mult's lowest bit on, shifted right by a bit in each cycle; the
        # bit that was shifted out last is the half that rounds.
        starts, left = Signal(), Signal(SHIFT_BITS + 1)
        mult, product, half = Signal(MULT_BITS), Signal(signed(bits + 1)), Signal()
        added = Signal(signed(bits + 2))
        m.d.sync += starts.eq(self.there.any() & self.last)
        m.d.comb += added.eq(product + Mux(mult[0], Cat(0, total).as_signed(), 0))
        with m.If(starts):
            m.d.sync += [mult.eq(self.mult), left.eq(self.shift + 1), product.eq(0), half.eq(0)]
        with m.Elif(left.any()):
            m.d.sync += [
                Cat(half, product).eq(added),
                mult.eq(mult >> 1),
                left.eq(left - 1),
            ]
            with m.If(left == 1):
                m.d.sync += self.done.eq(1)
        with m.If(self.there.any()):
            m.d.sync += self.done.eq(0)
        m.d.comb += self.mean.eq(product + half)
        return m
