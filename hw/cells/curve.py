# SPDX-License-Identifier: Apache-2.0
"""Any function of a word: one block RAM of start values and slopes, interpolated."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...golden.activations import CURVE_FRACTION_BITS, CURVE_SLOPE_BITS, SEGMENTS, Curve
from ..parts.pipeline import delay
from .activation import Activation

__all__ = ["CurveTable"]


class CurveTable(wiring.Component):
    """A `golden.activations.Curve` in hardware, equal to it for every word.

    One result a cycle, LATENCY cycles after its input. One block RAM, one multiplier.

    Parameters
    ----------
    table : golden.activations.Curve

    Members
    -------
    p : In(signed(16))
    o : Out(signed(16))
    """

    LATENCY = Activation.LATENCY

    p: Signal
    o: Signal

    def __init__(self, table: Curve) -> None:
        self.table = table
        super().__init__({"p": In(signed(16)), "o": Out(signed(16))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row = StructLayout({"start": signed(16), "slope": signed(CURVE_SLOPE_BITS)})
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
        m.d.comb += port.addr.eq(self.p[CURVE_FRACTION_BITS:])

        # Cycle 1: a register after the memory, as in `Activation`.
        start = delay(m, port.data.start, 2, "start")
        slope = delay(m, port.data.slope, 1, "slope")
        fraction = delay(m, self.p[:CURVE_FRACTION_BITS], 2, "fraction")

        # Cycle 2: the rise. Cycle 3: start + rshr(rise, 7), the half bit being the adder's carry.
        rise = Signal(signed(CURVE_SLOPE_BITS + CURVE_FRACTION_BITS))
        m.d.sync += rise.eq(slope * Cat(fraction, Const(0, 1)).as_signed())
        half, change = rise[CURVE_FRACTION_BITS - 1], rise[CURVE_FRACTION_BITS:].as_signed()
        total = Signal(signed(17))
        m.d.sync += total.eq(Cat(1, start).as_signed() + Cat(half, change).as_signed())
        m.d.comb += self.o.eq(total.shift_right(1))
        return m
