# SPDX-License-Identifier: Apache-2.0
"""Lanes without a multiplier: a delta comes as signed powers of two, its terms.

The terms of a group come by binary digit, the highest first, and every two digits are a *level*: a
term of level k is 1 or 2 times 4**k, and between levels the sums are quadrupled (Horner's rule). So
a lane is an adder with a shift by one in front of the weight and one by two in front of the sum.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data

LEVEL_DIGITS = 2
"""Binary digits of a level. Of two neighbouring canonical digits at most one is not 0, so that a
delta has at most one term in a level."""

Term = data.StructLayout(
    {
        "negative": unsigned(1),
        "twice": unsigned(1),
        "nothing": unsigned(1),  # no term, and not negative: only quadruples
        "raise": unsigned(1),  # the first of a lower level: the sum so far is quadrupled
    }
)
"""What a lane adds to its sum: +-1 or +-2 times the weight."""


def term_levels(digits: int) -> int:
    """Levels of deltas with so many binary digits; there are always several."""
    return max(2, -(-digits // LEVEL_DIGITS))


def shift_add_lane(
    m: Module, n: int, total: Value, weight: Value, now: data.View, later: data.View, add: Value
) -> None:
    """Lane n: total +-= weight or twice that, of the beat whose tag is `now`, one cycle later.

    now: the tag beside the weight; later: the same a cycle later, when `add` says that it counts.
    The sum is of as many bits as a group's end needs; on its way there it may wrap, which changes
    nothing: shifts and additions are exact modulo a power of two.
    """
    term = Signal(signed(len(weight) + 1), name=f"term_{n}")
    whole = Mux(now.d.twice, weight << 1, weight)
    # A negative term is added as its complement and one, which is the carry into the lowest bit.
    with m.If(now.d.nothing):
        m.d.sync += term.eq(0)
    with m.Else():
        m.d.sync += term.eq(Mux(now.d.negative, ~whole, whole))
    carry = later.d.negative
    before = Mux(later.first, 0, Mux(later.d["raise"], total << LEVEL_DIGITS, total))[: len(total)]
    with m.If(add):
        m.d.sync += total.eq((Cat(carry, before) + Cat(carry, term).as_signed()) >> 1)
