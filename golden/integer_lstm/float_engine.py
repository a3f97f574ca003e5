# SPDX-License-Identifier: Apache-2.0
"""The float network over many sequences at once, and the ranges that calibration takes of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..arithmetic import Reals
from ..data import Dataset
from ..engines.packed import Packing
from ..errors import UserError
from ..quantization.calibration import Progress, check_calibration, ignore_progress
from .float_layers import EPSILON, FloatAny, FloatLinear, FloatLstm, FloatStep, float_step
from .float_network import FloatNetwork
from .float_states import FloatState, first_float_state, first_reals


class Seer(Protocol):
    """Takes a layer's values as they come; what: their name, for errors."""

    def see(self, what: str, values: np.ndarray) -> None: ...


class Observer(Protocol):
    """Takes a layer's input and output and, of an LSTM's, the cell state, what is projected, and
    each gate's sums before their normalisation, where there are takers.
    """

    @property
    def x(self) -> Seer: ...
    @property
    def y(self) -> Seer: ...
    @property
    def c(self) -> Seer: ...
    @property
    def m(self) -> Seer: ...
    @property
    def gates(self) -> Sequence[Seer]: ...


@dataclass(slots=True)
class Range:
    """The smallest and the largest of values seen; before any, both are 0."""

    low: float = 0.0
    high: float = 0.0
    seen: bool = False

    def see(self, what: str, values: np.ndarray) -> None:
        """Raises UserError for what is not finite."""
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if not np.isfinite(low + high):
            raise UserError(f"{what}: the float network's are NaN or infinite; mend the checkpoint")
        if self.seen:
            low, high = min(low, self.low), max(high, self.high)
        self.low, self.high, self.seen = low, high, True

    @property
    def reach(self) -> float:
        """The largest magnitude."""
        return max(abs(self.low), abs(self.high))


@dataclass(slots=True)
class GateRange(Range):
    """A range of a gate's sums before their normalisation, and what LiteRT's epsilon would change.

    epsilon: the network's own.
    """

    epsilon: float = EPSILON
    lost: float = 0.0
    kept: float = 0.0

    def see(self, what: str, values: np.ndarray) -> None:
        """values: [n, N], a frame a row."""
        Range.see(self, what, values)
        variance = values.var(axis=1)
        kept = np.sqrt(variance / (variance + self.epsilon))
        self.lost += float(np.square(np.sqrt(variance / (variance + EPSILON)) - kept).sum())
        self.kept += float(np.square(kept).sum())

    @property
    def loss(self) -> float:
        """How far normalised values would be off, over their own size; root mean squares."""
        return math.sqrt(self.lost / self.kept) if self.kept else 0.0


@dataclass(slots=True)
class Ranges:
    """The `Observer` of a calibration."""

    x: Range = field(default_factory=Range)
    y: Range = field(default_factory=Range)
    c: Range = field(default_factory=Range)
    m: Range = field(default_factory=Range)
    gates: tuple[Range, ...] = ()


def run_float(
    network: FloatNetwork,
    sequences: Sequence[npt.ArrayLike],
    observers: Sequence[Observer] = (),
) -> list[Reals]:
    """Outputs [steps, outputs] of each sequence of real features [steps, inputs], in float64.

    Parameters
    ----------
    observers: of each layer, what sees its values; none: nothing does.

    Raises UserError for another shape, and for a value that is not finite.
    """
    return run_float_states(network, sequences, observers=observers)[0]


def run_float_states(
    network: FloatNetwork,
    sequences: Sequence[npt.ArrayLike],
    first: Sequence[FloatState] | None = None,
    *,
    observers: Sequence[Observer] = (),
) -> tuple[list[Reals], tuple[FloatState, ...]]:
    """The same from other first states, with those of each layer after the last frames.

    first: of each layer; None: the network's own.
    """
    frames = [np.asarray(s, np.float64) for s in sequences]
    for x in frames:
        if x.ndim != 2 or x.shape[1] != network.inputs:
            raise UserError(f"features: shape {x.shape}, the model takes [steps, {network.inputs}]")
        if not np.isfinite(x).all():
            raise UserError("features: a value is NaN or infinite; clean the data first")
    packing = Packing.of([len(x) for x in frames])
    back = np.argsort(packing.order)
    values: Reals = packing.pack(frames, network.inputs)
    left = []
    for n, layer in enumerate(network.layers):
        seen = observers[n] if observers else None
        state = first_float_state(layer, len(frames)) if first is None else first[n]
        state = state.of(packing.order)
        before, values = values, _outputs(layer, values, packing, state, seen)
        left.append(state.of(back))
        if seen is not None:
            seen.x.see(f"{layer.name} x", before)
            seen.y.see(f"{layer.name} y", values)
    return packing.unpack(values), tuple(left)


def _outputs(
    layer: FloatAny, x: Reals, packing: Packing, state: FloatState, seen: Observer | None
) -> Reals:
    """The outputs of packed inputs; the state is taken on."""
    if isinstance(layer, FloatLinear):
        return layer.step(x)
    c, h = state.c, state.h
    p = (x @ layer.weights.reshape(-1, layer.inputs).T).reshape(-1, *layer.bias.shape)
    if layer.norm is None:
        p += layer.bias
    recurrent = layer.recurrent.reshape(-1, layer.outputs).T
    y = np.empty((len(x), layer.outputs))
    for at, n in packing.steps():
        sums = p[at] + (h[:n] @ recurrent).reshape(n, *layer.bias.shape)
        step = float_step(layer, sums, c[:n])
        c[:n], h[:n] = step.c, step.h
        y[at] = step.h
        if seen is not None:
            _see(layer, seen, step)
    return y


def _see(layer: FloatLstm, seen: Observer, step: FloatStep) -> None:
    seen.c.see(f"{layer.name} c", step.c)
    if layer.projection is not None:
        seen.m.see(f"{layer.name} m", step.m)
    for g, each in enumerate(seen.gates):
        each.see(f"{layer.name} gate {layer.gates[g]}", step.sums[:, g])


def _gate_ranges(layer: FloatLstm) -> tuple[GateRange, ...]:
    epsilons = layer.epsilons or (EPSILON,) * len(layer.gates)
    return tuple(GateRange(epsilon=epsilon) for epsilon in epsilons)


def observe(
    network: FloatNetwork, data: Dataset, progress: Progress = ignore_progress
) -> tuple[Ranges, ...]:
    """The ranges of each layer over typical sequences, each from its first state.

    LiteRT's own calibrator goes on from sequence to sequence unless it is reset before each.
    """
    check_calibration(data, network.inputs)
    ranges = tuple(
        Ranges(gates=_gate_ranges(layer))
        if isinstance(layer, FloatLstm) and layer.norm is not None
        else Ranges()
        for layer in network.layers
    )
    for layer, seen in zip(network.layers, ranges, strict=True):
        if isinstance(layer, FloatLstm):
            for name, state in layer.initial.items():
                (seen.c if name == "c" else seen.y).see(f"{layer.name} initial {name}", state)
    done = 0
    for places in data.chunks():
        chunk = data.subset(places)
        first = first_reals(network, chunk.states, len(chunk))
        for layer, seen, start in zip(network.layers, ranges, first, strict=True):
            if chunk.states and isinstance(layer, FloatLstm):
                seen.c.see(f"{layer.name} first c", start.c)
                seen.y.see(f"{layer.name} first h", start.h)
        run_float_states(network, chunk.features, first, observers=ranges)
        done += chunk.frames
        progress("float network on calibration data", done / data.frames)
    return ranges
