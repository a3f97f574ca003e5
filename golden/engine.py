# SPDX-License-Identifier: Apache-2.0
"""The golden model: runs a quantized network over sequences, bit for bit as the hardware does.

Accumulators are exact, so M = W (x̂ - zero point) at every step; sums over events and one product
with the references give the same integers. `run` uses the product (BLAS, fast); `StepModel` adds
events one by one, in any order, as the hardware does; the tests hold the two against each other.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from . import graph
from .arithmetic import Ints, code_range, exact_dtype, from_fixed, rshr, sat16, to_fixed
from .cells import State
from .delta import EXACT, count_terms, sent_steps
from .errors import UserError
from .network import MAX_SHIFT, Layer, Network, Path, path_name
from .packed import Packing, beside


@dataclass(frozen=True, slots=True)
class Result:
    """What a network did with one sequence.

    outputs: [steps, outputs] int16 codes; events: by path name, fired deltas per frame [steps];
    states: the final (c, h) of every layer, int16 codes; a backward layer ends at the first frame.
    terms: where they were asked for, by path name, the signed powers of two in the deltas by binary
    digit [steps, digits], the lowest first.
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
    """Run int16 frames [steps, inputs] of each sequence from its initial state; one `Result` each.

    delta=False ignores the thresholds and the delta mode: the dense quantized network.
    terms: count the terms of the deltas, too.
    """
    sending = _Sending(network.delta_mode if delta else _DENSE, terms)
    frames = [np.asarray(s, np.int64).reshape(-1, network.inputs) for s in sequences]
    packing = Packing.of([len(f) for f in frames])
    values = {graph.FRAMES: packing.pack(frames, network.inputs)}
    events: list[dict[str, Ints]] = [{} for _ in frames]
    found: list[dict[str, Ints]] = [{} for _ in frames]
    states: list[list[State]] = [[] for _ in frames]
    for group in graph.lockstep(network.layers):
        rows = packing.flipped if network.layers[group[0]].backward else slice(None)
        x = beside(values, graph.inputs_of(network.layers, group[0]))[rows]
        for n, part in zip(group, _run_group(network, group, packing, x, sending), strict=True):
            values[n] = part.outputs[rows]
            for name, count in part.events.items():
                for k, own in enumerate(packing.unpack(count[rows])):
                    events[k][name] = own[:, 0]
                    if terms:
                        found[k][name] = own[:, 1:]
            for row, k in enumerate(packing.order):
                states[k].append(State(part.state.c[row], part.state.h[row]))
    outputs = packing.unpack(beside(values, graph.outputs_of(network.layers, network.puts_out)))
    return [Result(y, events[n], tuple(states[n]), found[n]) for n, y in enumerate(outputs)]


def _run_group(
    network: Network, group: tuple[int, ...], packing: Packing, x: Ints, sending: "_Sending"
) -> list["_Running"]:
    """Layers that step together, over packed frames x [frames, inputs] in their own direction."""
    parts = [_Running(network, n, packing, sending) for n in group]
    first, last = parts[0], parts[-1]
    first.add_input(x)
    for at, n in packing.steps():
        values, h = x[at], last.state.h[:n]
        for part in parts:
            values = part.step(at, values, h)
    return parts


