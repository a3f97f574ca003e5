# SPDX-License-Identifier: Apache-2.0
"""The inverse roots of some variances, which hold for a layer's turn: one circuit for all."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...golden.activations import Curve
from ...golden.cells.values import NORMAL
from ..parts.arithmetic import SHIFT_STAGE_BITS
from ..parts.pipeline import delay, select
from .curve import CurveTable

__all__ = ["Roots", "floor_log4", "roots_cycles", "roots_registers"]


def floor_log4(value: Value, most: int, bits: int) -> Value:
    """floor(log4(value)) of a positive value, at most `most`, as a signed number of `bits` bits."""
    reaches = [value[2 * n : -1].any() for n in range(most + 1)]
    ends = [a & ~b for a, b in pairwise([*reaches, Const(0)])]
    places = [
        Cat(*(end for n, end in enumerate(ends) if n >> bit & 1)).any() for bit in range(bits - 1)
    ]
    return Cat(*places, 0).as_signed()


def roots_cycles(count: int, most: int) -> int:
    """Cycles from where `count` values hold to where all of their roots do."""
    shifting = -(-max(1, most.bit_length()) // SHIFT_STAGE_BITS)
    return count - 1 + 2 + shifting + CurveTable.LATENCY + 1


def roots_registers(count: int, value_bits: int, most: int) -> tuple[int, int]:
    """Flip-flops of `Roots` without those of its table, and bits of its shifters."""
    places = range(0, max(1, most.bit_length()), SHIFT_STAGE_BITS)
    shifted = sum(16 + 2 * ((1 << at) - 1) for at in places)
    powers = most.bit_length() * (len(places) + 1 + CurveTable.LATENCY + count)
    return 2 * value_bits + shifted + powers + 16 * count, shifted


class Roots(wiring.Component):
    """Take 1 / sqrt of values that stay as they are: `golden.cells.values.over_root`.

    v = m * 4**k with m in 1..4: k, and 1 / sqrt(m) by the table. The values are taken one after the
    other, over and over, so that nobody has to say when they change.

    LATENCY: `roots_cycles` from where the values hold. One block RAM, one multiplier.

    Parameters
    ----------
    count, value_bits : int
        How many values, and the bits of one.
    most : int
        Largest k.
    table : Curve
        1 / sqrt(m) in Q0.15 of m in Q2.13.

    Members
    -------
    values : in, signed(value_bits) each, positive
    powers : out, unsigned each
        k.
    roots : out, signed(16) each
    """

    values: list[Signal]
    powers: list[Signal]
    roots: list[Signal]

    def __init__(self, *, count: int, value_bits: int, most: int, table: Curve) -> None:
        self._count, self._most, self._table = count, most, table
        self._bits = max(1, most.bit_length())
        super().__init__(
            {
                "values": In(signed(value_bits)).array(count),
                "powers": Out(unsigned(self._bits)).array(count),
                "roots": Out(signed(16)).array(count),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        index = Signal(range(self._count))
        with m.If(index == self._count - 1):
            m.d.sync += index.eq(0)
        with m.Else():
            m.d.sync += index.eq(index + 1)

        # Chosen; its power; shifted to the right by twice that, the coarsest bits first.
        value = delay(m, select(self.values, index), 1, "value").as_signed()
        power = floor_log4(value, self._most, self._bits + 1)[: self._bits]
        value, power = delay(m, value, 1, "known"), delay(m, power, 1, "power")
        normal: Value = Cat(Const(0, NORMAL.fraction), value)
        cycles = 2
        for at in reversed(range(0, self._bits, SHIFT_STAGE_BITS)):
            part = power[at : at + SHIFT_STAGE_BITS]
            left = 16 + 2 * ((1 << at) - 1)  # bits that the finer shifts still need
            normal = (normal >> Cat(Const(0, at + 1), part))[:left]
            normal, power = delay(m, normal, 1, f"by_{at}"), delay(m, power, 1, f"power_{at}")
            cycles += 1

        m.submodules.table = table = CurveTable(self._table)
        m.d.comb += table.p.eq(normal[:16])
        behind = delay(m, power, CurveTable.LATENCY, "behind")
        whose = delay(m, index, cycles + CurveTable.LATENCY, "whose")
        for n in range(self._count):
            with m.If(whose == n):
                m.d.sync += [self.powers[n].eq(behind), self.roots[n].eq(table.o)]
        return m
