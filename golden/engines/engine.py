# SPDX-License-Identifier: Apache-2.0
"""The golden model: runs a quantized network over sequences, bit for bit as the hardware does.

Accumulators are exact, so M = W (x̂ - zero point) at every step; sums over events and one product
with the references give the same integers. `run` uses the product (BLAS, fast); `StepModel` adds
events one by one, in any order, as the hardware does; the tests hold the two against each other.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..arithmetic import Ints, from_fixed, rshr, sat16, to_fixed
from ..cells import State
from ..delta import EXACT, sent_steps
from ..errors import UserError
from ..frames import NONE, checked_frames, checked_tokens, token_places
from ..models import graph
from ..models.network import Network, Path, path_name
from .batch_engine import Outcome, are_alike, run_batch
from .batch_layers import first_state
from .packed import beside


@dataclass(frozen=True, slots=True)
class Result:
    """What a network did with one sequence.

    Members
    -------
    outputs: [steps, outputs] int16 codes.
    events: by path name, fired deltas per frame [steps].
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
    """Frames as the int16 words [steps, words] that the hardware takes.

    Parameters
    ----------
    network: what takes them; its `x_exponent` says their format. A feature is divided by its
        `input_scale` first, then rounded half up and saturated.
    features: real values [steps, inputs], or tokens [steps], which are words as they are.

    Raises UserError for another shape, a value that is not finite, and what is no token.
    """
    if network.tokens:
        return checked_tokens(features, network.inputs)[:, None]
    frames = checked_frames(features, network.inputs, tokens=False)
    if network.input_scale is not None:
        frames = frames / network.input_scale
    return to_fixed(frames, network.x_exponent)


def real_outputs(network: Network, outputs: Ints) -> np.ndarray:
    """Output words, int16 of any shape, as real values by the network's `y_exponent`."""
    return from_fixed(outputs, network.y_exponent)


DENSE = None
"""Stands for a setting: every change is sent whole."""


def run(
    network: Network,
    sequences: Iterable[Ints],
    *,
    delta: bool = True,
    terms: bool = False,
    first: Sequence[State] | None = None,
) -> list[Result]:
    """Run each sequence from its initial state, bit for bit as the hardware does.

    Parameters
    ----------
    network: what runs.
    sequences: of each, int16 frames [steps, words], see `quantize_frames`.
    delta: False ignores the thresholds and the delta mode: the dense quantized network.
    terms: count the terms of the deltas, too.
    first: by layer, states [sequences, units] before the first steps, int16 codes, as
        `models.states.first_codes` makes them; None: the network's.

    Raises UserError where a word is beyond int16.
    """
    settings: list[Mapping[str, int] | None] = [{} if delta else DENSE]
    (results,) = run_settings(network, sequences, settings, terms=terms, first=first)
    return results


def run_settings(
    network: Network,
    sequences: Iterable[Ints],
    settings: Sequence[Mapping[str, int] | None],
    *,
    terms: bool = False,
    first: Sequence[State] | None = None,
) -> Iterator[list[Result]]:
    """`run` with each of these settings, all at once: quicker than one after the other.

    Parameters
    ----------
    network, sequences, terms, first: as for `run`.
    settings: each DENSE, or thresholds by path name, in codes; a path that it does not name keeps
        its own.

    Raises UserError where a word is beyond int16, and for a threshold that no path can have.
    """
    for setting in settings:
        network.check_thresholds(setting or {})
    frames = _checked_frames(network, sequences)
    own = {name: path.threshold for name, path in network.paths()}
    # Exact deltas with threshold 0 are dense, bit for bit.
    whole = [dict.fromkeys(own, 0) if s is DENSE else own | dict(s) for s in settings]
    modes = [EXACT if s is DENSE else network.delta_mode for s in settings]
    outcomes = {
        mode: run_batch(
            [network] * modes.count(mode),
            frames,
            [s for s, m in zip(whole, modes, strict=True) if m == mode],
            mode,
            terms=terms,
            first=first,
        )
        for mode in set(modes)
    }
    for mode in modes:
        yield _results(next(outcomes[mode]), [len(f) for f in frames])


