# SPDX-License-Identifier: Apache-2.0
"""The float model over many sequences at once: the reference, and what calibration looks at."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ..arithmetic import Ints, Reals
from ..cells import State
from ..frames import checked_frames
from ..models import graph
from ..models.float_model import FloatLayer, FloatModel, FloatPath, Trace, first_state
from .packed import Packing, beside

Observer = Callable[[int, Trace], None]
"""Called with a layer's place and its trace over all frames of all sequences, in packed order."""


def run_float_batch(
    model: FloatModel,
    sequences: Sequence[npt.ArrayLike],
    *,
    observe: Observer | None = None,
    first: Sequence[State] | None = None,
) -> list[Reals]:
    """Outputs [steps, outputs] of each sequence, in float64.

    The same as `run_float` for each sequence, up to the order of summation, and much faster.

    Parameters
    ----------
    model: what runs.
    sequences: of each, real features [steps, inputs], or tokens [steps].
    observe: called with each layer's place and `Trace` over all frames, in packed order.
    first: by layer, states [sequences, units] before the first steps; None: the model's.

    Raises UserError for another shape, and for a value that is not finite.
    """
    frames = [checked_frames(s, model.inputs, tokens=model.tokens, who="model") for s in sequences]
    packing = Packing.of([len(x) for x in frames])
    values = {graph.FRAMES: model.scaled(packing.pack(frames, model.layers[0].words))}
    for group in graph.lockstep(model.layers):
        parts = [_Running(model, n, packing, first) for n in group]
        rows = packing.flipped if parts[0].layer.backward else slice(None)
        parts[0].set_input(beside(values, graph.inputs_of(model.layers, group[0]))[rows])
        for at, n in packing.steps():
            h: Reals = parts[-1].state.h[:n]
            fed: Reals | None = None
            for part in parts:
                fed = part.step(at, fed, h)
        for n, part in zip(group, parts, strict=True):
            trace = part.trace(rows)
            values[n] = trace.h
            if observe is not None:
                observe(n, trace)
    return packing.unpack(beside(values, graph.outputs_of(model.layers, model.puts_out)))


class _Running:
    """A layer between steps of packed sequences."""

    def __init__(
        self, model: FloatModel, n: int, packing: Packing, first: Sequence[State] | None
    ) -> None:
        self.layer = layer = model.layers[n]
        batch, frames = len(packing.lengths), sum(packing.lengths)
        if first is None:
            self.state = State(*(np.tile(part, (batch, 1)) for part in first_state(layer)))
        else:
            self.state = State(*(np.array(part[packing.order]) for part in first[n]))
        self._p = np.empty((frames, *layer.bias.shape))
        self._p[:] = layer.bias
        self._x = np.zeros((frames, layer.words))
        self._c, self._h = np.zeros((2, frames, layer.units))
        self._rh = None if layer.cell.float_middle is None else np.zeros((frames, layer.units))
        self._products: dict[str, list[_Product]] = {"x": [], "h": [], "rh": []}
        for path in layer.paths:
            self._products[path.source].append(_Product(layer, path))

    def set_input(self, x: Reals) -> None:
        """Take the whole input [frames, inputs] at once."""
        self._x = x
        for product in self._products["x"]:
            product.add(x, self._p)

    def step(self, at: slice, x: Reals | None, h: Reals) -> Reals:
        """The outputs of the rows `at`, from the h that its paths read; x: unless it is set."""
        cell, p = self.layer.cell, self._p[at]
        before = State(self.state.c[: len(p)], self.state.h[: len(p)])
        if x is not None:
            self._x[at] = x
            for product in self._products["x"]:
                product.add(x, p)
        named = {gate: p[:, g] for g, gate in enumerate(cell.gates)}  # views, always up to date
        for product in self._products["h"]:
            product.add(h, p)
        numbers = self.layer.numbers(self._x[at])
        if cell.float_middle is not None and self._rh is not None:
            self._rh[at] = cell.float_middle(named, before, numbers)
            for product in self._products["rh"]:
                product.add(self._rh[at], p)
        after = cell.float_step(named, before, numbers)
        self.state.c[: len(p)], self.state.h[: len(p)] = self._c[at], self._h[at] = after
        return after.h

    def trace(self, rows: Ints | slice) -> Trace:
        """What it did, with its steps put into this order."""
        rh = None if self._rh is None else self._rh[rows]
        return Trace(self._x[rows], self._p[rows], self._c[rows], self._h[rows], rh)


class _Product:
    """A path's part of the pre-activations."""

    def __init__(self, layer: FloatLayer, path: FloatPath) -> None:
        weights = path.weights.astype(np.float64)
        if path.scale is not None:
            weights *= path.scale[..., None]
        self._rows = [layer.cell.gates.index(g) for g in path.gates]
        self._shape, self._tokens = weights.shape[:2], path.tokens
        self._matrix = np.ascontiguousarray(weights.reshape(-1, weights.shape[2]).T)

    def add(self, values: Reals, p: Reals) -> None:
        """Add the product with values [n, columns] to p [n, gates, units]."""
        columns = self._matrix[values[:, 0].astype(np.int64)] if self._tokens else None
        product = values @ self._matrix if columns is None else columns
        p[:, self._rows] += product.reshape(-1, *self._shape)
