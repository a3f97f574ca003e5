# SPDX-License-Identifier: Apache-2.0
"""A described cell in integers: values with their formats, shifts and ranges, each of them once.

Interval arithmetic gives the least and the most that a value can be, whatever the int16 words that
enter the cell. What it cannot keep in its place is an error in the description, which `build`
reports with its line.
"""

from collections.abc import Mapping
from itertools import product
from typing import cast

import numpy as np

from ..arithmetic import code_range, rshr
from ..errors import UserError
from .nodes import Node, Shift, log4, walk
from .values import GATE, NORMAL, UNIT, WIDE, C, Format, Function, H, Value

__all__ = ["MOST_C_EXPONENT", "MOST_WIDE", "Graph", "Node", "Shift", "walk"]

MOST_C_EXPONENT = 7
"""Largest e_c of a cell that shifts by it."""
MOST_WIDE = 3
"""Largest e_c of a cell without c, whose wide gates end at +-64 then."""
MOST_V_EXPONENT = 12
VECTOR_SHIFT = 18
"""s, the shift from a vector's product with c to Q3.12, is this less e_v and e_c."""
MOST_BITS = 48
"""Of a value between two operations."""
MOST_MEAN_BITS = 36
"""Of what is summed over units."""
FORMATS: Mapping[str, Format] = {"gate": GATE, "wide": WIDE, "c": C, "h": H}


