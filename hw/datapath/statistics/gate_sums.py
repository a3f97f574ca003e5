# SPDX-License-Identifier: Apache-2.0
"""Sums and sums of squares of the values of each gate."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
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
    at : in, range(SLOTS)
        Which gate's sums are read, in a cycle in which no value was added: LATENCY cycles and more
        after the last one.
    total : out, signed(TOTAL_BITS)
    squares : out, unsigned(SQUARES_BITS)
        In the same cycle as `at`.
    """

    valid: Signal
    gate: Signal
    first: Signal
    value: Signal
    at: Signal
    total: Signal
    squares: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "valid": In(1),
                "gate": In(range(SLOTS)),
                "first": In(1),
                "value": In(signed(16)),
                "at": In(range(SLOTS)),
                "total": Out(signed(TOTAL_BITS)),
                "squares": Out(unsigned(SQUARES_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sums = StructLayout({"total": signed(TOTAL_BITS), "squares": unsigned(SQUARES_BITS)})
        memory: Any = Memory(shape=sums, depth=SLOTS, init=[])
        m.submodules.memory = memory
        read, write = memory.read_port(domain="comb"), memory.write_port()

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
        old: Any = read.data
        m.d.comb += [
            read.addr.eq(Mux(valid, gate, self.at)),
            write.addr.eq(gate),
            write.en.eq(valid),
            write.data.total.eq(Mux(first, 0, old.total) + value),
            write.data.squares.eq(Mux(first, 0, old.squares) + square.as_unsigned()),
            self.total.eq(old.total),
            self.squares.eq(old.squares),
        ]
        return m
