# SPDX-License-Identifier: Apache-2.0
"""What a described cell is made of in integers: `graph` makes it of values."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, cast

from ..arithmetic import Ints
from .values import Format, Function

__all__ = ["Node", "Operation", "Shift", "log4", "walk"]


class Operation(Protocol):
    """An operation that computes itself, and that the hardware has a component for."""

    @property
    def name(self) -> str: ...
    def run(self, e_c: int, *args: Ints) -> Ints:
        """On whole arrays of units, int64."""


@dataclass(frozen=True, slots=True)
class Shift:
    """The amount of a right shift: fixed + c * e_c + s * vector_shift; low, high: its range."""

    fixed: int
    c: int = 0
    s: int = 0
    low: int = 0
    high: int = 0

    def amount(self, c_exponent: int, vector_shift: int) -> int:
        return self.fixed + self.c * c_exponent + self.s * vector_shift

    @property
    def constant(self) -> bool:
        return not (self.c or self.s)


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """An integer of each unit.

    op: input, const, table, relu, add, sub, mul, rshr or sat; mean, over the units; of a positive
    v, log4: k = floor(log4(v)), and normal: 2**13 v / 4**k, from v and k; scale: rshr of the first
    argument by the shift with the second one in the place of e_c; down: v, less 1 where it is
    negative; own: what its `Operation` does. attr: an input's name, a constant, a `Function`, a
    `Shift` or an `Operation`; of sat its bits, where they are not 16; of mean how many values its
    argument is the sum of. low, high: its range. line:
    FILE:LINE.
    """

    op: str
    args: tuple["Node", ...]
    attr: object
    format: Format
    low: int
    high: int
    line: str

    @property
    def bits(self) -> int:
        """Width of a signed word that holds it."""
        return max(self.high, ~self.low, 0).bit_length() + 1

    @property
    def shift(self) -> Shift:
        assert isinstance(self.attr, Shift)
        return self.attr

    @property
    def operation(self) -> Operation:
        return cast(Operation, self.attr)

    @property
    def function(self) -> Function:
        assert isinstance(self.attr, Function)
        return self.attr


def log4(value: int) -> int:
    """floor(log4(value)) of a positive number."""
    return (value.bit_length() - 1) // 2


def walk(roots: Iterable[Node]) -> Iterator[Node]:
    """Every node that these need and themselves, each once and after its arguments."""
    seen: set[int] = set()

    def visit(node: Node) -> Iterator[Node]:
        if id(node) not in seen:
            seen.add(id(node))
            for arg in node.args:
                yield from visit(arg)
            yield node

    for root in roots:
        yield from visit(root)
