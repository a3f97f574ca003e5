# SPDX-License-Identifier: Apache-2.0
"""A cell's equations as text, from its description."""

from collections.abc import Iterable

from .cell import Cell
from .values import Function, Value

__all__ = ["equations"]

SIGNS = {"add": "+", "sub": "-", "mul": "*"}


def equations(cell: Cell) -> list[str]:
    """In real numbers: a line for each value that the cell leaves, or that is used more than once.

    States before the step have a mark ('); p_g is the pre-activation of gate g.
    """
    writer = _Writer(cell)
    for key in ("rh", "c", "h"):
        if key in cell.values:
            writer.write(key, cell.values[key])
    return writer.lines


class _Writer:
    def __init__(self, cell: Cell) -> None:
        self._gates = cell.gates
        self._uses: dict[int, int] = {}
        self._names = {id(_bare(value)): key for key, value in [*cell.values.items()][::-1]}
        self._done: set[int] = set()
        self.lines: list[str] = []
        _count(cell.values.values(), self._uses)

    def write(self, name: str, value: Value) -> None:
        """The line that says what `name` is."""
        value = _bare(value)
        if self._names.get(id(value)) != name:
            self.lines.append(f"{name} = {self._text(value)}")
        elif id(value) not in self._done:
            self._done.add(id(value))
            plain = self._plain(value, inner=False)
            self.lines.append(f"{name} = {plain}")

    def _text(self, value: Value, *, inner: bool = False) -> str:
        """The value where it is used; inner: as a factor."""
        value = _bare(value)
        shared = self._uses[id(value)] > 1 and value.op not in ("input", "const")
        if shared and id(value) not in self._names:
            self._names[id(value)] = f"t{sum(n[0] == 't' for n in self._names.values()) + 1}"
        if name := self._names.get(id(value)):
            self.write(name, value)
            return name
        return self._plain(value, inner=inner)

    def _plain(self, value: Value, *, inner: bool) -> str:
        if value.op == "input":
            own = str(value.attr)
            mark = "'" if own in ("c", "h") else ""
            return f"p_{own}" if own in self._gates else own + mark
        if isinstance(value.attr, float):
            return f"{value.attr:g}"
        if value.op in SIGNS:
            last = value.op != "add"  # a - (b + c), a * (b + c)
            first = self._text(value.args[0], inner=value.op == "mul")
            whole = f"{first} {SIGNS[value.op]} {self._text(value.args[1], inner=last)}"
            return f"({whole})" if inner and value.op != "mul" else whole
        name = value.attr.name if isinstance(value.attr, Function) else value.op
        return f"{name}({', '.join(self._text(arg) for arg in value.args)})"


def _bare(value: Value) -> Value:
    """The value without what does nothing in real numbers."""
    while value.op in ("rshr", "reread", "sat"):
        value = value.args[0]
    return value


def _count(values: Iterable[Value], uses: dict[int, int]) -> None:
    for value in map(_bare, values):
        uses[id(value)] = uses.get(id(value), 0) + 1
        if uses[id(value)] == 1:
            _count(value.args, uses)
