# SPDX-License-Identifier: Apache-2.0
"""What a kind of lanes is given to build: D lanes of the MAC array that all see the same beat."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Value
from amaranth.lib import data


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneBlock:
    """D neighbouring lanes: totals[k] += digits[k] * delta, for the beat's delta or a term of it.

    Members
    -------
    m : Module
        Where the lanes are built.
    name : int
        The first lane's number.
    totals : out, signed
        Their sums, registers that the lanes drive.
    digits : in, unsigned
        Of the weights of the beat whose tag is `coming`.
    top : in, 1 bit
        They are their weights' top digits, and so signed; None: they always are.
    coming, now, later : in, `beat_tag`
        The beat's tag in three cycles that follow each other.
    add : in, 1 bit
        In `later`'s cycle: there is a beat.
    shared : bool
        Multipliers are there, and wide, so that lanes share them; of a chip's gates each lane has
        one that is as narrow as its factors.
    """

    m: Module
    name: int
    totals: Sequence[Value]
    digits: Sequence[Value]
    top: Value | None
    coming: data.View
    now: data.View
    later: data.View
    add: Value
    shared: bool = True

    def weights(self) -> list[Value]:
        """The digits with their sign; one bit more where they may have none."""
        if self.top is None:
            return [digit.as_signed() for digit in self.digits]
        return [Cat(digit, digit[-1] & self.top).as_signed() for digit in self.digits]


def add_with_carry(a: Value, b: Value, carry: Value) -> Value:
    """a + b + carry by one adder: signed, of one bit more than the wider one."""
    total: Value = (Cat(carry, a).as_signed() + Cat(carry, b).as_signed()).shift_right(1)
    return total
