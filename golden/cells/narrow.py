# SPDX-License-Identifier: Apache-2.0
"""A described cell's step in int32, for layers of known exponents: a quicker `steps.Integers`.

Words are half as wide, each value is written over one that nothing needs any more, and a gate that
only enters a table is saturated by the look-up itself. Interval arithmetic proves that no value
needs more than 32 bits; a cell with one that does has no such step.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ..arithmetic import code_range, rshr
from .cell import STATES, Cell
from .nodes import Node, walk

__all__ = ["OFFSET", "Narrow", "narrow"]

OFFSET = 1 << 15
"""What is added to a gate that only enters a table: the table's first word is then that of 0."""
_HELD = {"input", "const", "table", "relu", "add", "sub", "mul", "rshr", "sat"}


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Narrow:
    """The step of a cell.

    Members
    -------
    order: the cell's gates by their places, in the order in which the step takes them.
    direct: how many of these, from the first on, only enter tables. They are taken with `OFFSET`
        added and not saturated, the others as int16 words.
    """

    order: tuple[int, ...]
    direct: int
    _states: Any
    _source: Any

    def states(self, p: np.ndarray, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The new c, where there is one, and h, int32.

        Parameters
        ----------
        p: [gates, .., units] int32, gates in `order`.
        inputs: c, h, skip and vectors by name, int32.
        """
        found: list[np.ndarray] = self._states(p, inputs)
        return found

    def source(self, p: np.ndarray, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The values of source "rh", likewise."""
        found: np.ndarray = self._source(p, inputs)[0]
        return found


@cache
def narrow(cell: Cell, c_exponent: int, vector_shift: int) -> Narrow | None:
    """The step of a cell in layers with these exponents; None where it needs wider words."""
    nodes = cell.nodes
    tables = _direct(cell.gates, nodes.values())
    order = sorted(range(len(cell.gates)), key=lambda n: tables.get(cell.gates[n], 1 << 62))
    gates = [cell.gates[n] for n in order]
    states = [nodes[name] for name in STATES if name in nodes]
    try:
        step = _Writer(gates, {*tables}, c_exponent, vector_shift).function(states)
        source = None
        if "rh" in nodes:
            source = _Writer(gates, {*tables}, c_exponent, vector_shift).function([nodes["rh"]])
    except _WideError:
        return None
    return Narrow(order=tuple(order), direct=len(tables), _states=step, _source=source)


class _WideError(Exception):
    """A value needs more than 32 bits, or an operation is not there."""


def _direct(gates: Sequence[str], roots: Iterable[Node]) -> dict[str, int]:
    """The gates that only enter one table, and which, as a number."""
    readers: dict[str, set[int]] = {gate: set() for gate in gates}
    for node in walk(roots):
        for arg in node.args:
            if arg.op == "input" and arg.attr in readers:
                readers[arg.attr].add(id(node.function) if node.op == "table" else 0)
    numbers: dict[int, int] = {}
    found = {}
    for gate, ids in readers.items():
        if len(ids) == 1 and 0 not in ids:
            found[gate] = numbers.setdefault(ids.pop(), len(numbers))
    return found


class _Writer:
    """Writes a function of NumPy calls, one a line, and compiles it."""

    def __init__(
        self, gates: Sequence[str], direct: set[str], c_exponent: int, vector_shift: int
    ) -> None:
        self._gates, self._direct = gates, direct
        self._exponents = c_exponent, vector_shift
        self._lines: list[str] = []
        self._known: dict[str, Any] = {
            name: getattr(np, name)
            for name in ("add", "subtract", "multiply", "right_shift", "left_shift", "maximum")
        }
        self._names: dict[int, str] = {}
        self._bounds: dict[int, tuple[int, int]] = {}
        self._own: set[str] = set()
        self._whole: set[str] = set()
        self._last: dict[str, int] = {}

    def function(self, outputs: Sequence[Node]) -> Any:
        """A function of p and the inputs by name that returns these."""
        nodes = list(walk(outputs))
        if any(node.op not in _HELD for node in nodes) or any(n.op == "const" for n in outputs):
            raise _WideError
        for n, node in enumerate(nodes):
            self._name(n, node)
        for n, node in enumerate(nodes):
            for arg in self._reads(node):
                self._last[self._names[id(arg)]] = n
        for node in outputs:
            self._last[self._names[id(node)]] = len(nodes)
        self._take_together(nodes)
        for n, node in enumerate(nodes):
            self._write(n, node)
        body = "".join(f"    {line}\n" for line in self._lines)
        results = ", ".join(self._names[id(node)] for node in outputs)
        exec(f"def run(p, inputs):\n{body}    return [{results}]\n", self._known)
        return self._known["run"]

    def _name(self, n: int, node: Node) -> None:
        """Its bounds, and a name: of what passes a value on as it is, that of the value."""
        low, high = self._range(node)
        if node.op != "const":
            low, high = max(low, node.low), min(high, node.high)
        self._bounds[id(node)] = low, high
        self._check(low, high)
        if node.op == "const":
            self._names[id(node)] = self._constant(node.low)
        elif (node.op == "rshr" and self._amount(node) == 0) or self._idle(node):
            self._names[id(node)] = self._names[id(node.args[0])]
        else:
            self._names[id(node)] = f"v{n}"

    def _range(self, node: Node) -> tuple[int, int]:
        ends = [self._bounds[id(arg)] for arg in node.args]
        if node.op == "add":
            return ends[0][0] + ends[1][0], ends[0][1] + ends[1][1]
        if node.op == "sub":
            return ends[0][0] - ends[1][1], ends[0][1] - ends[1][0]
        if node.op == "mul":
            products = [a * b for a in ends[0] for b in ends[1]]
            return min(products), max(products)
        if node.op == "rshr":
            amount = self._amount(node)
            half = 1 << amount >> 1 if amount > 0 else 0
            self._check(ends[0][0], ends[0][1] + half)
            return int(rshr(ends[0][0], amount)), int(rshr(ends[0][1], amount))
        if node.op == "sat":
            low, high = self._limits(node)
            return max(ends[0][0], low), min(ends[0][1], high)
        return node.low, node.high

    @staticmethod
    def _check(low: int, high: int) -> None:
        if low < -(1 << 31) or high + OFFSET >= 1 << 31:
            raise _WideError

    def _amount(self, node: Node) -> int:
        return node.shift.amount(*self._exponents)

    @staticmethod
    def _limits(node: Node) -> tuple[int, int]:
        return code_range(16 if node.attr is None else node.bits)

    def _idle(self, node: Node) -> bool:
        """Whether it is a saturation that never saturates."""
        if node.op != "sat":
            return False
        low, high = self._limits(node)
        own_low, own_high = self._bounds[id(node.args[0])]
        return low <= own_low and own_high <= high

    def _reads(self, node: Node) -> tuple[Node, ...]:
        """What its lines read: a table saturates to 16 bits itself."""
        if node.op == "table" and self._saturates(node.args[0]):
            return node.args[0].args
        return node.args

    def _saturates(self, node: Node) -> bool:
        return node.op == "sat" and not self._idle(node) and self._limits(node) == code_range(16)

    def _constant(self, value: int) -> str:
        name = f"k{value}".replace("-", "_")
        self._known[name] = np.array(value, np.int32)  # quicker than an int
        return name

    def _take_together(self, nodes: Sequence[Node]) -> None:
        """The look-ups of gates, those next to each other in one table at once."""
        wanted = {
            str(node.args[0].attr): (n, node)
            for n, node in enumerate(nodes)
            if node.op == "table" and self._is_direct(node.args[0])
        }
        runs: list[list[str]] = []
        for gate, after in zip(self._gates, [*self._gates[1:], ""], strict=True):
            if gate not in wanted:
                continue
            if not runs or runs[-1][-1] != gate:
                runs.append([gate])
            if after in wanted and self._table(wanted[after][1]) == self._table(wanted[gate][1]):
                runs[-1].append(after)
        for run in runs:
            first = self._gates.index(run[0])
            at = f"{first}:{first + len(run)}" if len(run) > 1 else f"{first}"
            names = [self._names[id(wanted[gate][1])] for gate in run]
            table = self._table(wanted[run[0]][1])
            self._lines.append(f"{', '.join(names)} = {table}.take(p[{at}], mode='clip')")
            self._own |= {*names}
            self._whole |= {*names}

    def _is_direct(self, node: Node) -> bool:
        return node.op == "input" and node.attr in self._direct

    def _table(self, node: Node, shape: str = "t") -> str:
        """The name of its table: t from the lowest word on, r with the negative ones at the end."""
        name = f"{shape}{id(node.function)}"
        if name not in self._known:
            words = np.asarray(node.function.table.words, np.int32)
            self._known[name] = np.roll(words, OFFSET) if shape == "t" else words
        return name

    def _write(self, n: int, node: Node) -> None:
        own = self._names[id(node)]
        if node.op == "const" or own != f"v{n}":
            return
        if node.op == "input":
            if not self._is_direct(node):
                gate = node.attr in self._gates
                at = f"p[{self._gates.index(node.attr)}]" if gate else f"inputs[{node.attr!r}]"
                self._lines.append(f"{own} = {at}")
                if gate or node.attr in ("c", "h", "skip"):
                    self._whole.add(own)
            return
        if node.op == "table":
            if self._is_direct(node.args[0]):
                return
            self._write_table(n, node)
        elif node.op == "sat":
            if self._readers_saturate(node):
                return
            a, out = self._operands(n, node, ", out=")
            low, high = (self._constant(end) for end in self._limits(node))
            self._lines.append(f"{own} = {a[0]}.clip({low}, {high}{out})")
        elif node.op == "rshr":
            self._write_shift(n, node)
        else:
            a, out = self._operands(n, node, ", out=")
            if node.op == "relu":
                a.append(self._constant(0))
            name = {"sub": "subtract", "mul": "multiply", "relu": "maximum"}.get(node.op, node.op)
            self._lines.append(f"{own} = {name}({', '.join(a)}{out})")
        self._own.add(own)

    def _write_table(self, n: int, node: Node) -> None:
        own = self._names[id(node)]
        a, out = self._operands(n, node, ", ")
        if self._saturates(node.args[0]):
            table, offset = self._table(node), self._constant(OFFSET)
            self._lines.append(f"{own} = {table}.take(add({a[0]}, {offset}{out}), mode='clip')")
        else:  # within int16
            self._lines.append(f"{own} = {self._table(node, 'r')}.take({a[0]}, mode='wrap')")

    def _write_shift(self, n: int, node: Node) -> None:
        own, amount = self._names[id(node)], self._amount(node)
        a, out = self._operands(n, node, ", ")
        shift = self._constant(abs(amount))
        if amount < 0:
            self._lines.append(f"{own} = left_shift({a[0]}, {shift}{out})")
            return
        half = self._constant(1 << (amount - 1))
        self._lines.append(f"{own} = add({a[0]}, {half}{out})")
        self._lines.append(f"right_shift({own}, {shift}, {own})")

    def _readers_saturate(self, node: Node) -> bool:
        """Whether a saturation is left to the tables that read it: nothing reads its name."""
        return self._names[id(node)] not in self._last

    def _operands(self, n: int, node: Node, out: str) -> tuple[list[str], str]:
        """Names of what it reads, and the text that has the result written over one of them."""
        names = [self._names[id(arg)] for arg in self._reads(node)]
        own = self._names[id(node)]
        whole = any(name in self._whole for name in names)
        if whole:
            self._whole.add(own)
        for name in names:
            if name in self._own and self._last[name] == n and (name in self._whole) == whole:
                return names, out + name
        return names, ""
