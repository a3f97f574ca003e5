# SPDX-License-Identifier: Apache-2.0
"""One layer over packed sequences: its matrix products, what its paths take over, its state."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..arithmetic import Ints, exact_dtype
from .arithmetic import clamp, clamp16, wrap32
from .constants import linear_constants, lstm_constants
from .layers import IntegerLinear, IntegerLstm, Layer
from .lstm import project, rescaled, step
from .watch import See, ignore

FAR = 1 << 10
"""Beyond all codes of a linear layer that an activation might cut to."""
Steps = list[tuple[slice, int]]
"""The packed rows of each step, and how many they are."""


@dataclass(frozen=True, slots=True)
class State:
    """A layer between two frames, of n sequences.

    Members
    -------
    c: int16 [n, cells]; h: int8 [n, outputs]; without columns for a linear layer.
    taken: by path, the codes [n, columns] that it took over last.
    """

    c: Ints
    h: Ints
    taken: Mapping[str, Ints]

    def of(self, rows: Ints | slice) -> "State":
        """Of these sequences."""
        return State(self.c[rows], self.h[rows], {k: v[rows] for k, v in self.taken.items()})


class Product:
    """A path's exact products with codes, and which of these it takes over."""

    def __init__(self, weights: Ints, threshold: int, taken: Ints) -> None:
        """weights: [rows, columns] int8. taken: [n, columns], the codes at the start."""
        bound = 128 * int(np.abs(weights).sum(axis=1).max(initial=0))
        self._matrix = np.ascontiguousarray(weights.T).astype(exact_dtype(bound))
        self._threshold = threshold
        self.taken = taken.copy()

    def take(self, codes: Ints) -> tuple[Ints, Ints]:
        """The codes [n, columns] that count in a step, and how many [n] were taken over."""
        held = self.taken[: len(codes)]
        fires = np.abs(codes - held) > self._threshold
        held[fires] = codes[fires]
        return held, np.count_nonzero(fires, axis=1)

    def of(self, codes: Ints) -> Ints:
        """[n, rows]."""
        return (codes.astype(self._matrix.dtype) @ self._matrix).astype(np.int64)


def first_state(layer: Layer, sequences: int) -> State:
    """Before the first frame of so many sequences: initial codes, or the codes of zero.

    A path from x or m has taken the code of zero, and one from h that of the initial h.
    """
    x = np.full((sequences, layer.inputs), layer.x.zero_point)
    if isinstance(layer, IntegerLinear):
        nothing = np.zeros((sequences, 0), np.int64)
        return State(nothing, nothing, {"x": x})
    c = np.tile(layer.initial.get("c", np.zeros(layer.cells, np.int64)), (sequences, 1))
    start = np.full(layer.outputs, layer.y.zero_point)
    h = np.tile(layer.initial.get("h", start), (sequences, 1))
    taken = {"x": x, "h": h}
    if layer.m is not None:
        taken["m"] = np.full((sequences, layer.cells), lstm_constants(layer).hidden_zero)
    return State(c, h, taken)


class Running:
    """A layer over packed sequences, step after step.

    Parameters
    ----------
    layer: what runs.
    state: where it begins.
    frames: of all sequences.
    see: is shown what is cut.

    Members
    -------
    y: its outputs' codes [frames, outputs]. events: by path [frames], how many codes it took over.
    """

    def __init__(self, layer: Layer, state: State, frames: int, see: See = ignore) -> None:
        self._layer, self._see = layer, see
        self._products: dict[str, Product] = {}
        matrices = {"x": layer.weights.reshape(-1, layer.inputs)}
        if isinstance(layer, IntegerLstm):
            matrices["h"] = layer.recurrent.reshape(-1, layer.outputs)
            if layer.projection is not None:
                matrices["m"] = layer.projection
        for name, matrix in matrices.items():
            threshold = layer.thresholds.get(name, 0)
            self._products[name] = Product(matrix, threshold, state.taken[name])
        self._c, self._h = state.c.copy(), state.h.copy()
        self.y = np.zeros((frames, layer.outputs), np.int64)
        self.events = {name: np.zeros(frames, np.int64) for name in matrices}

    @property
    def state(self) -> State:
        return State(self._c, self._h, {k: p.taken for k, p in self._products.items()})

    def run(self, x: Ints, steps: Steps) -> None:
        """All steps, of the input codes x [frames, inputs]."""
        taken = np.empty_like(x)
        for at, _ in steps:
            taken[at], self.events["x"][at] = self._products["x"].take(x[at])
        sums = self._products["x"].of(taken)
        if isinstance(self._layer, IntegerLinear):
            self._linear(self._layer, sums)
        else:
            self._lstm(self._layer, sums.reshape(-1, *self._layer.bias.shape), steps)

    def _linear(self, layer: IntegerLinear, sums: Ints) -> None:
        k = linear_constants(layer)
        product = wrap32(sums + k.bias).astype(np.float32) * k.factor
        y = np.rint(np.clip(product, -FAR // 2, FAR // 2)).astype(np.int64) + layer.y.zero_point
        # What an activation cuts is meant.
        low = -FAR if layer.activation == "none" else k.low
        high = FAR if layer.activation in ("none", "relu") else k.high
        self._see("h", np.clip(y, low, high))
        self.y[:] = clamp(y, k.low, k.high)

    def _lstm(self, layer: IntegerLstm, sums: Ints, steps: Steps) -> None:
        k = lstm_constants(layer)
        p_x = clamp16(rescaled(sums + k.x_bias, k.x))
        for at, n in steps:
            h, self.events["h"][at] = self._products["h"].take(self._h[:n])
            sums = self._products["h"].of(h).reshape(n, *layer.bias.shape)
            p = clamp16(wrap32(p_x[at] + rescaled(sums + k.h_bias, k.h)))
            self._c[:n], h = step(layer, k, p, self._c[:n], self._see)
            if layer.m is not None:
                m, self.events["m"][at] = self._products["m"].take(h)
                h = project(layer, k, self._products["m"].of(m), self._see)
            self.y[at] = self._h[:n] = h
