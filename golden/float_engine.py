# SPDX-License-Identifier: Apache-2.0
"""The float model over many sequences at once: the reference, and what calibration looks at."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from .arithmetic import Reals
from .cells import State
from .errors import UserError
from .model import FloatLayer, FloatModel, FloatPath, Trace
from .packed import Packing

Observer = Callable[[int, Trace], None]
"""Called with a layer's place and its trace over all frames of all sequences, in packed order."""


def run_float_batch(
    model: FloatModel, sequences: Sequence[npt.ArrayLike], *, observe: Observer | None = None
) -> list[Reals]:
    """Outputs [steps, outputs] of each sequence [steps, inputs], from zero state, in float64.

    The same as `run_float` for each sequence, up to the order of summation, and much faster.
    """
    frames = [np.asarray(s, np.float64) for s in sequences]
    for x in frames:
        if x.ndim != 2 or x.shape[1] != model.inputs:
            raise UserError(f"features: shape {x.shape}, the model takes [steps, {model.inputs}]")
        if not np.isfinite(x).all():
            raise UserError("features: a value is NaN or infinite; clean the data first")
    packing = Packing.of([len(x) for x in frames])
    x = packing.pack(frames, model.inputs)
    for place, layer in enumerate(model.layers):
        trace = _run_layer(layer, packing, x)
        if observe is not None:
            observe(place, trace)
        x = trace.h
    return packing.unpack(x)


def _run_layer(layer: FloatLayer, packing: Packing, x: Reals) -> Trace:
    cell, batch, units = layer.cell, len(packing.lengths), layer.units
    p = np.empty((len(x), *layer.bias.shape))
    p[:] = layer.bias
    products: dict[str, list[_Product]] = {"x": [], "h": [], "rh": []}
    for path in layer.paths:
        products[path.source].append(_Product(layer, path))
    for product in products["x"]:
        product.add(x, p)
    state = State(np.zeros((batch, units)), np.zeros((batch, units)))
    c, h = np.zeros((len(x), units)), np.zeros((len(x), units))
    rh = None if cell.float_middle is None else np.zeros((len(x), units))
    for at, n in packing.steps():
        now, before = p[at], State(state.c[:n], state.h[:n])
        named = {gate: now[:, g] for g, gate in enumerate(cell.gates)}  # views, always up to date
        for product in products["h"]:
            product.add(before.h, now)
        if cell.float_middle is not None and rh is not None:
            rh[at] = cell.float_middle(named, before)
            for product in products["rh"]:
                product.add(rh[at], now)
        after = cell.float_step(named, before, layer.numbers(x[at]))
        state.c[:n], state.h[:n] = c[at], h[at] = after
    return Trace(x, p, c, h, rh)


class _Product:
    """A path's part of the pre-activations."""

    def __init__(self, layer: FloatLayer, path: FloatPath) -> None:
        weights = path.weights.astype(np.float64)
        if path.scale is not None:
            weights *= path.scale[..., None]
        self._rows = [layer.cell.gates.index(g) for g in path.gates]
        self._shape = weights.shape[:2]
        self._matrix = np.ascontiguousarray(weights.reshape(-1, weights.shape[2]).T)

    def add(self, values: Reals, p: Reals) -> None:
        """Add the product with values [n, columns] to p [n, gates, units]."""
        p[:, self._rows] += (values @ self._matrix).reshape(-1, *self._shape)
