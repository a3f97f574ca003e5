# SPDX-License-Identifier: Apache-2.0
"""A described cell's step in torch: exact, and without its roundings, for gradients.

Both walk the nodes that `golden.cells` makes of the cell's one description. Values stand for the
integers of docs/arithmetic.md in either: exact in float64, which holds all that a cell has (48 bits
at most), or as smooth functions of them, whose derivatives are the straight-through ones: a
rounding has the derivative of a shift, a saturation 0 beyond its ends, a table the rise of its
words. `log4` is a constant there, since what it scales is scaled back.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ..golden.arithmetic import code_range
from ..golden.cells import CELLS
from ..golden.cells.nodes import Node, walk
from ..golden.cells.steps import one_over
from ..golden.cells.values import NORMAL, Function

__all__ = ["Exact", "Smooth", "Step"]

Operation = Callable[..., Any]
INT16 = code_range(16)
WORDS = 1 << 16
REACH = 64
"""Words to both sides of a table's input, over which its rise is taken: a segment's of most."""


class Exact:
    """The operations on integers in float64, bit for bit `golden.cells.steps.Integers`."""

    def table(self, p: Tensor, function: Function) -> Tensor:
        return torch.take(_words(function), p.long() + WORDS // 2)

    def shift(self, v: Tensor, n: int) -> Tensor:
        """rshr(v, n)."""
        return v * 2.0**-n if n <= 0 else (v * 2.0**-n).add_(0.5).floor_()

    def mean(self, v: Tensor, count: int) -> Tensor:
        mult, n = one_over(v.shape[-1] * count)
        total = v.sum(-1, keepdim=True).long() * mult  # up to 60 bits
        return ((total + (1 << n >> 1)) >> n).to(v.dtype)

    def log4(self, v: Tensor) -> Tensor:
        return ((torch.frexp(v).exponent - 1) >> 1).to(v.dtype)

    def normal(self, v: Tensor, k: Tensor) -> Tensor:
        return (v * torch.exp2(NORMAL.fraction - 2 * k)).floor_()

    def scale(self, v: Tensor, n: Tensor) -> Tensor:
        return (v * torch.exp2(-n)).add_(0.5).floor_()


class Smooth:
    """The same without roundings, in any floating-point type, with gradients."""

    def table(self, p: Tensor, function: Function) -> Tensor:
        return _Table.apply(p, function)

    def shift(self, v: Tensor, n: int) -> Tensor:
        return v * 2.0**-n

    def mean(self, v: Tensor, count: int) -> Tensor:
        return v.mean(-1, keepdim=True) / count

    def log4(self, v: Tensor) -> Tensor:
        return ((torch.frexp(v.detach().clamp(min=1)).exponent - 1) >> 1).to(v.dtype)

    def normal(self, v: Tensor, k: Tensor) -> Tensor:
        return v * torch.exp2(NORMAL.fraction - 2 * k)

    def scale(self, v: Tensor, n: Tensor) -> Tensor:
        return v * torch.exp2(-n)


class Step:
    """One step of a kind of cell, over any leading axes.

    Parameters
    ----------
    kind: of the cell.
    numbers: `Exact` or `Smooth`.
    c_exponent, vector_shift: of the layer.

    Members
    -------
    inputs: names of what the state after the step depends on: gates, "c", "h", "skip", vectors.
    makes_source: it has a source "rh".
    """

    def __init__(
        self, kind: str, numbers: Exact | Smooth, c_exponent: int, vector_shift: int
    ) -> None:
        cell, at = CELLS[kind], (c_exponent, vector_shift)
        states = [cell.nodes[name] for name in ("c", "h") if name in cell.nodes]
        self._has_c = cell.has_c
        self._state = _Program(states, numbers, at)
        self._source = _Program([cell.nodes["rh"]], numbers, at) if cell.middle else None
        self.inputs, self.makes_source = self._state.inputs, self._source is not None

    def __call__(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor | None, Tensor]:
        """c and h after the step; c is None where the cell has none."""
        found = self._state(inputs)
        return (found[0], found[1]) if self._has_c else (None, found[0])

    def middle(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The values of the source "rh"."""
        assert self._source is not None
        return self._source(inputs)[0]


class _Program:
    """Some nodes, as operations on places of a list, each after its arguments."""

    def __init__(
        self, outputs: Sequence[Node], numbers: Exact | Smooth, at: tuple[int, int]
    ) -> None:
        nodes = list(walk(outputs))
        places = {id(node): n for n, node in enumerate(nodes)}
        self._values: list[Any] = [None] * len(nodes)
        self._inputs: list[tuple[int, str]] = []
        self._operations: list[tuple[int, Operation, list[int]]] = []
        for n, node in enumerate(nodes):
            if node.op == "const":
                self._values[n] = float(node.low)
            elif node.op == "input":
                self._inputs.append((n, str(node.attr)))
            else:
                args = [places[id(arg)] for arg in node.args]
                self._operations.append((n, _operation(node, numbers, at), args))
        self._outputs = [places[id(node)] for node in outputs]
        self.inputs = tuple(name for _, name in self._inputs)

    def __call__(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        values = [*self._values]
        for n, name in self._inputs:
            values[n] = inputs[name]
        for n, operation, args in self._operations:
            values[n] = operation(*[values[arg] for arg in args])
        return [values[n] for n in self._outputs]


def _operation(node: Node, numbers: Exact | Smooth, at: tuple[int, int]) -> Operation:
    """What a node does with its arguments; at: e_c and the vectors' shift."""
    match node.op:
        case "add":
            return operator.add
        case "sub":
            return operator.sub
        case "mul":
            return operator.mul
        case "relu":
            return lambda v: v.clamp(min=0)
        case "sat":
            return lambda v: v.clamp(*INT16)
        case "table":
            return partial(numbers.table, function=node.function)
        case "rshr":
            return partial(numbers.shift, n=node.shift.amount(*at))
        case "mean":
            return partial(numbers.mean, count=cast(int, node.attr))
        case "scale":
            fixed = node.shift.fixed
            return lambda v, k: numbers.scale(v, k + fixed)
    operation: Operation = getattr(numbers, node.op)  # log4, normal
    return operation


class _Table(torch.autograd.Function):
    """A table's words, and their rise as its derivative."""

    @staticmethod
    def forward(ctx: Any, p: Tensor, function: Function) -> Tensor:
        place = p.round().clamp(*INT16).long() + WORDS // 2
        ctx.save_for_backward(place)
        ctx.function = function
        return torch.take(_words(function), place).to(p.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (place,) = ctx.saved_tensors
        (above,) = gradients
        return above * torch.take(_rises(ctx.function), place).to(above.dtype), None


@cache
def _words(function: Function) -> Tensor:
    """[65536] float64, from the word -32768 on."""
    return torch.from_numpy(_signed(function).astype(np.float64))


@cache
def _rises(function: Function) -> Tensor:
    """[65536] float32, how much an output word rises with an input word."""
    words, places = _signed(function), np.arange(WORDS)
    above, below = np.minimum(places + REACH, WORDS - 1), np.maximum(places - REACH, 0)
    return torch.from_numpy(((words[above] - words[below]) / (above - below)).astype(np.float32))


def _signed(function: Function) -> np.ndarray:
    return np.roll(function.table.words, WORDS // 2)