def run_networks(
    networks: Sequence[Network],
    sequences: Iterable[Ints],
    firsts: Sequence[Sequence[State]] | None = None,
) -> list[list[Result]]:
    """`run` of several networks on the same sequences, side by side where that is possible.

    Parameters
    ----------
    networks: each with its own thresholds. Those of one float model and one calibration that differ
        in bits alone run side by side, and what their first layers share runs once.
    sequences: as for `run`.
    firsts: of each, as `first` of `run`; those of networks that run side by side are the same.

    Raises UserError where a word is beyond int16.
    """
    if not networks:
        return []
    frames = _checked_frames(networks[0], sequences)
    if not are_alike(networks) or any(n.delta_mode != EXACT for n in networks):
        own = [None] * len(networks) if firsts is None else firsts
        return [run(net, frames, first=first) for net, first in zip(networks, own, strict=True)]
    settings = [{name: path.threshold for name, path in n.paths()} for n in networks]
    first = None if firsts is None else firsts[0]
    outcomes = run_batch(networks, frames, settings, EXACT, first=first)
    return [_results(outcome, [len(f) for f in frames]) for outcome in outcomes]


def _checked_frames(network: Network, sequences: Iterable[Ints]) -> list[Ints]:
    frames = [np.asarray(s, np.int64).reshape(-1, network.frame_words) for s in sequences]
    for sequence in frames:
        if sequence.min(initial=0) < -32768 or sequence.max(initial=0) > 32767:
            raise UserError("frames: a word is beyond int16; saturate them first")
    return frames


def _results(outcome: Outcome, lengths: list[int]) -> list[Result]:
    """By sequence."""
    ends = np.cumsum(lengths)
    results = []
    for n, (length, end) in enumerate(zip(lengths, ends.tolist(), strict=True)):
        at = slice(end - length, end)
        counts = {name: count[at] for name, count in outcome.counts.items()}
        results.append(
            Result(
                outcome.outputs[at],
                {name: count[:, 0] for name, count in counts.items()},
                tuple(State(c[n], h[n]) for c, h in outcome.states),
                {name: count[:, 1:] for name, count in counts.items() if count.shape[1] > 1},
            )
        )
    return results


class StepModel:
    """The network one frame at a time, by events, for one sequence: the hardware's own order.

    `order` shuffles each event list when given; the outputs must not depend on it.
    """

    def __init__(self, network: Network, order: np.random.Generator | None = None) -> None:
        self.network = network
        self._order = order
        self._columns = [
            [np.ascontiguousarray(path.matrix.T, np.int64) for path in layer.paths]
            for layer in network.layers
        ]
        self.reset()

    def reset(self, first: Sequence[State] | None = None) -> None:
        """Start a new sequence: initial states, references at their codes, M = W (x̂ - zero).

        first: by layer, the states [units] to start from, int16 codes; None: the network's.
        """
        layers = self.network.layers
        self.states = [first_state(layer) for layer in layers] if first is None else [*first]
        self._references = [
            [self._first_reference(n, path) for path in layer.paths]
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
        """Outputs [outputs] for one int16 frame [words]; `events` then holds its counts.

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
        """A whole sequence of int16 frames [steps, words] from its initial state."""
        self.reset()
        layers = self.network.layers
        words = self.network.frame_words
        values = {graph.FRAMES: np.asarray(frames, np.int64).reshape(-1, words)}
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

    def _first_reference(self, n: int, path: Path) -> Ints:
        """References [columns] before the first step: the codes of h there, else of zero."""
        first = np.zeros(path.columns, np.int64)
        if path.source == "h":
            first = self.states[graph.h_source(self.network.layers, n)].h
        return path.quantizer(first)

    def _step(self, n: int, x: Ints) -> Ints:
        """The nth layer's output [units] for its input [inputs]."""
        layer, before = self.network.layers[n], self.states[n]
        p = layer.bias.copy()
        self._add(n, "x", x, p)
        named = self._add(n, "h", self.states[graph.h_source(self.network.layers, n)].h, p)
        numbers = layer.numbers(x)
        if layer.cell.middle is not None:
            named = self._add(n, "rh", layer.cell.middle(named, before, numbers), p)
        self.states[n] = layer.cell.step(named, before, numbers)
        return self.states[n].h

    def _add(self, n: int, source: str, values: Ints, p: Ints) -> dict[str, Ints]:
        """Add the nth layer's paths from `source` to p [gates, units]; sat16(p) by gate."""
        layer = self.network.layers[n]
        for k, path in enumerate(layer.paths):
            if path.source != source:
                continue
            reference, sums = self._references[n][k], self._sums[n][k]
            columns = self._columns[n][k]
            codes = _one_hot(path, values) if path.tokens else path.quantizer(values)
            events = self._encode(path, codes, reference)
            for j, d in events:
                sums += columns[j] * d
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


def _one_hot(path: Path, values: Ints) -> Ints:
    """The codes [columns] of a token's word [1]: 1 where it is on, none for a word that is none."""
    codes = np.zeros(path.columns, np.int64)
    place = int(token_places(values, path.columns)[0])
    if place != NONE:
        codes[place] = 1
    return codes
