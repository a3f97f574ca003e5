# SPDX-License-Identifier: Apache-2.0
"""A quantized layer over packed sequences, step by step: its paths, references and products."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..arithmetic import Ints, Reals, code_range, exact_dtype, rshr
from ..cells import Numbers, State
from ..delta import EXACT, count_terms, sent_steps
from ..frames import NONE, token_places
from ..models import graph
from ..models.network import MAX_SHIFT, Layer, Network, Path, path_name
from .packed import Block, Packing
from .watch import Watch

Setting = Mapping[str, int]
"""Thresholds of all paths, by name."""


class Sending(NamedTuple):
    """A delta mode, whether terms are counted, and what counts the words that saturate."""

    mode: str
    terms: bool
    watch: Watch | None = None


class RunningLayer:
    """A layer between steps of packed sequences, in several runs side by side.

    Row by row, the runs of one sequence stand next to each other.

    Parameters
    ----------
    networks: of each run, whose layer it is; they differ in paths and biases only.
    index: which layer.
    packing: of all runs of the first sequence, then of the next.
    settings: of each run, thresholds of all its paths, by name.
    sending: what an element that fires sends, and what is counted.
    first: by layer, states [sequences, units] before the first steps; None: the network's.

    Members
    -------
    outputs: [frames, units] int16.
    counts: by path name, as `Outcome` has them.
    state: over [sequences, units].
    stateless: no step needs another's.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        index: int,
        packing: Packing,
        settings: list[Setting],
        sending: Sending,
        first: Sequence[State] | None = None,
    ) -> None:
        layers = [network.layers[index] for network in networks]
        self._layer = layer = layers[0]
        self._index, self._watch = index, sending.watch
        frames, sequences = sum(packing.lengths), len(packing.lengths) // len(settings)
        # Doubles hold the same integers as int64 while they stay below 2**53: much faster.
        fits = all(_fits_double(path) for each in layers for path in each.paths)
        self._dtype: type = np.float64 if fits else np.int64
        self._bias = _one_or_all([each.bias for each in layers])
        self.outputs = np.zeros((frames, layer.units), np.int16)
        before = _packed_states(networks[0], packing, len(settings), first)
        self.state = State(*(np.repeat(part, len(settings), axis=0) for part in before[index]))
        self.stateless = not layer.cell.state
        self.counts: dict[str, Ints] = {}
        self._paths: dict[str, list[_RunningPath | _RunningTokens]] = {
            source: [] for source in ("x", "h", "rh")
        }
        self._numbers = layer.numbers(np.zeros((1, layer.inputs), np.int64))
        for k, path in enumerate(layer.paths):
            name = path_name(layer, k)
            own = [each.paths[k] for each in layers]
            digits = path.quantizer.bits + 1 if sending.terms else 0
            self.counts[name] = count = np.zeros((frames, 1 + digits), np.int64)
            product = _Product(layer, own, self._dtype)
            if path.tokens:
                running = _RunningTokens(product, path.columns, sequences * len(settings), count)
                self._paths[path.source].append(running)
                continue
            thresholds = np.array([setting[name] for setting in settings], np.int64)
            values = np.zeros((sequences, path.columns), np.int64)
            if path.source == "h":
                values = before[graph.h_source(networks[0].layers, index)].h
            codes = [each.quantizer(values) - each.quantizer.zero_point for each in own]
            self._paths[path.source].append(
                _RunningPath(
                    own,
                    product,
                    np.tile(thresholds, sequences),
                    np.stack(codes, axis=1).reshape(-1, path.columns),
                    count,
                    sending,
                )
            )

    def begin(self, block: Block) -> None:
        """Be ready for these steps."""
        self._block = block
        self._p = np.empty((block.frames, *self._layer.bias.shape), self._dtype)
        beside = self._p.reshape(-1, len(self._bias), *self._layer.bias.shape)
        beside[:] = self._bias
        self._whole: Ints | None = None
        for paths in self._paths.values():
            for path in paths:
                path.begin(block)

    def add_input(self, x: Ints) -> None:
        """Add the paths from the input [frames, inputs], for all steps."""
        self._numbers = self._layer.numbers(x)
        for path in self._paths["x"]:
            path.product.add(path.encode_all(x), self._p)
        if not (self._paths["h"] or self._paths["rh"]):
            self._whole = _sat16(self._p)

    def step(self, at: slice, x: Ints | None, h: Ints) -> Ints:
        """The outputs [n, units] of the rows `at`, from the h that its paths read.

        Parameters
        ----------
        x: the input, unless `add_input` had it.
        """
        n = len(h)
        before = State(self.state.c[:n], self.state.h[:n])
        if x is not None:
            self._add("x", x, at)
        self._add("h", h, at)
        if self._layer.cell.middle is not None:
            self._add("rh", self._layer.cell.middle(self._named(at), before), at)
        c, h = self._layer.cell.step(self._named(at), before, self._numbers_at(at))
        self.state.c[:n], self.state.h[:n], self.outputs[self._block.packed(at)] = c, h, h
        if self._watch is not None:
            self._watch.see_c(self._index, c)
        return self.state.h[:n]

    def step_all(self) -> None:
        """All steps at once, where the layer is stateless."""
        everything = slice(0, self._block.frames)
        nothing = State(*np.zeros((2, self._block.frames, 0), np.int64))
        h = self._layer.cell.step(self._named(everything), nothing, self._numbers).h
        self.outputs[self._block.packed(everything)] = h
        for at, n in self._block.steps:
            self.state.h[:n] = h[at]

    def end(self) -> None:
        """Count the events of these steps, and what saturated."""
        if self._watch is not None:
            self._watch.see_pre_activations(self._index, self._p)
            rows = self._block.packed(slice(0, self._block.frames))
            self._watch.see_h(self._index, self.outputs[rows])
        for paths in self._paths.values():
            for path in paths:
                path.end()

    def _add(self, source: str, values: Ints, at: slice) -> None:
        for path in self._paths[source]:
            path.product.add(path.encode(values, at), self._p[at])

    def _named(self, at: slice) -> dict[str, Ints]:
        """The pre-activations by gate so far, saturated."""
        whole = _sat16(self._p[at]) if self._whole is None else self._whole[at]
        return {gate: whole[:, g] for g, gate in enumerate(self._layer.cell.gates)}

    def _numbers_at(self, at: slice) -> Numbers:
        of = self._numbers
        if of.skip is None:
            return of
        return Numbers(
            c_exponent=of.c_exponent,
            vectors=of.vectors,
            vector_shift=of.vector_shift,
            skip=of.skip[at],
        )


