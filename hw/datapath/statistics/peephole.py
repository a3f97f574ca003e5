# SPDX-License-Identifier: Apache-2.0
"""What a gate sees of the cell state before it is normalised."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...cells.base import STATE_LATENCY
from ...parts.arithmetic import sat16
from ...parts.pipeline import delay
from .normalizer import unit_cycles

PRODUCT = STATE_LATENCY + 1
"""Cycles from a value to its product of weight and cell state."""


def peephole_latency() -> int:
    """Cycles from a value to what the peephole makes of it."""
    return PRODUCT + unit_cycles(True) + 1


class Peephole(wiring.Component):
    """o = sat16(value + rescale(weight * c, mult, -shift)), by a rescaler that is not its own.

    LATENCY: `peephole_latency`. THROUGHPUT: a value a cycle. One multiplier.

    Members
    -------
    value : in, signed(16)
    weight, c : in, signed(16)
        STATE_LATENCY cycles later.
    product : out, signed(32)
        For the rescaler, PRODUCT cycles after value.
    rescaled : in, signed(32)
        What that gives, `unit_cycles` later.
    o : out, signed(16)
    """

    value: Signal
    weight: Signal
    c: Signal
    product: Signal
    rescaled: Signal
    o: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "value": In(signed(16)),
                "weight": In(signed(16)),
                "c": In(signed(16)),
                "product": Out(signed(32)),
                "rescaled": In(signed(32)),
                "o": Out(signed(16)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        value = delay(m, self.value, peephole_latency() - 1, "value")
        total = value.as_signed() + self.rescaled
        m.d.comb += [
            self.product.eq(delay(m, self.weight * self.c, 1, "product")),
            self.o.eq(delay(m, sat16(total), 1, "o")),
        ]
        return m
