# SPDX-License-Identifier: Apache-2.0
"""A quantized layer over packed sequences in torch: golden's integers forward, step by step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..golden.arithmetic import code_range
from ..golden.cells import State
from ..golden.models import graph
from ..golden.models.network import Layer, Network
from .cells import Exact, Smooth, Step
from .packed import Packed
from .paths import RunningPath

__all__ = ["Group", "RunningLayer", "Tensors"]

INT16 = code_range(16)


@dataclass(frozen=True, slots=True)
class Tensors:
    """A layer's trained parameters as integers, in any floating-point type.

    bias: [gates, units]. vectors: by name, [units]. weights: of each path, [gates, units, columns].
    mult: of each path, [gates, units].
    """

    bias: Tensor
    vectors: Mapping[str, Tensor]
    weights: tuple[Tensor, ...]
    mult: tuple[Tensor, ...]

    @property
    def flat(self) -> list[Tensor]:
        return [self.bias, *self.vectors.values(), *self.weights, *self.mult]

    @classmethod
    def of(cls, layer: Layer, flat: Sequence[Tensor]) -> "Tensors":
        """What `flat` put one after the other."""
        names, count = list(layer.vectors), len(layer.paths)
        vectors, weights, mult = flat[1 : 1 + len(names)], flat[-2 * count : -count], flat[-count:]
        pairs = dict(zip(names, vectors, strict=True))
        return cls(flat[0], pairs, tuple(weights), tuple(mult))


@dataclass(frozen=True)
class Group:
    """Layers of a network that take each step together, `graph.lockstep`."""

    network: Network
    members: tuple[int, ...]

    @property
    def layers(self) -> list[Layer]:
        return [self.network.layers[n] for n in self.members]

    @cached_property
    def exact(self) -> list[Step]:
        return [_step(layer, Exact()) for layer in self.layers]

    @cached_property
    def smooth(self) -> list[Step]:
        return [_step(layer, Smooth()) for layer in self.layers]

    def split(self, flat: Sequence[Tensor]) -> list[Tensors]:
        """By layer, of all parameters one after the other."""
        found, at = [], 0
        for layer in self.layers:
            count = 1 + len(layer.vectors) + 2 * len(layer.paths)
            found.append(Tensors.of(layer, flat[at : at + count]))
            at += count
        return found

    def run(
        self, packed: Packed, x: Tensor, first: Sequence[State], flat: Sequence[Tensor]
    ) -> list["RunningLayer"]:
        """All steps of packed sequences, in the layers' own direction.

        Parameters
        ----------
        x: words [frames, inputs] of the first layer's input.
        first: by layer of the group, words [sequences, units] before the first steps, in packed
            order.
        flat: parameters, see `split`.
        """
        h_first = torch.from_numpy(first[-1].h.astype(np.float64))
        parts = [
            RunningLayer(self.network, layer, step, own, packed, state, h_first)
            for layer, step, own, state in zip(
                self.layers, self.exact, self.split(flat), first, strict=True
            )
        ]
        head, last = parts[0], parts[-1]
        head.add_input(x)
        if len(parts) == 1 and not head.layer.cell.state:
            head.step_all()
            return parts
        for at, n in packed.steps:
            h, fed = last.state_h[:n], None
            for part in parts:
                fed = part.step(at, fed, h)
        return parts


class RunningLayer:
    """A layer between steps; rows are packed frames.

    Members
    -------
    x: words [frames, inputs] of its input. skip: of the cell, words [frames, units].
    p: [frames, gates, units] pre-activations before they are saturated.
    c, h: words [frames, units] after each step. c_first, h_first: [sequences, units] before the
        first one; h_in: of what its paths from h read.
    rh: words of its own source.
    paths: in the order of the layer's.
    All float64, but for the codes in the paths.
    """

    def __init__(
        self,
        network: Network,
        layer: Layer,
        step: Step,
        tensors: Tensors,
        packed: Packed,
        first: State,
        h_in: Tensor,
    ) -> None:
        self.layer, self._step, self._packed = layer, step, packed
        self._vectors = {name: v.to(torch.float64) for name, v in tensors.vectors.items()}
        self.h_in = h_in
        self.c_first, self.h_first = (torch.from_numpy(s.astype(np.float64)) for s in first)
        self.state_c, self.state_h = self.c_first.clone(), self.h_first.clone()
        frames = packed.frames
        self.p = tensors.bias.to(torch.float64).expand(frames, -1, -1).clone()
        self.c, self.h = torch.empty(2, frames, layer.units, dtype=torch.float64)
        self.x = self.h.new_empty((frames, layer.inputs))
        self.rh = torch.empty_like(self.h) if step.makes_source else None
        self.paths: list[RunningPath] = []
        for path, weights, mult in zip(layer.paths, tensors.weights, tensors.mult, strict=True):
            begin = h_in if path.source == "h" else h_in.new_zeros(len(h_in), path.columns)
            running = RunningPath(layer, path, weights, mult, network.delta_mode, frames, begin)
            self.paths.append(running)
        self._of = {
            source: [
                running
                for path, running in zip(layer.paths, self.paths, strict=True)
                if path.source == source
            ]
            for source in ("x", "h", "rh")
        }

    def add_input(self, x: Tensor) -> None:
        """Take the whole input."""
        self.x = x
        for path in self._of["x"]:
            path.add(path.encode_all(x, self._packed.steps), self.p)

    def step(self, at: slice, x: Tensor | None, h: Tensor) -> Tensor:
        """The outputs of the rows `at`, from the h that its paths read; x: unless it is set."""
        if x is not None:
            self.x[at] = x
            self._add("x", x, at)
        self._add("h", h, at)
        n = len(h)
        c, h = self._cell(at, {"c": self.state_c[:n], "h": self.state_h[:n]})
        self.h[at] = self.state_h[:n] = h
        if c is not None:
            self.c[at] = self.state_c[:n] = c
        return h

    def step_all(self) -> None:
        """All steps at once, where none needs another's."""
        self.h = self._cell(slice(0, len(self.p)), {})[1]

    def _cell(self, at: slice, state: Mapping[str, Tensor]) -> tuple[Tensor | None, Tensor]:
        """The state after the rows `at`."""
        p, inputs = self.p[at], {**state, **self._vectors}
        if self.layer.cell.reads_input:
            inputs["skip"] = self.skip(at)
        if self.rh is not None:
            self.rh[at] = self._step.middle(inputs | self._named(p))
            self._add("rh", self.rh[at], at)
        return self._step(inputs | self._named(p))

    def skip(self, at: slice) -> Tensor:
        """sat16(rshr(x * mult, shift)) of some rows."""
        rise = self.layer.skip_mult * 0.5**self.layer.skip_shift
        return (self.x[at] * rise).add_(0.5).floor_().clamp_(*INT16)

    def skip_slope(self, at: slice) -> Tensor:
        """How much it rises with a word of the input: nothing where it saturates; float32."""
        rise = self.layer.skip_mult * 0.5**self.layer.skip_shift
        inside = (self.x[at] * rise).abs() <= -INT16[0]
        return inside.to(torch.float32).mul_(rise)

    def _add(self, source: str, words: Tensor, at: slice) -> None:
        for path in self._of[source]:
            path.add(path.encode(words, at), self.p[at])

    def _named(self, p: Tensor) -> dict[str, Tensor]:
        """Pre-activations by gate, saturated."""
        whole = p.clamp(*INT16)
        return {gate: whole[:, g] for g, gate in enumerate(self.layer.cell.gates)}


def _step(layer: Layer, numbers: Exact | Smooth) -> Step:
    return Step(layer.kind, numbers, layer.c_exponent, layer.vector_shift)


def group_of(network: Network) -> list[Group]:
    """All layers, in order."""
    return [Group(network, members) for members in graph.lockstep(network.layers)]
