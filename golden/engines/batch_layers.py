# SPDX-License-Identifier: Apache-2.0
"""A quantized layer over packed sequences, step by step."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..arithmetic import Ints
from ..cells import Numbers, State
from ..cells.narrow import OFFSET, narrow
from ..models import graph
from ..models.network import Layer, Network, path_name
from .packed import Block, Packing
from .products import HALF, Product, Reach, spread
from .references import RunningPath, RunningTokens, Sending

Setting = Mapping[str, int]
"""Thresholds of all paths, by name."""
WORD_BITS = 31
"""Of pre-activations that an int32 holds, in magnitude."""


class RunningLayer:
    """A layer between steps of packed sequences, in several runs side by side.

    Row by row, the runs of one sequence stand next to each other. Pre-activations have a gate's
    rows together, in the order of the cell's narrow step (`cells.narrow`), where it has one, and
    `OFFSET` added.

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
    h: [n, units] after the last step, of the sequences that are still running.
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
        frames = sum(packing.lengths)
        self._narrow = narrow(layer.cell, layer.c_exponent, layer.vector_shift)
        gates = len(layer.cell.gates)
        self._order = self._narrow.order if self._narrow else tuple(range(gates))
        reaches = [[Reach.of(path) for path in each.paths] for each in layers]
        every = [reach for each in reaches for reach in each]
        bias = _one_or_all([each.bias[list(self._order)] for each in layers]).swapaxes(0, 1)
        beyond = int(np.abs(bias).max(initial=0)) + OFFSET + 1
        beyond += max(sum(reach.words for reach in each) for each in reaches)
        # Doubles hold the same numbers as int64, and `HALF` besides, while these and their
        # products stay below 2**53: much faster.
        doubles = 2 * beyond < 2**53 and all(one.fits_double for one in every)
        self._dtype: type = np.float64 if doubles else np.int64
        self._bias = bias + (OFFSET + HALF if self._dtype is np.float64 else OFFSET)
        self._fits_word = self._dtype is np.float64 and beyond < 1 << WORD_BITS
        self.outputs = np.zeros((frames, layer.units), np.int16)
        before = _packed_states(networks[0], packing, len(settings), first)
        self._state = State(*(np.repeat(part, len(settings), axis=0) for part in before[index]))
        word = np.int32 if self._narrow else np.int64
        self._c, self.h = (part.astype(word) for part in self._state)
        self._vectors = {name: vector.astype(word) for name, vector in layer.vectors.items()}
        self._skip: np.ndarray | None = None
        self.stateless = not layer.cell.state
        self.counts: dict[str, Ints] = {}
        self._paths: dict[str, list[RunningPath | RunningTokens]] = {
            source: [] for source in ("x", "h", "rh")
        }
        for k, path in enumerate(layer.paths):
            name = path_name(layer, k)
            own = [each.paths[k] for each in layers]
            digits = path.quantizer.bits + 1 if sending.terms else 0
            self.counts[name] = count = np.zeros((frames, 1 + digits), np.int64)
            last = _is_last(layer, k)
            product = Product(
                layer,
                own,
                [each[k] for each in reaches],
                self._dtype,
                self._order,
                beyond,
                last=last,
            )
            if path.tokens:
                rows = len(packing.lengths)
                running = RunningTokens(product, path.columns, rows, count)
                self._paths[path.source].append(running)
                continue
            thresholds = np.array([setting[name] for setting in settings], np.int64)
            sequences = len(packing.lengths) // len(settings)
            values = np.zeros((sequences, path.columns), np.int64)
            if path.source == "h":
                values = before[graph.h_source(networks[0].layers, index)].h
            codes = [each.quantizer(values) - each.quantizer.zero_point for each in own]
            self._paths[path.source].append(
                RunningPath(
                    own,
                    product,
                    np.tile(thresholds, sequences),
                    np.stack(codes, axis=1).reshape(-1, path.columns),
                    count,
                    sending,
                )
            )

    @property
    def state(self) -> State:
        """After the last step of each sequence, over [sequences, units]."""
        self._keep(0)
        return self._state

    def begin(self, block: Block, x: np.ndarray | None) -> None:
        """Be ready for these steps, with the input [frames, inputs]; None: `step` is given it."""
        self._block = block
        gates, units = self._layer.bias.shape
        self._p: np.ndarray = np.empty((gates, block.frames, units), self._dtype)
        self._whole: np.ndarray | None = None
        for paths in self._paths.values():
            for path in paths:
                path.begin(block)
        if x is None:
            spread(self._bias, self._p)
            return
        if self._layer.cell.reads_input:
            skip = self._layer.numbers(x.astype(np.int64)).skip
            assert skip is not None
            self._skip = skip.astype(self.h.dtype)
        head, *others = self._paths["x"]
        head.product.begin(head.encode_all(x), self._p, self._bias)
        for path in others:
            path.product.add(path.encode_all(x), self._p)
        if not (self._paths["h"] or self._paths["rh"]):
            self._whole = self._words(self._p)

    def step(self, at: slice, x: np.ndarray | None, h: np.ndarray) -> np.ndarray:
        """The outputs [n, units] of the rows `at`, from the h that its paths read.

        Parameters
        ----------
        x: the input, unless `begin` had it.
        """
        n = len(h)
        self._keep(n)
        if x is not None:
            self._add("x", x, at)
        self._add("h", h, at)
        inputs = self._inputs(at)
        if self._layer.cell.middle is not None:
            self._add("rh", self._middle(at, inputs), at)
        self._c, self.h = self._cell(at, inputs)
        self.outputs[self._block.packed(at)] = self.h
        if self._watch is not None:
            self._watch.see_c(self._index, self._c)
        return self.h

    def step_all(self) -> None:
        """All steps at once, where the layer is stateless."""
        everything = slice(0, self._block.frames)
        c, h = self._cell(everything, self._inputs(everything))
        self.outputs[self._block.packed(everything)] = h
        if self._watch is not None:
            self._watch.see_c(self._index, c)
        for at, n in self._block.steps:
            self._keep(n)
            self.h = h[at]
            if self._layer.cell.has_c:  # written, and never read
                self._c = c[at]

    def end(self) -> None:
        """Count the events of these steps, and what saturated."""
        if self._watch is not None:
            p = np.floor(self._p) - OFFSET
            self._watch.see_pre_activations(self._index, p[np.argsort(self._order)].swapaxes(0, 1))
            rows = self._block.packed(slice(0, self._block.frames))
            self._watch.see_h(self._index, self.outputs[rows])
        for paths in self._paths.values():
            for path in paths:
                path.end()

    def _add(self, source: str, values: np.ndarray, at: slice) -> None:
        for path in self._paths[source]:
            path.product.add(path.encode(values, at), self._p[:, at])

    def _keep(self, running: int) -> None:
        """Keep the states of the rows from `running` on, whose sequences have no further step."""
        ended = slice(running, len(self.h))
        if ended.start < ended.stop:
            self._state.c[ended], self._state.h[ended] = self._c[running:], self.h[running:]
            self._c, self.h = self._c[:running], self.h[:running]

    def _words(self, p: np.ndarray) -> np.ndarray:
        """The pre-activations [gates, n, units] so far, as the cell's step takes them."""
        direct = self._narrow.direct if self._narrow else 0
        if self._fits_word:
            words = p.astype(np.int32)
        else:
            words = np.minimum(np.maximum(p, 0), 2 * OFFSET - 1).astype(np.int32)
        if direct < len(p):
            others = words[direct:]
            others.clip(_LEAST, _MOST, out=others)
            others -= _OFFSET
        return words

    def _words_at(self, at: slice) -> np.ndarray:
        return self._words(self._p[:, at]) if self._whole is None else self._whole[:, at]

    def _inputs(self, at: slice) -> dict[str, np.ndarray]:
        """What the cell reads besides pre-activations, by name."""
        inputs = {"c": self._c, "h": self.h, **self._vectors}
        if self._skip is not None:
            inputs["skip"] = self._skip[at]
        return inputs

    def _middle(self, at: slice, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The values of source "rh"."""
        if self._narrow is not None:
            return self._narrow.source(self._words_at(at), inputs)
        middle = self._layer.cell.middle
        assert middle is not None
        return middle(self._named(at), State(inputs["c"], inputs["h"]), self._numbers(inputs))

    def _cell(self, at: slice, inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """c and h after a step."""
        if self._narrow is not None:
            *c, h = self._narrow.states(self._words_at(at), inputs)
            return (c[0] if c else self._c), h
        before = State(inputs["c"], inputs["h"])
        return self._layer.cell.step(self._named(at), before, self._numbers(inputs))

    def _numbers(self, inputs: Mapping[str, np.ndarray]) -> Numbers:
        return Numbers(
            c_exponent=self._layer.c_exponent,
            vectors=self._vectors,
            vector_shift=self._layer.vector_shift,
            skip=inputs.get("skip"),
        )

    def _named(self, at: slice) -> dict[str, Ints]:
        words = self._words_at(at).astype(np.int64)
        return dict(zip(self._layer.cell.gates, words, strict=True))


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


def _is_last(layer: Layer, k: int) -> bool:
    """Whether no path after the kth, in the order in which they are added, feeds a gate of its."""
    turn = {"x": 0, "h": 1, "rh": 2}
    own = layer.paths[k]
    later = [
        path for n, path in enumerate(layer.paths) if (turn[path.source], n) > (turn[own.source], k)
    ]
    return not any({*path.gates} & {*own.gates} for path in later)


def first_state(layer: Layer) -> State:
    """The state [units] before a sequence's first step."""
    zeros = np.zeros(layer.units, np.int64)
    return State(*(layer.initial.get(name, zeros).astype(np.int64) for name in ("c", "h")))


_LEAST, _MOST, _OFFSET = (np.array(n, np.int32) for n in (0, 2 * OFFSET - 1, OFFSET))
