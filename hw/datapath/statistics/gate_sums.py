# SPDX-License-Identifier: Apache-2.0
"""Sums and sums of squares of the values of each gate."""

from functools import reduce
from operator import add
from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...parts.pipeline import delay
from ...words import SLOTS
from .words import SQUARES_BITS, TOTAL_BITS


def sums_cycles(lanes: int) -> int:
    """Cycles from values to the sums that they are in."""
    return 2 if lanes == 1 else 3


class GateSums(wiring.Component):
    """Sum and sum of squares of int16 values, for each of `SLOTS` gates.

    LATENCY: `sums_cycles`. THROUGHPUT: `lanes` values a cycle, of any one gate. A multiplier a
    lane.

    Parameters
    ----------
    lanes : int

    Members
    -------
    valid : in, 1 bit
        There are values.
    mask : in, 1 bit by lane
        Which.
    gate : in, range(SLOTS)
        Whose they are.
    first : in, 1 bit
        The gate's sums start anew with them.
    value : in, signed(16) by lane
    total_at, squares_at : in, range(SLOTS)
        Which gate's sums are read: `sums_cycles` and more after its last value.
    total : out, signed(TOTAL_BITS)
    squares : out, unsigned(SQUARES_BITS)
        In the same cycle.
    """

    valid: Signal
    mask: Signal
    gate: Signal
    first: Signal
    value: Any
    total_at: Signal
    squares_at: Signal
    total: Signal
    squares: Signal

    def __init__(self, *, lanes: int = 1) -> None:
        self.lanes = lanes
        super().__init__(
            {
                "valid": In(1),
                "mask": In(lanes),
                "gate": In(range(SLOTS)),
                "first": In(1),
                "value": In(ArrayLayout(signed(16), lanes)),
                "total_at": In(range(SLOTS)),
                "squares_at": In(range(SLOTS)),
                "total": Out(signed(TOTAL_BITS)),
                "squares": Out(unsigned(SQUARES_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        masked = [self.value[0]]  # which is there wherever there is any
        if self.lanes > 1:
            masked = [Mux(self.mask[n], self.value[n], 0).as_signed() for n in range(self.lanes)]
        values = [delay(m, each, 1, f"value_{n}") for n, each in enumerate(masked)]
        squares = [delay(m, each * each, 1, f"square_{n}") for n, each in enumerate(masked)]
        total, square = reduce(add, values), reduce(add, squares)
        late = sums_cycles(self.lanes) - 1
        if self.lanes > 1:
            total, square = delay(m, total, 1, "added"), delay(m, square, 1, "added_squares")
        valid = delay(m, self.valid, late, "valid", reset=True)
        gate, first = delay(m, self.gate, late, "gate"), delay(m, self.first, late, "first")
        for name, shape, added in (
            ("total", signed(TOTAL_BITS), total),
            ("squares", unsigned(SQUARES_BITS), square[: 32 + self.lanes - 1]),
        ):
            memory: Any = Memory(shape=shape, depth=SLOTS, init=[])
            m.submodules[name] = memory
            old, found = memory.read_port(domain="comb"), memory.read_port(domain="comb")
            write = memory.write_port()
            m.d.comb += [
                old.addr.eq(gate),
                write.addr.eq(gate),
                write.en.eq(valid),
                write.data.eq(Mux(first, 0, old.data) + added),
                found.addr.eq(getattr(self, f"{name}_at")),
                getattr(self, name).eq(found.data),
            ]
        return m
