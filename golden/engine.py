# SPDX-License-Identifier: Apache-2.0
"""The golden model: runs a quantized network over sequences, bit for bit as the hardware does.

Accumulators are exact, so M = W (x̂ - zero point) at every step; sums over events and one product
with the references give the same integers. `run` uses the product (BLAS, fast); `StepModel` adds
events one by one, in any order, as the hardware does; the tests hold the two against each other.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .arithmetic import Ints, code_range, exact_dtype, from_fixed, rshr, sat16, to_fixed
from .cells import State
from .delta import EXACT, count_terms, sent_steps
from .errors import UserError
from .network import MAX_SHIFT, Layer, Network, Path, path_name
from .packed import Packing


@dataclass(frozen=True, slots=True)
class Result:
    """What a network did with one sequence.

    outputs: [steps, outputs] int16 codes; events: by path name, fired deltas per step [steps];
    states: the final (c, h) of every layer, int16 codes; terms: where they were asked for, by path
    name, the signed powers of two in the deltas by binary digit [steps, digits], the lowest first.
    """

    outputs: Ints
    events: dict[str, Ints]
    states: tuple[State, ...]
    terms: dict[str, Ints] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        return len(self.outputs)


def quantize_frames(network: Network, features: npt.ArrayLike) -> Ints:
    """Real features [steps, inputs] as the int16 words that the hardware takes."""
    frames = np.asarray(features, np.float64)
    if frames.ndim != 2 or frames.shape[1] != network.inputs:
        raise UserError(
            f"features: shape {frames.shape}, the network takes [steps, {network.inputs}]"
        )
    if not np.isfinite(frames).all():
        raise UserError("features: a value is NaN or infinite; clean the data first")
    return to_fixed(frames, network.x_exponent)


def real_outputs(network: Network, outputs: Ints) -> np.ndarray:
    """Output words as real values."""
    return from_fixed(outputs, network.y_exponent)


def run(
    network: Network, sequences: Iterable[Ints], *, delta: bool = True, terms: bool = False
) -> list[Result]:
    """Run int16 frames [steps, inputs] of each sequence from zero state; one `Result` each.

    delta=False ignores the thresholds and the delta mode: the dense quantized network.
    terms: count the terms of the deltas, too.
    """
    mode = network.delta_mode if delta else _DENSE
    frames = [np.asarray(s, np.int64).reshape(-1, network.inputs) for s in sequences]
    packing = Packing.of([len(f) for f in frames])
    x = packing.pack(frames, network.inputs)
    events: list[dict[str, Ints]] = [{} for _ in frames]
    states: list[list[State]] = [[] for _ in frames]
    found: list[dict[str, Ints]] = [{} for _ in frames]
    for layer in network.layers:
        x, fired, final = _run_layer(layer, packing, x, mode, terms)
        for name, count in fired.items():
            for n, own in enumerate(packing.unpack(count)):
                events[n][name] = own[:, 0]
                if terms:
                    found[n][name] = own[:, 1:]
        for row, n in enumerate(packing.order):
            states[n].append(State(final.c[row], final.h[row]))
    return [
        Result(outputs, events[n], tuple(states[n]), found[n])
        for n, outputs in enumerate(packing.unpack(x))
    ]


def _run_layer(
    layer: Layer, packing: Packing, x: Ints, mode: str, terms: bool
) -> tuple[Ints, dict[str, Ints], State]:
    """One layer over packed frames [frames, inputs]: packed outputs and events, final states."""
    batch, gates = len(packing.lengths), layer.cell.gates
    # Doubles hold the same integers as int64 while they stay below 2**53, and are much faster.
    dtype: type = np.float64 if all(map(_fits_double, layer.paths)) else np.int64
    constant = np.empty((len(x), *layer.bias.shape), dtype)
    constant[:] = layer.bias
    fired: dict[str, Ints] = {}
    recurrent: dict[str, list[_Recurrent]] = {"h": [], "rh": []}
    for k, path in enumerate(layer.paths):
        rows = _rows(layer, path)
        count = fired[path_name(layer, k)] = np.zeros(
            (len(x), 1 + terms * (path.quantizer.bits + 1)), np.int64
        )
        product, reference = _Product(path, dtype), _start(path, batch)
        if path.source == "x":
            codes = path.quantizer(x)
            for at, n in packing.steps():
                _send(path, codes[at], reference[:n], count[at], mode)
                codes[at] = reference[:n]
            constant[:, rows] += product(codes)
        else:
            recurrent[path.source].append((path, rows, product, reference, count))

    def add(source: str, values: Ints, p: np.ndarray, at: slice) -> dict[str, Ints]:
        """Add this source's paths to p [n, gates, units]; the pre-activations by gate so far."""
        for path, rows, product, reference, count in recurrent[source]:
            now = reference[: len(p)]
            _send(path, path.quantizer(values), now, count[at], mode)
            p[:, rows] += product(now)
        whole = np.clip(p, *code_range(16)).astype(np.int64)
        return {gate: whole[:, g] for g, gate in enumerate(gates)}

    state = State(*np.zeros((2, batch, layer.units), np.int64))
    outputs = np.zeros((len(x), layer.units), np.int64)
    for at, n in packing.steps():
        before = State(state.c[:n], state.h[:n])
        p = add("h", before.h, constant[at], at)
        if layer.cell.middle is not None:
            p = add("rh", layer.cell.middle(p, before), constant[at], at)
        state.c[:n], state.h[:n] = layer.cell.step(p, before, layer.numbers(x[at]))
        outputs[at] = state.h[:n]
    return outputs, fired, state


