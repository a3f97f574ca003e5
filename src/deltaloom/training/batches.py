# SPDX-License-Identifier: Apache-2.0
"""Training batches: pieces of sequences, of similar length, in an order that a seed tells."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..golden.arithmetic import Ints, code_range
from ..golden.cells import State
from ..golden.data import Dataset
from ..golden.engines.engine import quantize_frames
from ..golden.models.network import Network
from ..golden.models.states import first_codes
from .packed import Packed

__all__ = ["Batch", "Batches", "Piece"]

SPREAD = 20
"""Frames by which pieces of one batch may differ more than they must, for the sake of chance."""


class Piece(NamedTuple):
    """Frames start..stop of a sequence."""

    sequence: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Pieces side by side; rows are packed frames.

    frames: words [rows, inputs] in float32. first: by layer, as for `DeltaNetwork`.
    labels: [rows], or None. targets, teacher, offset: real [rows, outputs], or None.
    """

    packed: Packed
    frames: Tensor
    first: list[State]
    labels: Tensor | None
    targets: Tensor | None
    teacher: Tensor | None
    offset: Tensor | None


class Batches:
    """A data set in pieces.

    Parameters
    ----------
    network: what takes them.
    data: sequences, with labels or targets.
    teacher: another model's outputs [steps, outputs] of each sequence, or None.
    size: pieces of a batch.
    longest: frames of a piece; longer sequences are cut, at another place in each epoch.
    noise: deviation of what is added to frames, as a part of that of all their values.
    seed: of the order and of the cuts.
    """

    def __init__(
        self,
        network: Network,
        data: Dataset,
        teacher: Sequence[np.ndarray] | None,
        *,
        size: int,
        longest: int,
        noise: float,
        seed: int,
    ) -> None:
        self._layers, self._data, self._teacher = network.layers, data, teacher
        self._size, self._longest, self._seed = size, longest, seed
        self._words = [quantize_frames(network, x) for x in data.features]
        self._noise = noise * float(np.std(np.concatenate(self._words)))
        self._own = first_codes(network, data.states, len(data))
        self._default = first_codes(network, {}, 1)

    def epoch(self, number: int) -> list[list[Piece]]:
        """The pieces of each batch of an epoch."""
        rng = np.random.default_rng([self._seed, number])
        pieces = [piece for n in range(len(self._words)) for piece in self._cut(n, rng)]
        lengths = np.array([piece.stop - piece.start for piece in pieces])
        order = np.argsort(lengths + rng.random(len(pieces)) * SPREAD)
        groups = [order[at : at + self._size] for at in range(0, len(order), self._size)]
        return [[pieces[n] for n in groups[g]] for g in rng.permutation(len(groups))]

    def batch(self, pieces: Sequence[Piece], rng: np.random.Generator) -> Batch:
        """These pieces; rng: of the noise."""
        packed = Packed.of([piece.stop - piece.start for piece in pieces])
        data = self._data

        def rows(arrays: Sequence[np.ndarray] | None) -> Tensor | None:
            if arrays is None:
                return None
            parts = [arrays[piece.sequence][piece.start : piece.stop] for piece in pieces]
            return torch.from_numpy(np.concatenate(parts)[packed.packing.rows])

        def reals(arrays: Sequence[np.ndarray] | None) -> Tensor | None:
            found = rows(arrays)
            return None if found is None else found.to(torch.float32)

        frames = reals(self._words)
        assert frames is not None
        if self._noise:
            noise = rng.standard_normal(tuple(frames.shape), np.float32) * self._noise
            frames = (frames + torch.from_numpy(noise)).round_().clamp_(*code_range(16))
        return Batch(
            packed,
            frames,
            self._first(pieces),
            rows(data.labels),
            reals(data.targets),
            reals(self._teacher),
            reals(data.offset),
        )

    def _cut(self, n: int, rng: np.random.Generator) -> Iterator[Piece]:
        length = len(self._words[n])
        start = -int(rng.integers(self._longest)) if length > self._longest else 0
        for begin in range(start, length, self._longest):
            yield Piece(n, max(begin, 0), min(begin + self._longest, length))

    def _first(self, pieces: Sequence[Piece]) -> list[State]:
        """A sequence's own state where a piece begins with it, else the network's."""
        found = []
        for n, layer in enumerate(self._layers):
            whole = [
                piece.stop == len(self._words[piece.sequence])
                if layer.backward
                else not piece.start
                for piece in pieces
            ]
            choose = np.array(whole)[:, None]
            sequences = [piece.sequence for piece in pieces]
            pairs = zip(self._own[n], self._default[n], strict=True)
            found.append(State(*(_rows(choose, own[sequences], other) for own, other in pairs)))
        return found


def _rows(choose: np.ndarray, own: Ints, other: Ints) -> Ints:
    rows: Ints = np.where(choose, own, other)
    return rows
