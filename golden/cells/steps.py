# SPDX-License-Identifier: Apache-2.0
"""A described cell's steps: in integers from its graph, in reals from its values."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from ..arithmetic import Ints, Reals, code_range, multiplier, rshr
from .graph import Node, walk
from .values import NORMAL, Function, Value

__all__ = ["Integers", "count_products", "mean", "one_over", "real_values"]


class Integers:
    """The values of some nodes on whole arrays of units: exact, int64.

    They are a function of NumPy expressions, one a line, which is written out and compiled: an
    operation costs no more than its own call. What is no longer needed is dropped at once, as the
    parts of one expression would be.
    """

    def __init__(self, outputs: Sequence[Node]) -> None:
        nodes = list(walk(outputs))
        names: dict[int, str] = {}
        for n, node in enumerate(nodes):
            constant = str(node.low) if node.op == "const" else f"v{n}"
            names[id(node)] = names[id(node.args[0])] if _idle(node) else constant
        results = [names[id(node)] for node in outputs]
        last = {names[id(arg)]: n for n, node in enumerate(nodes) for arg in node.args}
        known: dict[str, Any] = {
            "int64": np.int64,
            "np": np,
            "asarray": np.asarray,
            "rshr": rshr,
            "mean": mean,
        }
        lines = []
        for n, node in enumerate(nodes):
            own, args = names[id(node)], [names[id(arg)] for arg in node.args]
            if node.op == "const" or _idle(node):
                continue
            ended = [name for name, end in last.items() if end == n and name.startswith("v")]
            dropped = [name for name in ended if name not in results]
            if node.op == "table":
                known[f"table{n}"] = node.function.table.words
                lines.append(f"{own} = table{n}[{args[0]}]")
            elif node.op == "own":
                known[f"own{n}"] = node.operation.run
                lines.append(f"{own} = own{n}(e_c, {', '.join(args)})")
            else:
                lines += _lines(node, own, args, bool(args) and args[0] in dropped)
            if dropped:
                lines.append(f"del {', '.join(dropped)}")
        body = "".join(f"    {line}\n" for line in lines)
        wanted = ", ".join(name if name.startswith("v") else f"int64({name})" for name in results)
        self.text = f"def run(inputs, e_c, s):\n{body}    return [{wanted}]\n"
        exec(self.text, known)
        self._run = known["run"]

    def __call__(
        self, inputs: Mapping[str, Ints], c_exponent: int, vector_shift: int
    ) -> list[Ints]:
        result: list[Ints] = self._run(inputs, c_exponent, vector_shift)
        return result


def _idle(node: Node) -> bool:
    """Whether it is a saturation that never saturates."""
    return node.op == "sat" and node.args[0].bits <= node.bits


def _lines(node: Node, own: str, args: list[str], last: bool) -> list[str]:
    """Python lines that compute a node; last: nothing needs its first argument after it."""
    a, b = [*args, "", ""][:2]
    if node.op == "input":
        return [f"{own} = asarray(inputs[{str(node.attr)!r}], int64)"]
    fresh = last and node.args[0].op in ("add", "sub", "mul")  # no one else has this array
    if node.op == "rshr":
        shift = node.shift
        if not shift.constant:
            return [f"{own} = rshr({a}, {shift.fixed} + {shift.c} * e_c + {shift.s} * s)"]
        if shift.fixed <= 0:
            return [f"{own} = {a} << {-shift.fixed}"]
        half = f"{1 << (shift.fixed - 1)}"
        first = [f"{own} = {a}", f"{own} += {half}"] if fresh else [f"{own} = {a} + {half}"]
        return [*first, f"{own} >>= {shift.fixed}"]
    if node.op == "sat":
        low, high = code_range(16 if node.attr is None else node.bits)
        into = f", out={a} if {a}.ndim else None" if fresh else ""
        return [
            f"{own} = np.maximum({a}, {low}{into})",
            f"{own} = np.minimum({own}, {high}, out={own} if {own}.ndim else None)",
        ]
    expressions = {
        "relu": f"np.maximum({a}, 0)",
        "add": f"{a} + {b}",
        "sub": f"{a} - {b}",
        "mul": f"{a} * {b}",
        "mean": f"mean({a}, {node.attr})",
        "log4": f"np.frexp({a})[1].astype(int64) - 1 >> 1",
        "normal": f"{a} << {NORMAL.fraction} >> 2 * {b}",
        "down": f"{a} + ({a} >> 63)",
    }
    if node.op == "scale":
        return [f"{own} = rshr({a}, {b} + {node.shift.fixed})"]
    return [f"{own} = {expressions[node.op]}"]


def mean(v: Ints, count: int = 1) -> Ints:
    """The mean over units, which are the last axis: rshr(sum * mult, shift), as in docs.

    count: how many values v is the sum of.
    """
    total: Ints = np.sum(v, axis=-1, keepdims=True)
    mult, shift = one_over(v.shape[-1] * count)
    return rshr(total * mult, shift)


@cache
def one_over(values: int) -> tuple[int, int]:
    """(mult, shift) of 1 / values."""
    return multiplier(1 / values)


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
            return np.mean(args[0], axis=-1, keepdims=True) / value.attr
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
    return args[0]  # rshr, reread, sat, source


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