class _Running:
    """A layer between steps of packed sequences.

    outputs: [frames, units]; events: by path name, [frames, 1 + digits], events and, where they
    are asked for, terms by digit; state: over [sequences, units].
    """

    def __init__(self, network: Network, index: int, packing: Packing, sending: "_Sending") -> None:
        layer, batch, steps = network.layers[index], len(packing.lengths), sum(packing.lengths)
        self._layer, self._packing, self._sending = layer, packing, sending
        # Doubles hold the same integers as int64 while they stay below 2**53: much faster.
        dtype: type = np.float64 if all(map(_fits_double, layer.paths)) else np.int64
        self._p = np.empty((steps, *layer.bias.shape), dtype)
        self._p[:] = layer.bias
        self.outputs = np.zeros((steps, layer.units), np.int64)
        self.state = State(*(np.tile(part, (batch, 1)) for part in _first_state(layer)))
        self.events: dict[str, Ints] = {}
        self._paths: dict[str, list[_RunningPath]] = {source: [] for source in ("x", "h", "rh")}
        for k, path in enumerate(layer.paths):
            digits = path.quantizer.bits + 1 if sending.terms else 0
            self.events[path_name(layer, k)] = count = np.zeros((steps, 1 + digits), np.int64)
            reference = np.tile(_first_reference(network, index, path), (batch, 1))
            product = _Product(path, dtype)
            running = _RunningPath(path, _rows(layer, path), product, reference, count)
            self._paths[path.source].append(running)

    def add_input(self, x: Ints) -> None:
        """Add the paths from the input for all frames at once."""
        for path, rows, product, reference, count in self._paths["x"]:
            codes = path.quantizer(x)
            for at, n in self._packing.steps():
                _send(path, codes[at], reference[:n], count[at], self._sending)
                codes[at] = reference[:n]
            self._p[:, rows] += product(codes)
        self._paths["x"].clear()

    def step(self, at: slice, x: Ints, h: Ints) -> Ints:
        """The outputs [n, units] of the rows `at`, from x and the h that its paths read."""
        layer, n = self._layer, len(x)
        before = State(self.state.c[:n], self.state.h[:n])
        if self._paths["x"]:  # unless `add_input` did that
            self._add("x", x, at)
        p = self._add("h", h, at)
        if layer.cell.middle is not None:
            p = self._add("rh", layer.cell.middle(p, before), at)
        self.state.c[:n], self.state.h[:n] = layer.cell.step(p, before, layer.numbers(x))
        self.outputs[at] = self.state.h[:n]
        return self.state.h[:n]

    def _add(self, source: str, values: Ints, at: slice) -> dict[str, Ints]:
        """Add the paths from this source; the pre-activations by gate so far."""
        p = self._p[at]
        for path, rows, product, reference, count in self._paths[source]:
            now = reference[: len(p)]
            _send(path, path.quantizer(values), now, count[at], self._sending)
            p[:, rows] += product(now)
        whole = np.clip(p, *code_range(16)).astype(np.int64)
        return {gate: whole[:, g] for g, gate in enumerate(self._layer.cell.gates)}


def _rows(layer: Layer, path: Path) -> slice | list[int]:
    """The path's gates among the cell's: a slice where it feeds them all, which copies nothing."""
    gates = layer.cell.gates
    return slice(None) if path.gates == gates else [gates.index(g) for g in path.gates]


_DENSE = "dense"
"""Stands for a delta mode: every change is sent whole."""


class _Sending(NamedTuple):
    """A delta mode, and whether terms are counted."""

    mode: str
    terms: bool


def _send(path: Path, q: Ints, reference: Ints, count: Ints, sending: _Sending) -> None:
    """One step of the delta rule: updates `reference` and `count` [n, 1 + digits] in place."""
    d = q - reference
    fires = np.abs(d) > (0 if sending.mode == _DENSE else path.threshold)
    count[:, 0] = fires.sum(axis=-1)
    if sending.mode in (_DENSE, EXACT) and not sending.terms:
        np.copyto(reference, q, where=fires)
        return
    bits = path.quantizer.bits
    steps = np.zeros_like(d)
    steps[fires] = sent_steps(d[fires], reference[fires], bits, sending.mode)
    reference += steps
    if sending.terms:
        count[:, 1:] = count_terms(steps, bits)


def _first_state(layer: Layer) -> State:
    """The state [units] before a sequence's first step."""
    zeros = np.zeros(layer.units, np.int64)
    return State(*(layer.initial.get(name, zeros).astype(np.int64) for name in ("c", "h")))


