# SPDX-License-Identifier: Apache-2.0
"""Proofs of the ranges that a cell's hardware relies on, by the SMT solver z3.

`golden.cells.graph` claims a range of each value, by interval arithmetic; widths are cut to it, and
a saturation is left out where what enters it is claimed to have 16 bits. Here each claim is refuted
or proved in exact integers, with products as products and shifts as divisions, from the ranges of
the inputs, of table lookups, and of what was proved before it. What enters and leaves a table is
read in its words, all of them; to the solver its result is a number of that range, no more.

    prove(CELLS["lstm"])      # how much was proved, or AssertionError with inputs that break it
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import z3

from ...golden.arithmetic import code_range, rshr
from ...golden.cells import Cell, Stage
from ...golden.cells.graph import (
    MOST_C_EXPONENT,
    MOST_MEAN_BITS,
    MOST_V_EXPONENT,
    VECTOR_SHIFT,
    Node,
    walk,
)
from ...golden.cells.steps import one_over
from ...golden.cells.values import NORMAL
from ...hw.words import UNIT_BITS

__all__ = ["Proof", "means_of", "prove", "refute"]

SECONDS = 60
"""That the solver may take for one claim."""
Ranges: TypeAlias = Mapping[str, tuple[int, int]]
"""The least and the most of inputs, by their names."""
MOST_POWER = MOST_MEAN_BITS // 2
"""Of 4, in what a cell takes a root of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """ranges: values whose range was proved. saturations: of them, what enters one that is left
    out. tables: lookups, whose range was read.
    """

    ranges: int
    saturations: int
    tables: int


def prove(cell: Cell) -> Proof:
    """All claims of a cell's stages.

    Raises AssertionError where one is false, with its line, or is not decided.
    """
    given: Ranges = {}
    checked: list[tuple[Node, Ranges]] = []
    for stage in cell.stages:
        checked += [(node, {**given, **means_of(stage)}) for node in walk(stage.outputs.values())]
        given = {name: (node.low, node.high) for name, node in stage.outputs.items()}
    nodes = [node for node, _ in checked]
    for node, left in checked:
        if found := refute(node, left, most=cell.most_c_exponent):
            raise AssertionError(
                f"{node.line}: {node.op} is claimed to be {node.low}..{node.high}, "
                f"it is {found.pop('value')} at {found}"
            )
    left_out = [n for n in nodes if n.op == "sat" and n.args[0].bits <= 16]
    return Proof(
        ranges=sum(node.op not in ("input", "const", "table") for node in nodes),
        saturations=len(left_out),
        tables=sum(node.op == "table" for node in nodes),
    )


def refute(
    node: Node, given: Ranges | None = None, *, most: int = MOST_C_EXPONENT
) -> dict[str, int] | None:
    """Values that break the claim on a node, while those on its arguments hold; or None.

    given: ranges of inputs that are not any words: of what the stage before left of "c" and "h",
    and of means. most: the largest e_c.

    First its arguments are any numbers of their ranges, then theirs, down to the inputs: the first
    proof counts. A lookup breaks its claim with an input p and its "value".
    """
    if node.op == "input":
        low, high = (given or {}).get(str(node.attr), code_range(16))
        within = node.low <= low and high <= node.high
        return None if within else {"value": low if low < node.low else high}
    if node.op == "const":
        return None if node.low == node.high else {"value": node.low}
    if node.op == "table":
        return _refute_table(node)
    depth, deepest = 1, _depth(node)
    while True:
        answers = (_solve(question) for question in _questions(node, depth, most))
        found = next((answer for answer in answers if answer is not None), None)
        if found is None or depth >= deepest:
            return found
        depth += 1


def means_of(stage: Stage) -> Ranges:
    """The ranges of the means that a stage reads, over any number of units."""
    units = np.arange(1, 1 + (1 << UNIT_BITS))
    found = {}
    for n, count in ((n, count) for turn in stage.turns for n, count in turn.items()):
        value = stage.outputs[f"sum_{n}"]
        factors = np.array([one_over(int(each) * count) for each in units])
        ends = [rshr(end * units * factors[:, 0], factors[:, 1]) for end in (value.low, value.high)]
        found[f"mean_{n}"] = int(ends[0].min()), int(ends[1].max())
    return found


def _refute_table(node: Node) -> dict[str, int] | None:
    (p,) = node.args
    results = node.function.table(np.arange(p.low, p.high + 1))
    outside = np.flatnonzero((results < node.low) | (results > node.high))
    if not len(outside):
        return None
    return {"p": int(outside[0]) + p.low, "value": int(results[outside[0]])}


def _depth(node: Node) -> int:
    """Operations on the longest way from the node to an input or a lookup."""
    if node.op in ("input", "const", "table"):
        return 0
    return 1 + max(map(_depth, node.args))


