# SPDX-License-Identifier: Apache-2.0
"""Sums and sums of squares of the values of each gate."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...words import SLOTS
from .words import SQUARES_BITS, TOTAL_BITS

LATENCY = 2
"""Cycles from a value to the sums that it is in."""


class GateSums(wiring.Component):
    """Sum and sum of squares of int16 values, for each of `SLOTS` gates.

    LATENCY: 2. THROUGHPUT: a value a cycle, of any gate. One multiplier.

    Members
    -------
    valid : in, 1 bit
        There is a value.
    gate : in, range(SLOTS)
        Whose it is.
    first : in, 1 bit
        The gate's sums start anew with it.
    value : in, signed(16)
    total_at, squares_at : in, range(SLOTS)
        Which gate's sums are read: LATENCY cycles and more after its last value.
    total : out, signed(TOTAL_BITS)
    squares : out, unsigned(SQUARES_BITS)
        In the same cycle.
    """

    valid: Signal
    gate: Signal
    first: Signal
    value: Signal
    total_at: Signal
    squares_at: Signal
    total: Signal
    squares: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "valid": In(1),
                "gate": In(range(SLOTS)),
                "first": In(1),
                "value": In(signed(16)),
                "total_at": In(range(SLOTS)),
                "squares_at": In(range(SLOTS)),
                "total": Out(signed(TOTAL_BITS)),
                "squares": Out(unsigned(SQUARES_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid, gate, first = Signal(), Signal.like(self.gate), Signal()
        value = Signal(signed(16), reset_less=True)
        square = Signal(signed(32), reset_less=True)
        m.d.sync += [
            valid.eq(self.valid),
            gate.eq(self.gate),
            first.eq(self.first),
            value.eq(self.value),
            square.eq(self.value * self.value),
        ]
        for name, shape, added in (
            ("total", signed(TOTAL_BITS), value),
            ("squares", unsigned(SQUARES_BITS), square.as_unsigned()),
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
