# SPDX-License-Identifier: Apache-2.0
"""Sigmoid and tanh: one block RAM of start values and slopes, interpolated."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...golden.activations import FRACTION_BITS, SEGMENTS, SLOPE_BITS, Table
from ..parts.pipeline import delay

__all__ = ["Activation"]


class Activation(wiring.Component):
    """A `golden.activations.Table` in hardware, equal to it for every input.

    One result a cycle, LATENCY cycles after its input. One block RAM, one multiplier.

    A negative p is mirrored by inverting its bits: |p| = ~p + 1, where the 1 is added only within
    the segment. A step of 64 there is exact, since a segment ends where the next one starts.

    Parameters
    ----------
    table : golden.activations.Table

    Members
    -------
    p : In(signed(16))
        Q3.12.
    o : Out(signed(16))
        Q0.15.
    """

    LATENCY = 4

    p: Signal
    o: Signal

    def __init__(self, table: Table) -> None:
        # -32768 reaches the end of the last segment, which golden stops one step before.
        if int(table.slope[-1]) > 1 << (FRACTION_BITS - 1):
            raise ValueError(
                f"table: the last slope must be at most {1 << (FRACTION_BITS - 1)}, "
                f"got {int(table.slope[-1])}"
            )
        self.table = table
        super().__init__({"p": In(signed(16)), "o": Out(signed(16))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row = StructLayout({"start": unsigned(15), "slope": unsigned(SLOPE_BITS)})
        memory: Any = Memory(
            shape=row,
            depth=SEGMENTS,
            init=[
                {"start": int(start), "slope": int(slope)}
                for start, slope in zip(self.table.start, self.table.slope, strict=True)
            ],
            attrs={"rom_style": "block", "ram_style": "block"},
        )
        m.submodules.memory = memory
        port = memory.read_port()

        # Cycle 0: the memory reads the segment; the step within it is 0..64.
        mirror = self.p[-1]
        magnitude = self.p[:-1] ^ mirror.replicate(15)
        m.d.comb += port.addr.eq(magnitude[FRACTION_BITS:])
        step_read = Signal(FRACTION_BITS + 1)
        m.d.sync += step_read.eq(magnitude[:FRACTION_BITS] + mirror)

        # Cycle 1: a register after the memory, whose own clock-to-output time is long.
        start = delay(m, port.data.start, 1, "start")
        slope = delay(m, port.data.slope, 1, "slope")
        step = delay(m, step_read, 1, "step")

        # Cycle 2: the rise; and where a negative input starts from, -start or 1 - start.
        rise = Signal(SLOPE_BITS + FRACTION_BITS)
        origin = Signal(signed(17))
        # The negation is an inversion and the adder's carry.
        negative = delay(m, mirror, 2, "negative")
        flipped = Cat(start ^ negative.replicate(len(start)), Const(0, 1))
        if not self.table.complement:
            flipped = Cat(flipped[:-1], negative, negative)
        m.d.sync += [rise.eq(slope * step), origin.eq(flipped.as_signed() + negative)]

        # Cycle 3: origin +- rshr(rise, 6). The half bit enters as the adder's carry; to subtract,
        # all bits are inverted: -(q + half) = ~q + 1 - half = ~q + ~half.
        negative = delay(m, negative, 1, "negative_rise")
        rounded = rise[FRACTION_BITS - 1 :] ^ negative.replicate(SLOPE_BITS + 1)
        half, change = rounded[0], Cat(rounded[1:], negative).as_signed()
        total = Signal(signed(17))
        m.d.sync += total.eq(Cat(1, origin).as_signed() + Cat(half, change).as_signed())
        m.d.comb += self.o.eq(total.shift_right(1))
        return m