class _RunningPath:
    """A path's references, step by step, as codes less the zero point in the product's type.

    Parameters
    ----------
    paths: one of each run.
    thresholds, first: by row of the batch, and [.., columns].
    count: [frames, 1 + digits], filled with events and, where they are asked for, terms.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        product: "_Product",
        thresholds: Ints,
        first: Ints,
        count: Ints,
        sending: Sending,
    ) -> None:
        dtype = product.dtype
        self.product, self._count, self._sending = product, count, sending
        quantizers = [path.quantizer for path in paths]
        if len({*quantizers}) == 1:
            del quantizers[1:]
        # Of other bits only where deltas are sent whole and terms are not counted.
        self._bits, self._zero = quantizers[0].bits, quantizers[0].zero_point
        words = np.roll(np.arange(-32768, 32768), 32768)  # negative ones where NumPy finds them
        self._codes = np.concatenate([(q(words) - q.zero_point).astype(dtype) for q in quantizers])
        self._tables = (np.arange(len(quantizers)) * len(words))[:, None]
        self._first = self._last = first.astype(dtype)
        # Exact deltas with threshold 0 make the references the codes.
        self._follows = sending.mode == EXACT and not thresholds.any()
        self._thresholds = thresholds.astype(dtype)[:, None]

    def begin(self, block: Block) -> None:
        self._block = block
        self._sent = np.empty((block.frames, self._first.shape[1]), self._first.dtype)

    def encode(self, values: Ints, at: slice) -> np.ndarray:
        """The references [n, columns] after the step with these int16 values."""
        now: np.ndarray = self._sent[at]
        self._look_up(values, now)
        if not self._follows:
            self._hold(now)
        self._last = now
        return now

    def encode_all(self, values: Ints) -> np.ndarray:
        """The same for all steps of the block, [frames, columns]."""
        self._look_up(values, self._sent)
        if not self._follows:
            for at, _ in self._block.steps:
                self._hold(self._sent[at])
                self._last = self._sent[at]
        self._last = self._sent[self._block.steps[-1][0]]
        return self._sent

    def end(self) -> None:
        """Count what the block sent: a reference changes if and only if its element fires."""
        rows = self._block.packed(slice(0, self._block.frames))
        before = self._block.before(self._first, self._sent)
        if self._sending.terms:
            steps = (self._sent - before).astype(np.int64)
            self._count[rows, 1:] = count_terms(steps, self._bits)
        self._count[rows, 0] = np.count_nonzero(self._sent != before, axis=-1)
        self._first = self._last = self._last.copy()  # without the rest of the block

    def _look_up(self, values: Ints, codes: np.ndarray) -> None:
        """The codes of values [n, columns]."""
        if len(self._tables) == 1:
            codes[:] = self._codes[values]  # `take` into it is much slower
            return
        beside = (-1, len(self._tables), values.shape[1])
        places = (values & 0xFFFF).reshape(beside) + self._tables
        codes.reshape(beside)[:] = self._codes[places]

    def _hold(self, now: np.ndarray) -> None:
        """Make codes [n, columns] the references after a step."""
        last, thresholds = self._last[: len(now)], self._thresholds[: len(now)]
        if self._sending.mode == EXACT:
            d = now - last
            fires = np.abs(d)
            fires -= thresholds
            np.minimum(np.maximum(fires, 0, out=fires), 1, out=fires)  # quicker than a mask
            d *= fires
            np.add(last, d, out=now)
            return
        d = (now - last).astype(np.int64)
        fires = np.abs(d) > thresholds
        reference = last[fires].astype(np.int64) + self._zero
        now[:] = last
        now[fires] += sent_steps(d[fires], reference, self._bits, self._sending.mode)


class _RunningTokens:
    """The same of a path that reads tokens: its references are the places that are on.

    Every change is sent, whatever the delta mode, by steps of 1.

    Parameters
    ----------
    columns: how many tokens there are.
    rows: of the batch.
    count: as of `_RunningPath`.
    """

    def __init__(self, product: "_Product", columns: int, rows: int, count: Ints) -> None:
        self.product, self._columns, self._count = product, columns, count
        self._first = self._last = np.full((rows, 1), NONE)

    def begin(self, block: Block) -> None:
        self._block = block
        self._sent = np.empty((block.frames, 1), np.int64)

    def encode(self, values: Ints, at: slice) -> np.ndarray:
        """The places [n, 1] after the step with these words."""
        self._sent[at] = token_places(values, self._columns)
        self._last = self._sent[at]
        return self._last

    def encode_all(self, values: Ints) -> np.ndarray:
        """The same for all steps of the block, [frames, 1]."""
        self._sent[:] = token_places(values, self._columns)
        self._last = self._sent[self._block.steps[-1][0]]
        return self._sent

    def end(self) -> None:
        """Count what the block sent: one place goes off and one on."""
        rows = self._block.packed(slice(0, self._block.frames))
        now, before = self._sent[:, 0], self._block.before(self._first, self._sent)[:, 0]
        sent = (now != before) * ((now != NONE) + (before != NONE).astype(np.int64))
        self._count[rows, :2] = sent[:, None]  # terms, too: all are of the lowest digit
        self._first = self._last = self._last.copy()


class _Product:
    """A path's part of the pre-activations, from its references.

    Integers in floating point, for BLAS; the path's own bound proves that nothing is rounded.

    Parameters
    ----------
    paths: one of each run.
    pre: type of the pre-activations, float64 only where `_fits_double`.

    Members
    -------
    dtype: of the references.
    """

    def __init__(self, layer: Layer, paths: Sequence[Path], pre: type) -> None:
        if len({(id(path.weights), id(path.mult), path.quantizer) for path in paths}) == 1:
            paths = paths[:1]
        self.dtype = exact_dtype(max(path.bound for path in paths))
        first = paths[0]
        self._shape, self._tokens = first.mult.shape, first.tokens
        matrices = [np.ascontiguousarray(path.matrix.T, self.dtype) for path in paths]
        if first.tokens:  # and a column of zeros, last: that of `NONE`
            matrices = [np.pad(matrix, [(0, 1), (0, 0)]) for matrix in matrices]
        self._matrix = matrices[0] if len(paths) == 1 else np.stack(matrices)
        self._mult = np.stack([path.mult for path in paths])[:, None]
        self._shift = np.stack([path.shift for path in paths])[:, None, :, None]
        self._factor: Reals | None = None
        if pre is np.float64:
            self._factor = (self._mult * 0.5**self._shift).reshape(len(paths), 1, -1)
        self._runs = _runs([layer.cell.gates.index(gate) for gate in first.gates])

    def add(self, references: np.ndarray, p: np.ndarray) -> None:
        """Add it for references [n, columns] to p [n, gates, units]."""
        runs = len(self._mult)
        if runs > 1:  # [runs, n, ..], views of what stands next to each other
            references = references.reshape(-1, runs, references.shape[1]).swapaxes(0, 1)
            p = p.reshape(-1, runs, *p.shape[1:]).swapaxes(0, 1)
        m = self._columns_of(references) if self._tokens else np.matmul(references, self._matrix)
        shape = (*m.shape[:-1], *self._shape)
        mult, shift, factor = self._mult, self._shift, self._factor
        if runs == 1:
            mult, shift, factor = mult[0], shift[0], None if factor is None else factor[0, 0]
        if factor is None:
            part: np.ndarray = rshr(m.astype(np.int64).reshape(shape) * mult, shift)
        else:
            scaled = m.astype(np.float64)  # NumPy is slow where types are mixed
            scaled *= factor
            scaled += 0.5
            part = np.floor(scaled, out=scaled).reshape(shape)
        for own, rows in self._runs:
            p[..., rows, :] += part[..., own, :]

    def _columns_of(self, places: np.ndarray) -> np.ndarray:
        """The columns [.., n, rows] at places [.., n, 1], run by run."""
        found: np.ndarray
        if self._matrix.ndim == 2:
            found = self._matrix[places[..., 0]]
        else:
            found = self._matrix[np.arange(len(self._matrix))[:, None], places[..., 0]]
        return found


def _packed_states(
    network: Network, packing: Packing, runs: int, first: Sequence[State] | None
) -> list[State]:
    """By layer, states [sequences, units] in the order of the packing, of one run each."""
    order = packing.order[::runs] // max(runs, 1)
    if first is None:
        one = [first_state(layer) for layer in network.layers]
        return [State(*(np.tile(part, (len(order), 1)) for part in state)) for state in one]
    return [State(*(part[order] for part in state)) for state in first]


def _one_or_all(arrays: list[np.ndarray]) -> np.ndarray:
    """[1 or all, ..]: one of them where they are the same."""
    same = all(np.array_equal(arrays[0], other) for other in arrays[1:])
    return np.stack(arrays[:1] if same else arrays)


def _runs(rows: list[int]) -> list[tuple[slice, slice]]:
    """The places of these rows, and the rows, as slices: quicker than a list of indices."""
    starts = [n for n, row in enumerate(rows) if not n or row != rows[n - 1] + 1]
    return [
        (slice(n, end), slice(rows[n], rows[n] + end - n))
        for n, end in zip(starts, [*starts[1:], len(rows)], strict=True)
    ]


def _sat16(p: np.ndarray) -> Ints:
    """Integers of any type, saturated."""
    low, high = code_range(16)
    result: Ints = np.minimum(np.maximum(p, low), high).astype(np.int64)
    return result


def _fits_double(path: Path) -> bool:
    """Whether a rescale can be done in doubles: m * mult + 2**(shift-1) stays below 2**53."""
    return path.bound * int(np.abs(path.mult).max(initial=0)) + (1 << MAX_SHIFT) < 2**53


def first_state(layer: Layer) -> State:
    """The state [units] before a sequence's first step."""
    zeros = np.zeros(layer.units, np.int64)
    return State(*(layer.initial.get(name, zeros).astype(np.int64) for name in ("c", "h")))
