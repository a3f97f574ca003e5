# SPDX-License-Identifier: Apache-2.0
"""The golden model: runs a quantized network over sequences, bit for bit as the hardware does.

Accumulators are exact, so M = W (x̂ - zero point) at every step; sums over events and one product with the
references give the same integers. `run` uses the product (BLAS, fast); `StepModel` adds events
one by one, in any order, as the hardware does, and the tests hold the two against each other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .arithmetic import Ints, exact_matmul, from_fixed, rshr, sat16, to_fixed
from .cells import State
from .errors import UserError
from .network import Layer, Network, Path, path_name


@dataclass(frozen=True, slots=True)
class Result:
    """What a network did with one sequence.

    outputs: [steps, outputs] int16 codes; events: by path name, fired deltas per step [steps];
    states: the final (c, h) of every layer, int16 codes.
    """

    outputs: Ints
    events: dict[str, Ints]
    states: tuple[State, ...]

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


def run(network: Network, sequences: Iterable[Ints], *, delta: bool = True) -> list[Result]:
    """Run int16 frames [steps, inputs] of each sequence from zero state; one `Result` each.

    delta=False ignores the thresholds: the dense quantized network.
    """
    frames = [np.asarray(s, np.int64).reshape(-1, network.inputs) for s in sequences]
    order = sorted(range(len(frames)), key=lambda n: -len(frames[n]))
    x = [frames[n] for n in order]
    events: list[dict[str, Ints]] = [{} for _ in x]
    states: list[list[State]] = [[] for _ in x]
    for layer in network.layers:
        x, fired, final = _run_layer(layer, x, delta)
        for n in range(len(x)):
            states[n].append(final[n])
            for name, count in fired.items():
                events[n][name] = count[: len(x[n]), n]
    results: list[Result | None] = [None] * len(x)
    for n, place in enumerate(order):
        results[place] = Result(x[n], events[n], tuple(states[n]))
    return [r for r in results if r is not None]


def _run_layer(
    layer: Layer, x: Sequence[Ints], delta: bool
) -> tuple[list[Ints], dict[str, Ints], list[State]]:
    """One layer over sequences in order of falling length: outputs, events [steps, n], states."""
    lengths = np.array([len(s) for s in x], int)
    steps, batch, units = int(lengths.max(initial=0)), len(x), layer.units
    gates = layer.cell.gates
    frames = np.zeros((steps, batch, layer.inputs), np.int64)
    for n, sequence in enumerate(x):
        frames[: len(sequence), n] = sequence
    running = [int((lengths > t).sum()) for t in range(steps)]

    constant = np.broadcast_to(layer.bias, (steps, batch, *layer.bias.shape)).copy()
    fired: dict[str, Ints] = {}
    recurrent = []
    for k, path in enumerate(layer.paths):
        name = path_name(layer, k)
        rows = [gates.index(g) for g in path.gates]
        if path.source == "x":
            reference, fired[name] = _references(path, path.quantizer(frames), delta)
            constant[:, :, rows] += _rescaled(path, reference)
        else:
            fired[name] = np.zeros((steps, batch), np.int64)
            recurrent.append((path, rows, fired[name], _start(path, batch)))

    c, h = np.zeros((batch, units), np.int64), np.zeros((batch, units), np.int64)
    outputs = np.zeros((steps, batch, units), np.int64)
    for t in range(steps):
        n = running[t]
        p = constant[t, :n]
        for path, rows, count, reference in recurrent:
            _send(path, path.quantizer(h[:n]), reference[:n], count[t, :n], delta)
            p[:, rows] += _rescaled(path, reference[:n])
        p = sat16(p)
        named = {gate: p[:, g] for g, gate in enumerate(gates)}
        c[:n], h[:n] = layer.cell.step(named, State(c[:n], h[:n]), layer.c_exponent)
        outputs[t, :n] = h[:n]
    return (
        [outputs[: lengths[n], n] for n in range(batch)],
        fired,
        [State(c[n].copy(), h[n].copy()) for n in range(batch)],
    )


def _send(path: Path, q: Ints, reference: Ints, count: Ints, delta: bool) -> None:
    """One step of the delta rule: updates `reference` and `count` in place."""
    fires = np.abs(q - reference) > (path.threshold if delta else 0)
    np.copyto(reference, q, where=fires)
    count[...] = fires.sum(axis=-1)


def _references(path: Path, q: Ints, delta: bool) -> tuple[Ints, Ints]:
    """References x̂ and event counts at every step of codes q [steps, batch, columns]."""
    references = np.empty_like(q)
    count = np.zeros(q.shape[:2], np.int64)
    reference = _start(path, q.shape[1])
    for t in range(len(q)):
        _send(path, q[t], reference, count[t], delta)
        references[t] = reference
    return references, count


def _start(path: Path, batch: int) -> Ints:
    """References [batch, columns] before the first step: the code of zero."""
    return np.full((batch, path.columns), path.quantizer.zero_point, np.int64)


def _rescaled(path: Path, reference: Ints) -> Ints:
    """The path's part of the pre-activations, [..., gates, units]."""
    m = exact_matmul(reference - path.quantizer.zero_point, path.matrix.T).reshape(
        *reference.shape[:-1], *path.mult.shape
    )
    return rshr(m * path.mult, path.shift[:, None])


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
        """Outputs [outputs] for one int16 frame [inputs]; `events` then holds this step's counts."""
        x = np.asarray(frame, np.int64)
        for n, layer in enumerate(self.network.layers):
            p = layer.bias.copy()
            for k, path in enumerate(layer.paths):
                reference, sums = self._references[n][k], self._sums[n][k]
                source = x if path.source == "x" else self.states[n].h
                events = self._encode(path, path.quantizer(source), reference)
                for j, d in events:
                    sums += path.matrix[:, j] * d
                    reference[j] += d
                self.events[path_name(layer, k)] = len(events)
                rows = [layer.cell.gates.index(g) for g in path.gates]
                p[rows] += rshr(sums.reshape(path.mult.shape) * path.mult, path.shift[:, None])
            named = dict(zip(layer.cell.gates, sat16(p), strict=True))
            self.states[n] = layer.cell.step(named, self.states[n], layer.c_exponent)
            x = self.states[n].h
        return x

    def _encode(self, path: Path, q: Ints, reference: Ints) -> list[tuple[int, int]]:
        d = q - reference
        fired = np.flatnonzero(np.abs(d) > path.threshold)
        if self._order is not None:
            self._order.shuffle(fired)
        return [(int(j), int(d[j])) for j in fired]