def _rows(layer: Layer, path: Path) -> slice | list[int]:
    """The path's gates among the cell's: a slice where it feeds them all, which copies nothing."""
    gates = layer.cell.gates
    return slice(None) if path.gates == gates else [gates.index(g) for g in path.gates]


_DENSE = "dense"
"""Stands for a delta mode: every change is sent whole."""


def _send(path: Path, q: Ints, reference: Ints, count: Ints, mode: str) -> None:
    """One step of the delta rule: updates `reference` and `count` in place.

    count: [n, 1 ..], the events of each row and, where there is room, their terms by digit.
    """
    d = q - reference
    fires = np.abs(d) > (0 if mode == _DENSE else path.threshold)
    count[:, 0] = np.count_nonzero(fires, axis=-1)
    if mode in (_DENSE, EXACT) and count.shape[1] == 1:
        np.copyto(reference, q, where=fires)
        return
    bits = path.quantizer.bits
    steps = np.zeros_like(d)
    steps[fires] = sent_steps(d[fires], reference[fires], bits, mode)
    reference += steps
    if count.shape[1] > 1:
        count[:, 1:] = count_terms(steps, bits)


def _start(path: Path, batch: int) -> Ints:
    """References [batch, columns] before the first step: the code of zero."""
    return np.full((batch, path.columns), path.quantizer.zero_point, np.int64)


def _fits_double(path: Path) -> bool:
    """Whether a rescale can be done in doubles: m * mult + 2**(shift-1) stays below 2**53."""
    return path.bound * int(np.abs(path.mult).max(initial=0)) + (1 << MAX_SHIFT) < 2**53


_Recurrent = tuple[Path, slice | list[int], "_Product", Ints, Ints]
"""A path, its rows among the gates, its product, its references and its events per frame."""


class _Product:
    """A path's part of the pre-activations, from references: [n, columns] -> [n, gates, units].

    Integers in floating point, for BLAS; the path's own bound proves that nothing is rounded.
    dtype: of the result, float64 only where `_fits_double`.
    """

    def __init__(self, path: Path, dtype: type) -> None:
        self._path = path
        self._matrix = np.ascontiguousarray(path.matrix.T, exact_dtype(path.bound))
        self._factor = path.mult * 0.5 ** path.shift[:, None] if dtype is np.float64 else None

    def __call__(self, reference: Ints) -> np.ndarray:
        path = self._path
        codes = (reference - path.quantizer.zero_point).astype(self._matrix.dtype)
        m = np.matmul(codes, self._matrix).reshape(len(codes), *path.mult.shape)
        if self._factor is None:
            return rshr(m.astype(np.int64) * path.mult, path.shift[:, None])
        scaled: np.ndarray = m * self._factor
        scaled += 0.5
        np.floor(scaled, out=scaled)
        return scaled


class StepModel:
    """The network one frame at a time, by events, for one sequence: the hardware's own order.

    `order` shuffles each event list when given; the outputs must not depend on it.
    """

    def __init__(self, network: Network, order: np.random.Generator | None = None) -> None:
        self.network = network
        self._order = order
        self.reset()

    def reset(self) -> None:
        """Start a new sequence: zero states, references at the code of zero, M = 0."""
        layers = self.network.layers
        self.states = [State(*np.zeros((2, layer.units), np.int64)) for layer in layers]
        self._references = [[_start(p, 1)[0] for p in layer.paths] for layer in layers]
        self._sums = [[np.zeros(p.rows, np.int64) for p in layer.paths] for layer in layers]
        self.events: dict[str, int] = {}

    def step(self, frame: Ints) -> Ints:
        """Outputs [outputs] for one int16 frame [inputs]; `events` then holds its counts."""
        x = np.asarray(frame, np.int64)
        for n, layer in enumerate(self.network.layers):
            before, p = self.states[n], layer.bias.copy()
            self._add(n, "x", x, p)
            named = self._add(n, "h", before.h, p)
            if layer.cell.middle is not None:
                named = self._add(n, "rh", layer.cell.middle(named, before), p)
            self.states[n] = layer.cell.step(named, before, layer.numbers(x))
            x = self.states[n].h
        return x

    def _add(self, n: int, source: str, values: Ints, p: Ints) -> dict[str, Ints]:
        """Add the nth layer's paths from `source` to p [gates, units]; sat16(p) by gate."""
        layer = self.network.layers[n]
        for k, path in enumerate(layer.paths):
            if path.source != source:
                continue
            reference, sums = self._references[n][k], self._sums[n][k]
            events = self._encode(path, path.quantizer(values), reference)
            for j, d in events:
                sums += path.matrix[:, j] * d
                reference[j] += d
            self.events[path_name(layer, k)] = len(events)
            rows = [layer.cell.gates.index(g) for g in path.gates]
            p[rows] += rshr(sums.reshape(path.mult.shape) * path.mult, path.shift[:, None])
        return dict(zip(layer.cell.gates, sat16(p), strict=True))

    def _encode(self, path: Path, q: Ints, reference: Ints) -> list[tuple[int, int]]:
        d = q - reference
        fired = np.flatnonzero(np.abs(d) > path.threshold)
        if self._order is not None:
            self._order.shuffle(fired)
        steps = sent_steps(d[fired], reference[fired], path.quantizer.bits, self.network.delta_mode)
        return [(int(j), int(step)) for j, step in zip(fired, steps, strict=True)]
