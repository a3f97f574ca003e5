# SPDX-License-Identifier: Apache-2.0
"""What several cells are made of: activations, and one state drawn toward another by a gate."""

from amaranth.hdl import Module, Signal, Value, signed

from ...golden import activations
from ...golden.models.network import MAX_VECTOR_SHIFT
from ..parts.arithmetic import Rescale, add_halves, rescale_latency, sat, sat16
from ..parts.pipeline import delay
from .activation import Activation

__all__ = ["PEEPHOLE_LATENCY", "activate", "add_rounded", "blend", "peephole"]

PEEP_BITS = 18
"""Bits that v * c is saturated to: what leaves them saturates together with any int16 too."""


PEEPHOLE_LATENCY = rescale_latency(16, 0, MAX_VECTOR_SHIFT) + 2 + Activation.LATENCY
"""Cycles of `peephole`."""


def activate(m: Module, p: Value, table: activations.Table, name: str) -> Signal:
    """`table` of p (Q3.12), Activation.LATENCY cycles later."""
    m.submodules[name] = activation = Activation(table)
    m.d.comb += activation.p.eq(p)
    return activation.o


def add_rounded(base: Value, product: Value) -> Value:
    """base + rshr(product, 15), in one adder."""
    return add_halves(base, product.shift_right(14))


def blend(m: Module, base: Value, other: Value, gate: Value, name: str) -> Value:
    """base + rshr(gate * (other - base), 15) of int16 values; gate in Q0.15, 0..32767.

    base and other come in cycle 0, gate in cycle 1; the result holds in cycle 2, behind an adder.
    It lies between base and other, rounding included, so it needs no saturation.
    """
    difference = Signal(signed(17), name=f"{name}_difference", reset_less=True)
    product = Signal(signed(32), name=f"{name}_product", reset_less=True)
    late = [Signal(signed(16), name=f"{name}_base_{n}", reset_less=True) for n in range(2)]
    m.d.sync += [
        difference.eq(other - base),
        product.eq(gate * difference),
        late[0].eq(base),
        late[1].eq(late[0]),
    ]
    return add_rounded(late[1], product)[:16].as_signed()


def peephole(m: Module, p: Value, c: Value, vector: Value, shift: Value, name: str) -> Value:
    """sigmoid(sat16(p + rshr(vector * c, shift))), PEEPHOLE_LATENCY cycles later."""
    m.submodules[f"{name}_peep"] = peep = Rescale(
        value_bits=16, shift_min=0, shift_max=MAX_VECTOR_SHIFT, out_bits=32
    )
    m.d.comb += [peep.value.eq(c), peep.mult.eq(vector), peep.shift.eq(shift)]
    clipped = delay(m, sat(peep.o, PEEP_BITS), 1, f"{name}_clipped")
    late = delay(m, p, peep.latency + 1, f"{name}_p")
    argument = delay(m, sat16(late + clipped), 1, f"{name}_argument")
    return activate(m, argument, activations.sigmoid(), name)
