# SPDX-License-Identifier: Apache-2.0
"""The gradients of a path, straight through the roundings of its codes and of its rescaling."""

import torch
from torch import Tensor

from ..golden.models.layers import Path
from .packed import Block, Packed
from .paths import RunningPath, halves

__all__ = ["PathBack"]


class PathBack:
    """A path on its way back.

    Parameters
    ----------
    path, running: the path, and what it did.
    weights, mult: integers, as they were.
    packed: the batch.

    Members
    -------
    source: what the path reads.
    weights, mult: their gradients so far, float32.
    """

    def __init__(
        self, path: Path, running: RunningPath, weights: Tensor, mult: Tensor, packed: Packed
    ) -> None:
        self.source, self._running, self._packed = path.source, running, packed
        self._shape = weights.shape
        self._halves = halves(path).to(torch.float32)
        self._matrix = weights.to(torch.float32).reshape(-1, path.columns)
        factor = (mult.to(torch.float32) * self._halves).reshape(-1, 1)
        self._factor, self._scaled = factor, self._matrix * factor
        self.weights = torch.zeros(weights.shape)
        self.mult = torch.zeros(mult.shape)
        self._carry = torch.zeros(packed.sequences, path.columns)

    def begin(self, block: Block, words: Tensor) -> None:
        """Take the derivatives of a block's steps; words: of the source, [rows, columns]."""
        running = self._running
        self._block, self._slope = block, running.slope(words)
        self._sent = running.sent[block.at].to(torch.float32)
        if running.holds:
            before = self._packed.held(running.first, running.sent, block.at)
            self._fired = (running.sent[block.at] != before).to(torch.float32)

    def back(self, p: Tensor, at: slice, n: int) -> Tensor:
        """The gradient [n, columns] of a step's words, from those of the block's p."""
        return self._through(self._rows(p[at]) @ self._scaled, at, n)

    def back_all(self, p: Tensor) -> Tensor:
        """The same for all steps of the block."""
        found = self._rows(p) @ self._scaled
        if not self._running.holds:
            return found.mul_(self._slope)
        for at, n in reversed(self._block.steps):
            found[at] = self._through(found[at], at, n)
        return found

    def end(self, p: Tensor) -> None:
        """Add the block to the gradients of the parameters."""
        rows = self._rows(p)
        self.weights += ((rows.T @ self._sent) * self._factor).view(self._shape)
        m = self._sent @ self._matrix.T
        self.mult += (rows * m).sum(0).view(self.mult.shape) * self._halves

    def _rows(self, p: Tensor) -> Tensor:
        """Of its own gates, [.., gates * units]."""
        own = p if len(self._running.rows) == p.shape[1] else p[:, self._running.rows]
        return own.reshape(len(p), -1)

    def _through(self, references: Tensor, at: slice, n: int) -> Tensor:
        """From the gradient of references to that of words."""
        if self._running.holds:
            whole = references + self._carry[:n]
            references = whole * self._fired[at]
            self._carry[:n] = whole - references
        return references * self._slope[at]