def _first_reference(network: Network, index: int, path: Path) -> Ints:
    """References [columns] before the first step: the codes of the initial h, else of zero."""
    first = np.zeros(path.columns, np.int64)
    if path.source == "h":
        first = _first_state(network.layers[graph.h_source(network.layers, index)]).h
    return path.quantizer(first)


def _fits_double(path: Path) -> bool:
    """Whether a rescale can be done in doubles: m * mult + 2**(shift-1) stays below 2**53."""
    return path.bound * int(np.abs(path.mult).max(initial=0)) + (1 << MAX_SHIFT) < 2**53


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


class _RunningPath(NamedTuple):
    """A path, its rows among the gates, its product, references, events and terms per frame."""

    path: Path
    rows: slice | list[int]
    product: _Product
    reference: Ints
    fired: Ints


class StepModel:
    """The network one frame at a time, by events, for one sequence: the hardware's own order.

    `order` shuffles each event list when given; the outputs must not depend on it.
    """

    def __init__(self, network: Network, order: np.random.Generator | None = None) -> None:
        self.network = network
        self._order = order
        self.reset()

    def reset(self) -> None:
        """Start a new sequence: initial states, references at their codes, M = W (x̂ - zero)."""
        layers = self.network.layers
        self.states = [_first_state(layer) for layer in layers]
        self._references = [
            [_first_reference(self.network, n, path) for path in layer.paths]
            for n, layer in enumerate(layers)
        ]
        self._sums = [
            [
                path.matrix @ (reference - path.quantizer.zero_point)
                for path, reference in zip(layer.paths, references, strict=True)
            ]
            for layer, references in zip(layers, self._references, strict=True)
        ]
        self.events: dict[str, int] = {}

    def step(self, frame: Ints) -> Ints:
        """Outputs [outputs] for one int16 frame [inputs]; `events` then holds its counts.

        Raises UserError where a layer is backward: that needs the whole sequence, see `run`.
        """
        layers = self.network.layers
        backward = next((layer.name for layer in layers if layer.backward), None)
        if backward is not None:
            raise UserError(
                f"{backward}: runs backward, so it cannot go frame by frame; use StepModel.run on "
                "whole sequences"
            )
        values = {graph.FRAMES: np.asarray(frame, np.int64)}
        for n in range(len(layers)):
            values[n] = self._step(n, beside(values, graph.inputs_of(layers, n)))
        return beside(values, graph.outputs_of(layers, self.network.puts_out))

    def run(self, frames: Ints) -> Result:
        """A whole sequence of int16 frames [steps, inputs] from its initial state."""
        self.reset()
        layers = self.network.layers
        values = {graph.FRAMES: np.asarray(frames, np.int64).reshape(-1, self.network.inputs)}
        steps = len(values[graph.FRAMES])
        events = {name: np.zeros(steps, np.int64) for name, _ in self.network.paths()}
        for group in graph.lockstep(layers):
            values |= {n: np.zeros((steps, layers[n].units), np.int64) for n in group}
            for t in reversed(range(steps)) if layers[group[0]].backward else range(steps):
                for n in group:
                    x = beside({m: v[t] for m, v in values.items()}, graph.inputs_of(layers, n))
                    values[n][t] = self._step(n, x)
                for name in self.events:
                    events[name][t] = self.events[name]
                self.events = {}
        outputs = beside(values, graph.outputs_of(layers, self.network.puts_out))
        return Result(outputs, events, tuple(self.states))

    def _step(self, n: int, x: Ints) -> Ints:
        """The nth layer's output [units] for its input [inputs]."""
        layer, before = self.network.layers[n], self.states[n]
        p = layer.bias.copy()
        self._add(n, "x", x, p)
        named = self._add(n, "h", self.states[graph.h_source(self.network.layers, n)].h, p)
        if layer.cell.middle is not None:
            named = self._add(n, "rh", layer.cell.middle(named, before), p)
        self.states[n] = layer.cell.step(named, before, layer.numbers(x))
        return self.states[n].h

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
