# SPDX-License-Identifier: Apache-2.0
"""A described cell's steps: in integers from its graph, in reals from its values."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from ..arithmetic import Ints, Reals, multiplier, rshr, sat16
from .graph import Node, Shift, walk
from .values import NORMAL, Function, Value

__all__ = ["Integers", "count_products", "mean", "one_over", "real_values"]

Call = Callable[[list, int, int], Any]
"""An operation on the slots of a run, with e_c and the vector shift."""


class Integers:
    """The values of some nodes on whole arrays of units: exact, int64.

    What is no longer needed is dropped at once, as the parts of one expression would be.
    """

    def __init__(self, outputs: Sequence[Node]) -> None:
        nodes = list(walk(outputs))
        slot: dict[int, int] = {}
        for n, node in enumerate(nodes):
            slot[id(node)] = slot[id(node.args[0])] if _idle(node) else n
        self._outputs = [slot[id(node)] for node in outputs]
        last = {slot[id(arg)]: n for n, node in enumerate(nodes) for arg in node.args}
        kept = {*self._outputs}
        self._inputs = [(n, node.attr) for n, node in enumerate(nodes) if node.op == "input"]
        self._constants = [
            (n, np.int64(node.low)) for n, node in enumerate(nodes) if node.op == "const"
        ]
        self._program = [
            (
                n,
                _call(node, [slot[id(arg)] for arg in node.args]),
                [own for own, end in last.items() if end == n and own not in kept],
            )
            for n, node in enumerate(nodes)
            if node.op not in ("input", "const") and not _idle(node)
        ]
        self._slots = len(nodes)

    def __call__(
        self, inputs: Mapping[str, Ints], c_exponent: int, vector_shift: int
    ) -> list[Ints]:
        slots: list[Any] = [None] * self._slots
        for n, name in self._inputs:
            slots[n] = inputs[name]  # type: ignore[index]
        for n, constant in self._constants:
            slots[n] = constant
        for n, call, ended in self._program:
            slots[n] = call(slots, c_exponent, vector_shift)
            for old in ended:
                slots[old] = None
        return [slots[n] for n in self._outputs]


def _idle(node: Node) -> bool:
    """Whether it is a saturation that never saturates."""
    return node.op == "sat" and node.args[0].bits <= 16


def _call(node: Node, args: list[int]) -> Call:
    a, b = args[0], args[-1]
    if node.op == "table":
        table = node.function.table
        return lambda slots, e_c, s: table(slots[a])
    if node.op == "rshr":
        return _shift(node.shift, a)
    if node.op == "scale":
        fixed = node.shift.fixed
        return lambda slots, e_c, s: rshr(slots[a], slots[b] + fixed)
    calls: Mapping[str, Call] = {
        "relu": lambda slots, e_c, s: np.maximum(slots[a], 0),
        "add": lambda slots, e_c, s: slots[a] + slots[b],
        "sub": lambda slots, e_c, s: slots[a] - slots[b],
        "mul": lambda slots, e_c, s: slots[a] * slots[b],
        "sat": lambda slots, e_c, s: sat16(slots[a]),
        "mean": lambda slots, e_c, s: mean(slots[a]),
        "log4": lambda slots, e_c, s: np.frexp(slots[a])[1].astype(np.int64) - 1 >> 1,
        "normal": lambda slots, e_c, s: slots[a] << NORMAL.fraction >> 2 * slots[b],
    }
    return calls[node.op]


def mean(v: Ints) -> Ints:
    """The mean over units, which are the last axis: rshr(sum * mult, shift), as in docs."""
    total: Ints = np.sum(v, axis=-1, keepdims=True)
    return rshr(total * one_over(v.shape[-1])[0], one_over(v.shape[-1])[1])


@cache
def one_over(units: int) -> tuple[int, int]:
    """(mult, shift) of 1 / units."""
    return multiplier(1 / units)


def _shift(shift: Shift, a: int) -> Call:
    if shift.constant:
        fixed = shift.fixed
        return lambda slots, e_c, s: rshr(slots[a], fixed)
    amount = shift.amount
    return lambda slots, e_c, s: rshr(slots[a], amount(e_c, s))


def real_values(outputs: Sequence[Value], inputs: Mapping[str, Reals]) -> list[Any]:
    """The same values in reals."""
    done: dict[int, Any] = {}

    def real(value: Value) -> Any:
        if id(value) not in done:
            done[id(value)] = _real(value, inputs, [real(arg) for arg in value.args])
        return done[id(value)]

    return [real(value) for value in outputs]


def _real(value: Value, inputs: Mapping[str, Reals], args: list[Any]) -> Any:
    match value.op:
        case "input":
            return inputs[str(value.attr)]
        case "const":
            return value.attr
        case "table":
            assert isinstance(value.attr, Function)
            return value.attr.real(args[0])
        case "relu":
            return np.maximum(args[0], 0)
        case "clip":
            return np.clip(args[0], -1, 1)
        case "mean":
            return np.mean(args[0], axis=-1, keepdims=True)
        case "over_root":
            return args[0] / np.sqrt(args[1])
        case "within":
            return np.clip(args[0], -args[1], args[1])
        case "add":
            return args[0] + args[1]
        case "sub":
            return args[0] - args[1]
        case "mul":
            return args[0] * args[1]
        case "mix":
            a, share, b = args
            return (1 - share) * a + share * b
    return args[0]  # rshr, sat, source


def count_products(outputs: Sequence[Value]) -> int:
    """Multiplications of a unit, as the equations in reals have them; those by 0 are none."""
    seen: dict[int, Value] = {}

    def visit(value: Value) -> None:
        if id(value) not in seen:
            seen[id(value)] = value
            for arg in value.args:
                visit(arg)

    for value in outputs:
        visit(value)
    zero = {id(v) for v in seen.values() if v.op == "const" and v.attr == 0}
    products = {"mul": (0,), "mix": (0, 2)}
    return sum(id(v.args[k]) not in zero for v in seen.values() for k in products.get(v.op, ()))
