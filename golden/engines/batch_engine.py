# SPDX-License-Identifier: Apache-2.0
"""The golden model over many sequences, several settings and several alike networks at once.

What a layer does depends on its input, its own parameters and its paths' thresholds only, so
settings that agree in these share its run (`_Runs`). Runs and sequences step side by side, as rows
of one packed batch: NumPy's cost of a call is then paid once for all of them. Numbers stay exact:
codes are integers in floating point, see `products`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arithmetic import Ints
from ..cells import State
from ..models import graph
from ..models.network import Layer, Network, path_name
from .batch_layers import RunningLayer, Setting
from .packed import Packing, beside
from .references import Sending
from .watch import Watch

ROWS = 512
"""Packed rows whose pre-activations are held at once; a step is never cut."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a network did with sequences that stand one after the other, with one setting.

    Members
    -------
    outputs: [frames, outputs] int16 codes.
    counts: by path name, [frames, 1 + digits], events and, where they were asked for, terms by
        digit.
    states: by layer, over [sequences, units].
    """

    outputs: Ints
    counts: dict[str, Ints]
    states: list[State]


def run_batch(
    networks: Sequence[Network],
    sequences: Sequence[Ints],
    settings: Sequence[Setting],
    mode: str,
    *,
    terms: bool = False,
    watch: Watch | None = None,
    first: Sequence[State] | None = None,
) -> Iterator[Outcome]:
    """Run sequences with each setting; one `Outcome` each, in order.

    Parameters
    ----------
    networks: what runs with each setting; their own thresholds and delta modes do not count. Where
        they are not all the same one, see `are_alike`.
    sequences: of each, int16 frames [steps, words].
    settings: thresholds of all paths, by name, in codes.
    mode: the delta mode.
    terms: count the terms of the deltas, too.
    watch: counts what saturates; settings that share a layer's run count once.
    first: by layer, states [sequences, units] before the first steps, int16 codes; None: the
        networks' own.
    """
    if not settings:
        return
    layers, lengths = networks[0].layers, [len(sequence) for sequence in sequences]
    frames = np.concatenate([np.zeros((0, networks[0].frame_words), np.int64), *sequences])
    sending = Sending(mode, terms, watch)
    values = {graph.FRAMES: _Runs([0] * len(settings), frames[None])}
    counts: dict[int, dict[str, Ints]] = {}
    states: dict[int, State] = {}
    for group in graph.lockstep(layers):
        reads = graph.inputs_of(layers, group[0])
        names = [path_name(layers[n], k) for n in group for k in range(len(layers[n].paths))]
        keys = [
            (
                *(values[m].of[s] for m in reads),
                *(setting[name] for name in names),
                *(_parameters(networks[s].layers[n]) for n in group),
            )
            for s, setting in enumerate(settings)
        ]
        distinct = list(dict.fromkeys(keys))
        of = [distinct.index(key) for key in keys]
        chosen = [keys.index(key) for key in distinct]  # a setting of each run
        inputs = [tuple(values[m].of[s] for m in reads) for s in chosen]
        own: list[Setting] = [{name: settings[s][name] for name in names} for s in chosen]
        packing, places, order = _side_by_side(lengths, len(distinct))
        x_places = places[packing.flipped] if layers[group[0]].backward else places
        x = _Input([values[m] for m in reads], inputs, x_places, len(frames))
        whose = [networks[s] for s in chosen]
        for n, part in zip(group, _run(whose, group, packing, x, own, sending, first), strict=True):
            values[n] = _Runs(of, _apart(part.outputs, x_places, len(distinct)))
            counts[n] = {
                name: _apart(count, x_places, len(distinct)) for name, count in part.counts.items()
            }
            states[n] = State(*(_apart(a, order, len(distinct)) for a in part.state))
    last = graph.outputs_of(layers, networks[0].puts_out)
    for s in range(len(settings)):
        yield Outcome(
            beside({n: values[n].runs[values[n].of[s]] for n in last}, last).astype(np.int64),
            {name: c[values[n].of[s]] for n in counts for name, c in counts[n].items()},
            [State(*(a[values[n].of[s]] for a in states[n])) for n in range(len(layers))],
        )


def are_alike(networks: Sequence[Network]) -> bool:
    """Whether networks can run side by side: only weights, biases and widths differ."""
    first, *others = networks
    return all(_shape(first) == _shape(other) for other in others)


def _shape(network: Network) -> list[Any]:
    found: list[Any] = [network.x_exponent, network.puts_out]
    for layer in network.layers:
        arrays = [*layer.vectors.items(), *layer.initial.items()]
        found += [
            (layer.name, layer.kind, layer.reads, layer.backward, layer.h_from),
            (layer.c_exponent, layer.h_exponent, layer.vector_shift),
            (layer.skip_mult, layer.skip_shift),
            [(name, array.tobytes()) for name, array in arrays],
            [(path.source, path.gates, path.weights.shape, path.tokens) for path in layer.paths],
        ]
    return found


def _parameters(layer: Layer) -> tuple[Any, ...]:
    """What makes two layers of alike networks the same, but for thresholds."""
    paths = [(id(p.weights), id(p.mult), id(p.shift), p.quantizer) for p in layer.paths]
    return (*paths, layer.bias.tobytes())


def _side_by_side(lengths: list[int], runs: int) -> tuple[Packing, Ints, Ints]:
    """All runs of each sequence next to each other, row by row.

    Returns their packing; of each packed row, its place where run follows run; and of each row of a
    state, that of its sequence.
    """
    packing = Packing.of(np.repeat(lengths, runs).tolist())
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    frames = sum(lengths)
    plain = [
        run * frames + np.arange(start, start + length)
        for start, length in zip(starts.tolist(), lengths, strict=True)
        for run in range(runs)
    ]
    places = (np.concatenate(plain) if plain else np.zeros(0, np.int64))[packing.rows]
    sequence, run = np.divmod(packing.order, runs)
    return packing, places, run * len(lengths) + sequence


@dataclass(frozen=True, slots=True)
class _Runs:
    """What a layer put out. of: by setting, the run that is its; runs: [runs, frames, width]."""

    of: list[int]
    runs: Ints


class _Input:
    """The packed input [frames, width] of a layer's runs, gathered as it is needed.

    Parameters
    ----------
    inputs: for each run, which run of each source it reads.
    rows: of packed rows, the row in the plain concatenation of all runs, of so many frames each.
    """

    def __init__(
        self, sources: list[_Runs], inputs: list[tuple[int, ...]], rows: Ints, frames: int
    ) -> None:
        run, frame = np.divmod(rows, max(frames, 1))
        chosen = np.array(inputs, np.int64).reshape(len(inputs), len(sources))
        self._sources = [source.runs.reshape(-1, source.runs.shape[-1]) for source in sources]
        self._rows = [chosen[run, k] * frames + frame for k in range(len(sources))]

    def __getitem__(self, at: slice) -> Ints:
        parts = [source[rows[at]] for source, rows in zip(self._sources, self._rows, strict=True)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def _apart(packed: np.ndarray, places: Ints, runs: int) -> np.ndarray:
    """[runs, frames or sequences, ...] of packed rows; places: of each, in all runs together."""
    plain = np.empty_like(packed)
    plain[places] = packed
    return plain.reshape(runs, len(packed) // max(runs, 1), *packed.shape[1:])


def _run(
    networks: list[Network],
    group: tuple[int, ...],
    packing: Packing,
    x: _Input,
    settings: list[Setting],
    sending: Sending,
    first: Sequence[State] | None,
) -> list[RunningLayer]:
    """Layers that step together, over packed frames in their own direction."""
    parts = [RunningLayer(networks, n, packing, settings, sending, first) for n in group]
    head, last = parts[0], parts[-1]
    for block in packing.blocks(ROWS):
        for part in parts:
            part.begin(block, x[block.packed(slice(0, block.frames))] if part is head else None)
        if len(parts) == 1 and head.stateless:
            head.step_all()
        else:
            for at, n in block.steps:
                h, fed = last.h[:n], None
                for part in parts:
                    fed = part.step(at, fed, h)
        for part in parts:
            part.end()
    return parts
