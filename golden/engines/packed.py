# SPDX-License-Identifier: Apache-2.0
"""Sequences of unequal length in one array, time-major and without padding, to run side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..arithmetic import Ints


@dataclass(frozen=True, slots=True)
class Block:
    """Some steps. start: their first packed row; steps: the rows of each from there, how many."""

    start: int
    steps: list[tuple[slice, int]]

    @property
    def frames(self) -> int:
        return int(self.steps[-1][0].stop)

    def packed(self, at: slice) -> slice:
        """The packed rows of these rows of the block."""
        return slice(self.start + at.start, self.start + at.stop)

    def before(self, first: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """For each of the block's rows [frames, ...] that of the step before; first: those before
        the first step.
        """
        counts = [n for _, n in self.steps]
        one_back = np.repeat([counts[0], *counts[:-1]], counts)
        held: np.ndarray = np.concatenate([first[: counts[0]], rows])
        held = held[np.arange(counts[0], counts[0] + self.frames) - one_back]
        return held

    def changed(self, first: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """[frames, ..] where `rows` differs from `before`, which is not made for it."""
        found = np.empty(rows.shape, np.bool_)
        held, start, last = first, 0, len(self.steps) - 1
        for t, (at, n) in enumerate(self.steps):
            if t == start:
                np.not_equal(rows[at], held[:n], out=found[at])
            if t == last or self.steps[t + 1][1] != n:  # the steps from `start` on have n rows each
                begin = self.steps[start][0].start
                later, sooner = rows[begin + n : at.stop], rows[begin : at.stop - n]
                np.not_equal(later, sooner, out=found[begin + n : at.stop])
                held, start = rows[at], t + 1
        return found


@dataclass(frozen=True, slots=True)
class Packing:
    """Where each frame of some sequences lies in the packed array [frames, ...].

    Members
    -------
    lengths: steps of each sequence, as given; 0 is a length.
    running: [steps] how many sequences have a frame at each step; the rows of step t are the next
        running[t] rows, longest sequence first, so a state's first running[t] rows belong to them.
    order: [sequences] the given place of the sequence in each row of a state.
    rows: [frames] the row, in the plain concatenation of the sequences, of each packed row.
    """

    lengths: tuple[int, ...]
    running: Ints
    order: Ints
    rows: Ints

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "Packing":
        """The packing of sequences with these lengths."""
        steps = np.asarray(lengths, np.int64).reshape(-1)
        order = np.argsort(-steps, kind="stable")
        first = (np.cumsum(steps) - steps)[order]
        ended = np.bincount(steps, minlength=1).cumsum()
        running = (len(steps) - ended[:-1]).astype(np.int64)
        rows = [first[:n] + t for t, n in enumerate(running)]
        return cls(
            lengths=tuple(int(n) for n in steps),
            running=running,
            order=order,
            rows=np.concatenate(rows) if rows else np.zeros(0, np.int64),
        )

    def pack(self, sequences: Sequence[np.ndarray], width: int) -> np.ndarray:
        """Sequences [steps, width] in one array [frames, width]."""
        if not self.lengths:
            return np.zeros((0, width))
        packed: np.ndarray = np.concatenate(sequences)[self.rows]
        return packed

    def unpack(self, packed: np.ndarray) -> list[np.ndarray]:
        """The sequences' parts [steps, ...] of a packed array, in the given order."""
        plain = np.empty_like(packed)
        plain[self.rows] = packed
        return np.split(plain, np.cumsum(self.lengths)[:-1]) if self.lengths else []

    @property
    def flipped(self) -> Ints:
        """[frames] for each packed row, that of the same sequence's frame as far from its end.

        So `packed[flipped]` is the packing of the sequences from last frame to first, and doing it
        again puts everything back.
        """
        lengths = np.asarray(self.lengths, np.int64)[self.order]
        starts = np.cumsum(self.running) - self.running
        rows = [
            starts[lengths[:n] - 1 - t] + np.arange(n) for t, n in enumerate(self.running.tolist())
        ]
        return np.concatenate(rows) if rows else np.zeros(0, np.int64)

    def steps(self) -> Iterator[tuple[slice, int]]:
        """The packed rows of each step, and how many they are."""
        start = 0
        for n in self.running.tolist():
            yield slice(start, start + n), n
            start += n

    def blocks(self, rows: int) -> Iterator[Block]:
        """All steps in blocks of so many packed rows; a step is never cut."""
        start, steps = 0, list[tuple[slice, int]]()
        for at, n in self.steps():
            if steps and at.stop - start > rows:
                yield Block(start, steps)
                start, steps = at.start, []
            steps.append((slice(at.start - start, at.stop - start), n))
        if steps:
            yield Block(start, steps)


def beside(values: Mapping[int, np.ndarray], indices: Sequence[int]) -> np.ndarray:
    """The values [.., width] of these layers, one after the other along the last axis."""
    if len(indices) == 1:
        return values[indices[0]]
    return np.concatenate([values[n] for n in indices], axis=-1)
