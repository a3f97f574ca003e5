# SPDX-License-Identifier: Apache-2.0
"""Lanes that multiply: wide weights have a multiplier each, narrow ones share it or need none.

A multiplier of 18 x 18 bits takes the weights of several lanes side by side, s bits apart:
(w0 + w1 * 2**s) * d = w0 * d + w1 * d * 2**s. A product of a b-bit digit and a delta of n bits fits
s = b + n bits with its sign, so a lane's field is its product, less one where what lies below is
negative: that sign is added again, as the carry into the lane's sum, which costs nothing. In a
chip, whose multipliers are gates, each lane has its own.

A digit of two bits is two terms, d and 2d, and one adder: less than what its part of a multiplier
would cost if multipliers were made of LUTs.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Mux, Signal, Value

from ...parts.arithmetic import FACTOR_BITS
from .block import LaneBlock, add_with_carry

TERMS_BITS = 2
"""Digits of so many bits take no multiplier."""


def lanes_per_multiplier(digit_bits: int, delta_bits: int) -> int:
    """How many lanes share a multiplier, for digits of so many bits and signed deltas."""
    # one bit more: for a digit that is not its weight's top one, and for what is borrowed
    return 1 + max(0, FACTOR_BITS - digit_bits - 1) // (digit_bits + delta_bits)


def multiplier_lanes(block: LaneBlock) -> None:
    """Lanes for deltas as numbers: a product, a cycle later its sum."""
    digit_bits, delta_bits = len(block.digits[0]), len(block.now.d)
    if digit_bits == TERMS_BITS:
        _two_terms(block)
        return
    weights = block.weights()
    together = lanes_per_multiplier(digit_bits, delta_bits) if block.shared else 1
    for n in range(0, len(weights), together):
        _one_multiplier(block, n, weights[n : n + together], spacing=digit_bits + delta_bits)


def _one_multiplier(block: LaneBlock, n: int, weights: Sequence[Value], *, spacing: int) -> None:
    """Lanes n, n + 1, ..: their products by one multiplier, `spacing` bits apart."""
    together = _side_by_side(weights, spacing) if len(weights) > 1 else weights[0]
    factor = Signal(together.shape(), name=f"factor_{block.name + n}")
    product = Signal((factor * block.now.d).shape(), name=f"product_{block.name + n}")
    block.m.d.sync += [factor.eq(together), product.eq(factor * block.now.d)]
    for k in range(len(weights)):
        end = (k + 1) * spacing if k + 1 < len(weights) else len(product)
        below = product[k * spacing - 1] if k else None
        _accumulate(block, n + k, product[k * spacing : end].as_signed(), below)


def _side_by_side(weights: Sequence[Value], spacing: int) -> Value:
    """The sum of weights[k] * 2**(k * spacing): each but for a one that those below borrow."""
    borrow: Value = Const(0)
    fields = []
    for weight in weights:
        # weight - borrow, where an adder's carry cells would be twice as many LUTs
        wide = Cat(weight, weight[-1])
        field = Cat(*(bit ^ (borrow & ~wide[:n].any()) for n, bit in enumerate(wide)))
        borrow = field[-1]
        fields.append(field)
    *low, top = fields
    parts = [Cat(field, field[-1].replicate(spacing))[:spacing] for field in low]
    return Cat(*parts, top).as_signed()


def _two_terms(block: LaneBlock) -> None:
    """Products of two-bit digits: d * digit[0] +- 2d * digit[1], minus where it is a sign."""
    m, delta = block.m, block.coming.d
    negative: Value = Const(1) if block.top is None else block.top
    twice = Signal(len(delta) + 2, name=f"twice_{block.name}")
    minus = Signal(name=f"minus_{block.name}")
    # 2d, or its complement: that and the carry of one are -2d
    m.d.sync += [
        twice.eq(Cat(negative, delta, delta[-1]) ^ Cat(0, negative.replicate(len(delta) + 1))),
        minus.eq(negative),
    ]
    for n, digit in enumerate(block.digits):
        weight = Signal(TERMS_BITS, name=f"weight_{block.name + n}")
        product = Signal(len(delta) + TERMS_BITS, name=f"product_{block.name + n}")
        once = Cat(block.now.d, block.now.d[-1].replicate(2)) & weight[0].replicate(len(product))
        carry = weight[1] & minus
        other = twice & weight[1].replicate(len(product))
        m.d.sync += [
            weight.eq(digit),
            product.eq(add_with_carry(once.as_signed(), other.as_signed(), carry)),
        ]
        _accumulate(block, n, product.as_signed(), None)


def _accumulate(block: LaneBlock, n: int, product: Value, carry: Value | None) -> None:
    """Lane n's sum: the product, and a carry; of a group's first beat, nothing else."""
    total = block.totals[n]
    before = Mux(block.later.first, 0, total)
    with block.m.If(block.add):
        if carry is None:
            block.m.d.sync += total.eq(before + product)
        else:
            block.m.d.sync += total.eq(add_with_carry(before, product, carry))
