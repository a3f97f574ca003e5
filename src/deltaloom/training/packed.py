# SPDX-License-Identifier: Apache-2.0
"""Sequences of unequal length side by side, as torch sees them: `golden.engines.packed`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..golden.engines.packed import Packing

__all__ = ["Block", "Packed"]

Steps = list[tuple[slice, int]]


@dataclass(frozen=True, slots=True)
class Block:
    """Some steps that follow each other. at: their rows; steps: of each, its rows within the
    block, and how many.
    """

    at: slice
    steps: Steps


@dataclass(frozen=True)
class Packed:
    """A `Packing`, and what training asks of it; rows are frames, step after step."""

    packing: Packing

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "Packed":
        return cls(Packing.of(lengths))

    @property
    def sequences(self) -> int:
        return len(self.packing.lengths)

    @property
    def frames(self) -> int:
        return len(self.packing.rows)

    @cached_property
    def steps(self) -> Steps:
        """The rows of each step, and how many they are."""
        return list(self.packing.steps())

    def blocks(self, rows: int) -> Iterator[Block]:
        """All steps in blocks of about so many rows."""
        for block in self.packing.blocks(rows):
            yield Block(slice(block.start, block.start + block.frames), block.steps)

    @cached_property
    def flipped(self) -> Tensor:
        """[frames] as `Packing.flipped`."""
        return torch.from_numpy(self.packing.flipped)

    @cached_property
    def before(self) -> Tensor:
        """[frames] of each row, the place of the step before it in [first; rows]."""
        running = self.packing.running
        one_back = np.repeat(running[:-1], running[1:])
        first = self.sequences
        places = np.arange(self.frames)
        start = int(running[0]) if len(running) else 0
        places[start:] += first - one_back
        return torch.from_numpy(places)

    def held(self, first: Tensor, rows: Tensor, at: slice) -> Tensor:
        """Of some rows, those of the step before; first [sequences, ..]: before the first step."""
        return torch.cat([first, rows])[self.before[at]]