class Graph:
    """Makes the nodes of one cell from its values.

    formats: of each input by name. bounded: H is UNIT. c_like_h: H is C. most: the largest e_c.
    """

    def __init__(
        self,
        formats: Mapping[str, Format],
        *,
        bounded: bool = False,
        c_like_h: bool = False,
        most: int = MOST_C_EXPONENT,
    ) -> None:
        self._most = most
        self._h = UNIT if bounded else C if c_like_h else H
        self._formats = {name: self._resolve(format) for name, format in formats.items()}
        self._nodes: dict[tuple, Node] = {}
        self._made: dict[int, Node] = {}

    def node(self, value: Value) -> Node:
        """The value as an integer."""
        if id(value) not in self._made:
            self._made[id(value)] = getattr(self, f"_{value.op}")(value)
        return self._made[id(value)]

    def word(self, value: Value, format: Format, what: str) -> Node:
        """The value, which must be an int16 of this format."""
        found = self.node(value) if value.op != "const" else self._constant(value, format)
        format = self._resolve(format)
        if found.format != format:
            raise _error(value, f"{what} has {found.format}, it must have {format}; use rshr")
        if found.bits > 16:
            raise _error(value, f"{what} reaches {_range(found)}, beyond 16 bits; use sat16")
        return found

    def _resolve(self, format: Format) -> Format:
        if not format.h:
            return format
        fixed = Format(format.fraction, format.c, 0, format.v)
        for _ in range(format.h):
            fixed += self._h - UNIT
        return fixed

    def _new(
        self, op: str, args: tuple[Node, ...], attr: object, format: Format, low: int, high: int
    ) -> Node:
        key = (op, tuple(map(id, args)), id(attr) if isinstance(attr, Function) else attr)
        if key not in self._nodes:
            made = Node(op, args, attr, format, low, high, self._line)
            if made.bits > MOST_BITS:
                raise UserError(
                    f"{self._line}: {op} reaches {_range(made)}, a cell's values have at most "
                    f"{MOST_BITS} bits; use rshr or sat16 before it"
                )
            self._nodes[key] = made
        return self._nodes[key]

    _line = ""

    def _pair(self, value: Value) -> tuple[Node, Node]:
        """The arguments of + or -, in one format."""
        a, b = value.args
        if a.op == "const":
            right = self.node(b)
            left = self._constant(a, right.format)
        else:
            left = self.node(a)
            right = self._constant(b, left.format) if b.op == "const" else self.node(b)
        if left.format != right.format:
            raise _error(
                value,
                f"{value.op} of {left.format} and of {right.format}; bring both to one format "
                "with rshr",
            )
        self._line = value.line
        return left, right

    def _constant(self, value: Value, format: Format) -> Node:
        assert isinstance(value.attr, float)
        format = self._resolve(format)
        code = 0
        if value.attr:
            if format.c or format.h or format.v:
                raise _error(value, f"the constant {value.attr:g} has {format}, it must be fixed")
            code = int(np.floor(value.attr * 2.0**format.fraction + 0.5))
        self._line = value.line
        # An equal constant of another format is another node.
        return self._new("const", (), (code, format), format, code, code)

    def _input(self, value: Value) -> Node:
        name = str(value.attr)
        low, high = code_range(16)
        self._line = value.line
        return self._new("input", (), name, self._formats[name], low, high)

    def _table(self, value: Value) -> Node:
        function = value.attr
        assert isinstance(function, Function)
        p = self.word(value.args[0], function.takes, f"what enters {function.name}")
        results = function.table(np.arange(p.low, p.high + 1))
        self._line = value.line
        ends = int(results.min()), int(results.max())
        return self._new("table", (p,), function, function.gives, *ends)

    def _relu(self, value: Value) -> Node:
        v = self.node(value.args[0])
        self._line = value.line
        return self._rectified(v)

    def _rectified(self, v: Node) -> Node:
        if v.low >= 0:
            return v
        return self._new("relu", (v,), None, v.format, 0, max(v.high, 0))

    def _add(self, value: Value) -> Node:
        return self._sum(*self._pair(value))

    def _sum(self, a: Node, b: Node, between: tuple[int, int] | None = None) -> Node:
        if _is_zero(a):
            return b
        if _is_zero(b):
            return a
        low, high = between or (a.low + b.low, a.high + b.high)
        return self._new("add", (a, b), None, a.format, low, high)

    def _sub(self, value: Value) -> Node:
        return self._difference(*self._pair(value))

    def _difference(self, a: Node, b: Node) -> Node:
        if _is_zero(b):
            return a
        return self._new("sub", (a, b), None, a.format, a.low - b.high, a.high - b.low)

    def _mul(self, value: Value) -> Node:
        a, b = (self._constant(v, UNIT) if v.op == "const" else self.node(v) for v in value.args)
        self._line = value.line
        for each in (a, b):
            if each.bits > 18:
                raise _error(value, f"a factor reaches {_range(each)}, it may have 18 bits")
        return self._times(a, b)

    def _times(self, a: Node, b: Node) -> Node:
        ends = [x * y for x, y in product((a.low, a.high), (b.low, b.high))]
        if a is b and a.low < 0 < a.high:
            ends = [0, *(end for end in ends if end > 0)]
        return self._new("mul", (a, b), None, a.format + b.format, min(ends), max(ends))

    def _rshr(self, value: Value) -> Node:
        v, to = self.node(value.args[0]), value.attr
        assert isinstance(to, Format)
        self._line = value.line
        return self._shifted(v, self._resolve(to), value)

    def _reread(self, value: Value) -> Node:
        v, to = self.node(value.args[0]), value.attr
        assert isinstance(to, Format)
        self._line = value.line
        return self._new("rshr", (v,), Shift(0), to, v.low, v.high)

    def _shifted(self, v: Node, to: Format, value: Value) -> Node:
        shift = _shift(v.format - to, value, self._most)
        if shift.constant and shift.fixed == 0:
            return v
        if v.bits - shift.high < 1:
            raise _error(
                value,
                f"rshr by up to {shift.high} of {v.bits} bits leaves nothing, not even a sign",
            )
        ends = [int(rshr(e, n)) for e in (v.low, v.high) for n in (shift.low, shift.high)]
        return self._new("rshr", (v,), shift, to, min(ends), max(ends))

    def _sat(self, value: Value) -> Node:
        v = self.node(value.args[0])
        self._line = value.line
        low, high = code_range(16)
        ends = [min(max(end, low), high) for end in (v.low, v.high)]
        return self._new("sat", (v,), None, v.format, *ends)

    def _clip(self, value: Value) -> Node:
        found = self._sat(value)
        if found.format != UNIT:
            raise _error(value, f"within 0..1 or +-1 has {found.format}, it must have {UNIT}")
        return found

    def _mix(self, value: Value) -> Node:
        share = self.node(value.args[1])
        a, b = self._pair(Value("mix", (value.args[0], value.args[2]), line=value.line))
        if share.format != UNIT or share.low < 0 or share.high > 1 << UNIT.fraction:
            raise _error(
                value,
                f"mix's share has {share.format} and reaches {_range(share)}, it must be Q0.15 "
                "within 0..1, as sigmoid gives",
            )
        part = self._shifted(self._times(share, self._difference(b, a)), a.format, value)
        # Between a and b, rounding included.
        total = self._sum(a, part, (min(a.low, b.low), max(a.high, b.high)))
        low, high = (min(max(end, -32768), 32767) for end in (total.low, total.high))
        return self._new("sat", (total,), None, a.format, low, high)

    def _within(self, value: Value) -> Node:
        v, limit = self._pair(value)
        if limit.low < 0:
            raise _error(value, f"the limit reaches {_range(limit)}, it must not be negative")
        below = self._rectified(self._difference(limit, v))
        above = self._rectified(self._difference(self._sum(limit, limit), below))
        low, high = max(min(v.low, 0), -limit.high), min(max(v.high, 0), limit.high)
        return self._new("sub", (above, limit), None, v.format, low, high)

    def _mean(self, value: Value) -> Node:
        v = self.node(value.args[0])
        self._line = value.line
        if v.bits > MOST_MEAN_BITS:
            raise _error(
                value, f"mean's argument reaches {_range(v)}, it may have {MOST_MEAN_BITS} bits"
            )
        # The factor has a relative error of up to 2**-15, and the result is rounded.
        count = cast(int, value.attr)
        ends = [v.low // count, -(-v.high // count)]
        more = [(abs(end) >> 15) + (end != 0) for end in ends]
        return self._new("mean", (v,), value.attr, v.format, ends[0] - more[0], ends[1] + more[1])

    def _over_root(self, value: Value) -> Node:
        v, square = map(self.node, value.args)
        assert isinstance(value.attr, tuple)
        to, inverse = value.attr
        if square.low < 1:
            raise _error(
                value, f"the root's argument reaches {_range(square)}, it must be positive"
            )
        if square.format.fraction % 2 or any(
            each.c or each.h or each.v for each in (v.format, square.format, to)
        ):
            raise _error(
                value,
                f"over_root of {v.format} and {square.format} in {to}: all must be fixed, and the "
                "root's argument have an even number of fraction bits",
            )
        self._line = value.line
        ends = [log4(square.low), log4(square.high)]
        power = self._new("log4", (square,), None, Format(0), *ends)
        fraction = NORMAL.fraction
        ends = [1 << fraction, min((4 << fraction) - 1, max(square.high << fraction, 1))]
        normal = self._new("normal", (square, power), None, NORMAL, *ends)
        results = inverse.table(np.arange(normal.low, normal.high + 1))
        ends = [int(results.min()), int(results.max())]
        root = self._new("table", (normal,), inverse, UNIT, *ends)
        product_ = self._times(v, root)
        fixed = UNIT.fraction + v.format.fraction - square.format.fraction // 2 - to.fraction
        shift = Shift(fixed, 1, 0, fixed + power.low, fixed + power.high)
        if product_.bits - shift.high < 1:
            raise _error(value, f"over_root in {to} leaves nothing of {product_.bits} bits")
        ends = [
            int(rshr(e, n)) for e in (product_.low, product_.high) for n in (shift.low, shift.high)
        ]
        return self._new("scale", (product_, power), shift, to, min(ends), max(ends))

    def _source(self, value: Value) -> Node:
        return self.word(value.args[0], H, f"the source {value.attr}")

    def _const(self, value: Value) -> Node:
        raise _error(value, "a constant alone has no format; combine it with a value")


def _shift(difference: Format, value: Value, most: int) -> Shift:
    """The shift that takes away these fraction bits, with an e_c of at most so much."""
    if difference.h:
        raise _error(
            value,
            f"a shift by {difference} would depend on e_h, which no cell is given; keep the value "
            "in a state c like h",
        )
    c, v = -difference.c, -difference.v
    # e_v = VECTOR_SHIFT - s - e_c
    fixed, s, own = difference.fraction + v * VECTOR_SHIFT, -v, c - v
    amounts = []
    for e_c, e_v in product(range(most + 1), range(MOST_V_EXPONENT + 1)):
        shift = VECTOR_SHIFT - e_v - e_c
        if 0 <= shift <= VECTOR_SHIFT:
            amounts.append(fixed + own * e_c + s * shift)
    return (
        Shift(fixed, own, s, min(amounts), max(amounts))
        if own or s
        else Shift(fixed, low=fixed, high=fixed)
    )


def _is_zero(node: Node) -> bool:
    return node.op == "const" and node.low == 0


def _range(node: Node) -> str:
    return f"{node.low}..{node.high}"


def _error(value: Value, text: str) -> UserError:
    return UserError(f"{value.line}: {text}")
