# SPDX-License-Identifier: Apache-2.0
"""A power of two for what a cell normalizes, so that it fills its words.

Pre-activations are in Q3.12, which sums that are normalized anyway may leave, or hardly use: the
matrices, biases and epsilons of such gates are scaled, and the function stays. Where sums are
small, as with the h of a sequence's first steps, each bit counts, since they are scaled up.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from ..arithmetic import Reals
from ..cells import Q3_12
from ..cells.norm import LEAST
from ..cells.stages import ALIKE
from ..data import Dataset
from ..engines.float_engine import run_float_batch
from ..models import graph
from ..models.float_model import FloatLayer, FloatModel, Trace
from ..models.layers import Layer
from ..models.network import Network
from ..models.states import first_reals
from .cell_formats import MOST_EPSILON
from .exponents import MARGIN
from .input_ranges import balance_inputs, with_input_scale

__all__ = ["balance", "balance_norms", "balanced_as"]

Reach = dict[str, float]
"""By name of a norm, the largest magnitude of what it normalizes."""


def balance(model: FloatModel, calibration: Dataset, rule: str = "auto") -> FloatModel:
    """The same function in ranges that quantize well: `balance_inputs`, by the rule, and norms."""
    return balance_norms(balance_inputs(model, calibration, rule), calibration)


def balanced_as(model: FloatModel, network: Network) -> FloatModel:
    """The model in the ranges of a network that was quantized from it, or trained since."""
    model = with_input_scale(model, network.input_scale)
    if not any(layer.cell.norms for layer in model.layers):
        return model
    pairs = zip(model.layers, network.layers, strict=True)
    return replace(model, layers=tuple(_with_powers(a, _powers(a, b)) for a, b in pairs))


def _powers(layer: FloatLayer, own: Layer) -> dict[str, int]:
    """By name of a norm, how much larger what the network gives it is than what the model does.

    Epsilon's word tells it, within a factor of 2 and so surely, unless it is 0 or the largest;
    then the weights do.
    """
    found = {}
    for name, gates in layer.cell.norms.items():
        if gates == ("c",):
            continue
        word = int(own.vectors[f"{ALIKE}{name}"].max())
        if 0 < word < 32767:
            epsilon = float(layer.vectors[f"{ALIKE}{name}"].max()) + LEAST
            found[name] = int(np.round(np.log2((word + 1) * LEAST / epsilon) / 2))
        else:
            found[name] = _power_of_weights(layer, own, gates)
    return found


def _power_of_weights(layer: FloatLayer, own: Layer, gates: tuple[str, ...]) -> int:
    """By the factor of least squares: few weights are clipped, and training moves them little."""
    both = power = 0.0
    for path in own.paths:
        scales = np.broadcast_to(path.weight_scale, path.mult.shape)
        for g, gate in enumerate(path.gates):
            if gate in gates:
                real = _weights(layer, path.source, gate)
                both += float(np.sum(path.weights[g] * scales[g][:, None] * real))
                power += float(np.sum(real * real))
    return int(np.round(np.log2(both / power))) if both > 0 and power > 0 else 0


def _weights(layer: FloatLayer, source: str, gate: str) -> Reals:
    """Of a gate's path, [units, columns]."""
    path = next(p for p in layer.paths if p.source == source and gate in p.gates)
    weights: Reals = path.weights[path.gates.index(gate)].astype(np.float64)
    return weights


def balance_norms(model: FloatModel, calibration: Dataset) -> FloatModel:
    """The same function with a power of two for each norm's gates, from the calibration data."""
    if not any(layer.cell.norms for layer in model.layers):
        return model
    shared = [graph.shared_with(model.layers, n) for n in range(len(model.layers))]
    roots = [n if root is None else root for n, root in enumerate(shared)]
    reach: list[Reach] = [{} for _ in model.layers]

    def see(n: int, trace: Trace) -> None:
        own = reach[roots[n]]
        for name, size in _sizes(model.layers[n], trace):
            own[name] = max(own.get(name, 0.0), size)

    for places in calibration.chunks():
        chunk = calibration.subset(places)
        first = first_reals(model, chunk.states, len(chunk))
        run_float_batch(model, chunk.features, observe=see, first=first)
    layers = (_scaled(layer, reach[roots[n]]) for n, layer in enumerate(model.layers))
    return replace(model, layers=tuple(layers))


def _sizes(layer: FloatLayer, trace: Trace) -> Iterator[tuple[str, float]]:
    """How far what each norm takes reaches; gates of unlike sources are added before it."""
    cell = layer.cell
    for name, gates in cell.norms.items():
        if gates == ("c",):
            continue
        sizes = [np.abs(trace.p[:, cell.gates.index(gate)]).max(initial=0) for gate in gates]
        sources = {tuple(s for s, fed in cell.feeds.items() if gate in fed) for gate in gates}
        yield name, float(max(sizes) if len(sources) == 1 else sum(sizes))


def _scaled(layer: FloatLayer, reach: Mapping[str, float]) -> FloatLayer:
    epsilons = {name: float(layer.vectors[f"{ALIKE}{name}"].max()) + LEAST for name in reach}
    return _with_powers(layer, {n: _power(size, epsilons[n]) for n, size in reach.items()})


def _with_powers(layer: FloatLayer, powers: Mapping[str, int]) -> FloatLayer:
    """The layer with what its norms take times these powers of two."""
    rows = np.ones(len(layer.cell.gates), np.float32)
    vectors = dict(layer.vectors)
    for name, power in powers.items():
        if layer.cell.norms[name] == ("c",):
            continue
        epsilon = vectors[f"{ALIKE}{name}"].astype(np.float64) + LEAST
        rows[[layer.cell.gates.index(gate) for gate in layer.cell.norms[name]]] = 2.0**power
        vectors[f"{ALIKE}{name}"] = (epsilon * 4.0**power - LEAST).astype(np.float32)
    if (rows == 1).all():
        return layer
    paths = tuple(
        replace(
            path,
            weights=path.weights
            * rows[[layer.cell.gates.index(g) for g in path.gates]][:, None, None],
        )
        for path in layer.paths
    )
    return replace(layer, paths=paths, bias=layer.bias * rows[:, None], vectors=vectors)


def _power(size: float, epsilon: float) -> int:
    """The largest power of two that takes neither of them out of its words."""
    if size <= 0 or not np.isfinite(size):
        return 0
    power = int(np.floor(Q3_12 - np.log2(size * MARGIN)))
    return min(power, int(np.floor(np.log2(MOST_EPSILON / max(epsilon, LEAST)) / 2)))
