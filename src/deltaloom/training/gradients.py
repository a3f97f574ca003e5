# SPDX-License-Identifier: Apache-2.0
"""The gradients of layers that step together: back through time, straight through roundings.

A cell acts on each unit alone, so its step has a few partial derivatives per unit, which do not
depend on what comes after it: they are taken for many steps at once, and going back through time is
left with their products and the matrices. Where a cell takes means over units, a step's gradient is
taken step by step.

A reference that was held passes its gradient to the code that it is.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..golden.cells import State
from .cells import Step
from .layers import Group, RunningLayer, Tensors
from .local import Means, Units
from .packed import Block, Packed
from .path_gradients import PathBack

__all__ = ["run_group"]

ELEMENTS = 1 << 18
"""Units times steps times sequences whose derivatives are held at once: what a cache holds."""


def run_group(
    group: Group, packed: Packed, first: Sequence[State], x: Tensor, tensors: Sequence[Tensors]
) -> tuple[Tensor, ...]:
    """The outputs of each layer of a group, words [frames, units] in float32, with gradients.

    Parameters
    ----------
    group, packed, first: as for `Group.run`.
    x: words [frames, inputs], float32.
    tensors: of each layer.
    """
    flat = [tensor for each in tensors for tensor in each.flat]
    return _Run.apply(group, packed, first, x, *flat)


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, group: Group, packed: Packed, first: Sequence[State], x: Tensor, *flat: Tensor
    ) -> tuple[Tensor, ...]:
        parts = group.run(packed, x.to(torch.float64), first, flat)
        ctx.group, ctx.packed, ctx.parts, ctx.flat = group, packed, parts, flat
        return tuple(part.h.to(torch.float32) for part in parts)

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.group.split(ctx.flat)
        parts = [
            _Back(running, step, own, ctx.packed, ctx.parts[-1], fed=k > 0)
            for k, (running, step, own) in enumerate(
                zip(ctx.parts, ctx.group.smooth, tensors, strict=True)
            )
        ]
        head, last = parts[0], parts[-1]
        needs_x = ctx.needs_input_grad[3]
        rows = max(ELEMENTS // max(part.units for part in parts), 1)
        for block in reversed(list(ctx.packed.blocks(rows))):
            for part in parts:
                part.begin(block)
            for at, n in reversed(block.steps):
                fed: Tensor | None = None
                for part, own in zip(reversed(parts), reversed(above), strict=True):
                    h = own[block.at][at]
                    fed = part.step(at, n, h if fed is None else h + fed, last)
            for part in parts:
                part.end(wants_x=needs_x and part is head)
        x = head.x if needs_x else None
        return (None, None, None, x, *(g for part in parts for g in part.gradients.flat))


class _Back:
    """A layer between steps on its way back.

    Parameters
    ----------
    running: what it did.
    read: the layer whose outputs its paths from h read.
    fed: its input is that of the layer before it in the same step.

    Members
    -------
    carry_c, carry_h: gradients of the state before the last step that was gone back, [sequences,
        units].
    x: of its input, [frames, inputs], where it is wanted.
    """

    def __init__(
        self,
        running: RunningLayer,
        step: Step,
        tensors: Tensors,
        packed: Packed,
        read: RunningLayer,
        *,
        fed: bool,
    ) -> None:
        self._running, self._step, self._packed, self._read = running, step, packed, read
        self._fed = fed
        self._vectors = {n: v.detach().to(torch.float32) for n, v in tensors.vectors.items()}
        self.units, gates = running.layer.units, len(running.layer.cell.gates)
        self._bias = torch.zeros(gates, self.units)
        self._vector_gradients = {name: torch.zeros(self.units) for name in self._vectors}
        self.x = torch.zeros(packed.frames, running.layer.inputs)
        self._paths = [
            PathBack(path, own, weights.detach(), mult.detach(), packed)
            for path, own, weights, mult in zip(
                running.layer.paths, running.paths, tensors.weights, tensors.mult, strict=True
            )
        ]
        self.carry_c, self.carry_h = torch.zeros(2, packed.sequences, self.units)

    @property
    def gradients(self) -> Tensors:
        """Of its parameters."""
        return Tensors(
            self._bias,
            self._vector_gradients,
            tuple(path.weights for path in self._paths),
            tuple(path.mult for path in self._paths),
        )

    def begin(self, block: Block) -> None:
        """Take the derivatives of a block's steps."""
        running, at, packed = self._running, block.at, self._packed
        self._block = block
        known = {
            "c": packed.held(running.c_first, running.c, at),
            "h": packed.held(running.h_first, running.h, at),
        }
        if running.layer.cell.reads_input:
            known["skip"] = running.skip(at)
        rows = {name: words.to(torch.float32) for name, words in known.items()}
        of = Means if running.layer.cell.takes_means else Units
        gates = running.layer.cell.gates
        p = running.p[at].to(torch.float32)
        self._local = of(self._step, gates, p, rows, self._vectors)
        self._p = torch.empty_like(p)
        for path in self._paths:
            path.begin(block, self._source(path.source, at))

    def step(self, at: slice, n: int, h: Tensor, last: "_Back") -> Tensor | None:
        """Go back a step; at: its rows in the block, n: how many.

        Parameters
        ----------
        h: gradient of its outputs by what reads them, but for the step after it.
        last: the layer whose h its paths from h read.

        Returns that of its input, where the input is fed step by step.
        """
        h = h + self.carry_h[:n]
        back = self._local.pull(at, self.carry_c[:n], h)
        self._p[at] = back.p
        own_h = back.h
        for path in self._paths:
            if path.source == "rh":
                more = self._local.pull_source(at, path.back(self._p, at, n))
                self._p[at] += more.p
                own_h, back.c = _sum(own_h, more.h), _sum(back.c, more.c)
        self.carry_c[:n] = 0 if back.c is None else back.c
        self.carry_h[:n] = 0 if own_h is None else own_h
        fed: Tensor | None = None
        for path in self._paths:
            if path.source == "h":
                last.carry_h[:n] += path.back(self._p, at, n)
            elif path.source == "x" and self._fed:
                fed = _sum(fed, path.back(self._p, at, n))
        return fed

    def end(self, *, wants_x: bool) -> None:
        """Add the block to the gradients of parameters, and of the input."""
        at = self._block.at
        self._bias += self._p.sum(0)
        for path in self._paths:
            path.end(self._p)
            if path.source == "x" and wants_x:
                self.x[at] += path.back_all(self._p)
        more = self._local.rest()
        for name, own in self._vector_gradients.items():
            own += more[name]
        if "skip" in more and wants_x:
            self.x[at] += more["skip"] * self._running.skip_slope(at)

    def _source(self, name: str, at: slice) -> Tensor:
        """Words of a source in some rows."""
        if name == "x":
            return self._running.x[at]
        if name == "h":
            return self._packed.held(self._running.h_in, self._read.h, at)
        assert self._running.rh is not None
        return self._running.rh[at]


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b
