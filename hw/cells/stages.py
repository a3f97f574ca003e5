# SPDX-License-Identifier: Apache-2.0
"""What several cells are made of: activations, and one state drawn toward another by a gate."""

from amaranth.hdl import Cat, Module, Signal, Value, signed

from ...golden import activations
from .activation import Activation

__all__ = ["activate", "add_rounded", "blend"]


def activate(m: Module, p: Value, table: activations.Table, name: str) -> Signal:
    """`table` of p (Q3.12), Activation.LATENCY cycles later."""
    m.submodules[name] = activation = Activation(table)
    m.d.comb += activation.p.eq(p)
    return activation.o


def add_rounded(base: Value, product: Value) -> Value:
    """base + rshr(product, 15), in one adder: the half bit enters as its carry."""
    total: Value = Cat(1, base).as_signed() + product.shift_right(14)
    return total.shift_right(1)


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