@dataclass(frozen=True, slots=True)
class _Question:
    """The nodes of a cone, arguments first; of each its op, its arguments' places, and its attr.

    leaf: (low, high) of a free number. amount: of a shift. The claim on the last one is `claim`.
    """

    nodes: tuple[tuple[str, tuple[int, ...], Any], ...]
    claim: tuple[int, int]


def _questions(root: Node, depth: int, most: int) -> Iterator[_Question]:
    """One for each combination of shifts that exponents can give."""
    cone = _cone(root, depth)
    place = {id(node): n for n, node in enumerate(cone)}
    inner = [node for node in cone if _computed(node) and all(id(a) in place for a in node.args)]
    shifts = [node.shift for node in inner if node.op == "rshr"]
    for amounts in dict.fromkeys(
        tuple(s.amount(*pair) for s in shifts) for pair in _exponents(most)
    ):
        left = iter(amounts)
        nodes: list[tuple[str, tuple[int, ...], Any]] = []
        for node in cone:
            if node not in inner:
                nodes.append(("leaf", (), (node.low, node.high)))
                continue
            attr = node.shift.fixed if node.op == "scale" else None
            attr = next(left) if node.op == "rshr" else attr
            nodes.append((node.op, tuple(place[id(arg)] for arg in node.args), attr))
        yield _Question(tuple(nodes), (root.low, root.high))


def _exponents(most: int) -> list[tuple[int, int]]:
    """Every e_c up to `most` with every vector shift."""
    pairs = product(range(most + 1), range(MOST_V_EXPONENT + 1))
    shifts = [(e_c, VECTOR_SHIFT - e_v - e_c) for e_c, e_v in pairs]
    return [(e_c, shift) for e_c, shift in shifts if 0 <= shift <= VECTOR_SHIFT]


def _computed(node: Node) -> bool:
    return node.op not in ("input", "const", "table")


def _cone(root: Node, depth: int) -> list[Node]:
    """The node and what is at most `depth` operations below it, arguments first."""
    levels = {id(root): 0}
    for node in reversed([*walk([root])]):
        if _computed(node) and levels.get(id(node), depth) < depth:
            for arg in node.args:
                levels[id(arg)] = min(levels.get(id(arg), depth), levels[id(node)] + 1)
    return [node for node in walk([root]) if id(node) in levels]


@cache
def _solve(question: _Question) -> dict[str, int] | None:
    """Numbers that break the claim, by place; None: there are none."""
    solver = z3.Solver()
    solver.set("timeout", SECONDS * 1000)
    values: list[Any] = []
    for n, (op, args, attr) in enumerate(question.nodes):
        if op == "leaf":
            low, high = attr
            values.append(z3.Int(f"v{n}"))
            solver.add(values[n] >= low, values[n] <= high)
        else:
            values.append(_exact(op, [values[arg] for arg in args], attr))
    low, high = question.claim
    solver.add(z3.Or(values[-1] < low, values[-1] > high))
    answer = solver.check()
    if answer == z3.unsat:
        return None
    if answer == z3.unknown:
        raise AssertionError(f"not decided in {SECONDS} s: {question}")
    model = solver.model()
    found = {
        f"v{n}": model.eval(values[n], model_completion=True).as_long()
        for n, (op, _, _) in enumerate(question.nodes)
        if op == "leaf"
    }
    return found | {"value": model.eval(values[-1], model_completion=True).as_long()}


def _exact(op: str, args: Sequence[Any], amount: int | None) -> Any:
    """An operation of docs/arithmetic.md on integers."""
    a, b = args[0], args[-1]
    if op == "rshr":
        assert amount is not None
        return _rshr(a, amount)
    low, high = code_range(16)
    powers = range(MOST_POWER + 1)
    results: Mapping[str, Any] = {
        "log4": lambda: z3.Sum([z3.If(a >= 4**n, 1, 0) for n in powers[1:]]),
        "normal": lambda: _chosen(b, [(a * (1 << NORMAL.fraction)) / 4**n for n in powers]),
        "scale": lambda: _chosen(b, [_rshr(a, n + (amount or 0)) for n in powers]),
        "add": lambda: a + b,
        "sub": lambda: a - b,
        "mul": lambda: a * b,
        "relu": lambda: z3.If(a > 0, a, 0),
        "sat": lambda: z3.If(a < low, low, z3.If(a > high, high, a)),
    }
    return results[op]()


def _rshr(a: Any, amount: int) -> Any:
    # z3 divides toward minus infinity by what is positive.
    return (a + (1 << (amount - 1))) / (1 << amount) if amount > 0 else a * (1 << -amount)


def _chosen(n: Any, values: Sequence[Any]) -> Any:
    """The nth of these; the last one, if there are none so far."""
    result = values[-1]
    for k, value in enumerate(values[:-1]):
        result = z3.If(n == k, value, result)
    return result
