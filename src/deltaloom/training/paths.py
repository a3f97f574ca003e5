# SPDX-License-Identifier: Apache-2.0
"""A path in torch: codes, references, and its part of the pre-activations; docs/arithmetic.md.

Integers in floating point: the products in float32 where their bound stays below 2**24, else in
float64, all else in float64. What a rescale cannot do there is done in int64.
"""

import torch
from torch import Tensor

from ..golden.arithmetic import code_range, exact_dtype
from ..golden.delta import EXACT
from ..golden.models.layers import MAX_SHIFT, Layer, Path

__all__ = ["RunningPath", "halves"]

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class RunningPath:
    """A path over the frames of a batch.

    Parameters
    ----------
    layer, path: whose it is, for all that training leaves as it is.
    weights, mult: as they are now, integers [gates, units, columns] and [gates, units].
    mode: the network's delta mode.
    frames: of the batch.
    first: words [sequences, columns] of the source before the first step.

    Members
    -------
    sent: [frames, columns] references after each frame's step, as codes less the zero point.
    first: those before the first step.
    holds: a reference may differ from its code.
    """

    def __init__(
        self,
        layer: Layer,
        path: Path,
        weights: Tensor,
        mult: Tensor,
        mode: str,
        frames: int,
        first: Tensor,
    ) -> None:
        self._path, self._mode = path, mode
        self.rows = [layer.cell.gates.index(gate) for gate in path.gates]
        self._whole = self.rows == list(range(len(layer.cell.gates)))
        low, high = (code - path.quantizer.zero_point for code in code_range(path.quantizer.bits))
        matrix = weights.reshape(-1, weights.shape[-1])
        bound = int(matrix.abs().sum(1, dtype=torch.float64).max()) * max(high, -low)
        self._ends = float(low), float(high)
        self._dtype = DTYPES[exact_dtype(bound).__name__]
        self._matrix = matrix.to(self._dtype).T.contiguous()
        self._mult = mult.to(torch.float64)
        self._factor = (self._mult * halves(path)).reshape(-1)
        most = bound * int(mult.abs().max()) + (1 << MAX_SHIFT)
        self._fits = most < 2**53
        self.holds = mode != EXACT or path.threshold > 0
        self.first = self._last = self.codes(first)
        self.sent = first.new_empty((frames, weights.shape[-1]), dtype=self._dtype)

    def codes(self, words: Tensor) -> Tensor:
        """Codes less the zero point of words [.., columns] in float64."""
        q = self._path.quantizer
        scaled = words * (q.mult * 0.5**q.shift)
        return scaled.add_(0.5).floor_().clamp_(*self._ends).to(self._dtype)

    def slope(self, words: Tensor) -> Tensor:
        """How much a code rises with a word: nothing where it saturates; float32."""
        q = self._path.quantizer
        rise = q.mult * 0.5**q.shift
        low, high = self._ends
        scaled = words * rise
        return ((scaled >= low - 0.5) & (scaled <= high + 0.5)).to(torch.float32).mul_(rise)

    def encode(self, words: Tensor, at: slice) -> Tensor:
        """The references [n, columns] after a step with these words of its source."""
        now = self.codes(words)
        if self.holds:
            now = self._hold(now, self._last[: len(now)])
            self._last = now
        self.sent[at] = now
        return now

    def encode_all(self, words: Tensor, steps: list[tuple[slice, int]]) -> Tensor:
        """The same for all steps."""
        codes = self.codes(words)
        if not self.holds:
            self.sent = codes
            return codes
        for at, n in steps:
            self._last = self._hold(codes[at], self._last[:n])
            self.sent[at] = self._last
        return self.sent

    def add(self, references: Tensor, p: Tensor) -> None:
        """Add its part for references [n, columns] to p [n, gates, units]."""
        m = (references @ self._matrix).to(torch.float64)
        if self._fits:
            part = m.mul_(self._factor).add_(0.5).floor_()
        else:
            shift = torch.as_tensor(self._path.shift)[:, None].expand_as(self._mult).reshape(-1)
            half = torch.where(shift > 0, 1 << (shift - 1).clamp(min=0), 0)
            part = ((m.long() * self._mult.reshape(-1).long() + half) >> shift).to(torch.float64)
        part = part.view(len(p), len(self.rows), -1)
        if self._whole:
            p += part
        else:
            p[:, self.rows] += part

    def _hold(self, codes: Tensor, last: Tensor) -> Tensor:
        """References after a step."""
        d = codes - last
        fires = d.abs() > self._path.threshold
        if self._mode == EXACT:
            return torch.where(fires, codes, last)
        return torch.where(fires, last + self._power(d, last), last)

    def _power(self, d: Tensor, last: Tensor) -> Tensor:
        """`golden.delta.nearest_power`; 0 where d is 0."""
        share, exponent = torch.frexp(d.abs())
        small = torch.ldexp(torch.sign(d), exponent - 1)
        reached = last + 2 * small
        low, high = self._ends
        up = (share > 0.75) & (reached >= low) & (reached <= high)
        return torch.where(up, 2 * small, small)


def halves(path: Path) -> Tensor:
    """2**-shift [gates, 1], float64."""
    return torch.exp2(-torch.as_tensor(path.shift, dtype=torch.float64))[:, None]
