# SPDX-License-Identifier: Apache-2.0
"""Lanes without a multiplier: a delta comes as signed powers of two, its terms.

The terms of a group come by binary digit, the highest first, and every two digits are a *level*: a
term of level k is 1 or 2 times 4**k, and between levels the sums are quadrupled (Horner's rule). So
a lane is an adder with a shift by one in front of the weight and one by two in front of the sum.
"""

from amaranth.hdl import Mux, Signal, signed

from ...words import LEVEL_DIGITS
from .block import LaneBlock, add_with_carry


def shift_add_lanes(block: LaneBlock) -> None:
    """Lanes for terms: the weight, once or twice, added or subtracted.

    A sum is of as many bits as a group's end needs; on its way there it may wrap, which changes
    nothing: shifts and additions are exact modulo a power of two.
    """
    m, now, later = block.m, block.now, block.later
    for n, (total, signed_digit) in enumerate(zip(block.totals, block.weights(), strict=True)):
        weight = Signal(signed_digit.shape(), name=f"weight_{block.name + n}")
        term = Signal(signed(len(weight) + 1), name=f"term_{block.name + n}")
        m.d.sync += weight.eq(signed_digit)
        whole = Mux(now.d.twice, weight << 1, weight)
        # A negative term is added as its complement and one: the carry into the lowest bit.
        with m.If(now.d.nothing):
            m.d.sync += term.eq(0)
        with m.Else():
            m.d.sync += term.eq(Mux(now.d.negative, ~whole, whole))
        raised = Mux(later.d["raise"], total << LEVEL_DIGITS, total)
        before = Mux(later.first, 0, raised)[: len(total)]
        with m.If(block.add):
            m.d.sync += total.eq(add_with_carry(before, term, later.d.negative))
