# SPDX-License-Identifier: Apache-2.0
"""The products of a quantized layer over packed sequences: from references to pre-activations."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arithmetic import Reals, exact_dtype, rshr
from ..models.network import MAX_SHIFT, Layer, Path

__all__ = ["HALF", "Product", "Reach", "spread"]

HALF = 0.5
"""Pre-activations in doubles wait with this added: the next sum is then rounded by its floor."""


class Reach(NamedTuple):
    """How large a path's numbers can be.

    sums: of its accumulators. mult: of its multipliers. low, high: its least and largest shift.
    """

    sums: int
    mult: int
    low: int
    high: int

    @classmethod
    def of(cls, path: Path) -> "Reach":
        shifts = path.shift.tolist() or [0]
        return cls(path.bound, int(np.abs(path.mult).max(initial=0)), min(shifts), max(shifts))

    @property
    def fits_double(self) -> bool:
        """Whether a rescale can be done in doubles: m * mult + 2**(shift-1) stays below 2**53.

        With shift 0 what is added is `HALF`, which the double of 2**52 has no place for.
        """
        largest = self.sums * self.mult
        return largest + max(1 << MAX_SHIFT, 0 if self.low else largest) < 2**53

    @property
    def words(self) -> int:
        """Of what it adds to a pre-activation."""
        return (self.sums * self.mult >> self.low) + 1

    def fits_sum(self, beyond: int) -> bool:
        """Whether doubles hold m * mult * 2**-shift + p + 1/2, for a p up to `beyond`.

        The sum is rounded then in the place of its first part: the same.
        """
        return self.sums * self.mult + (beyond << self.high + 1) < 2**53


class Product:
    """A path's part of the pre-activations, from its references.

    Integers in floating point, for BLAS; the path's own bound proves that nothing is rounded.

    Parameters
    ----------
    paths: one of each run.
    reaches: of each.
    pre: type of the pre-activations, float64 only where all paths of the layer fit doubles.
    order: the layer's gates by their places, in the order in which pre-activations have them.
    beyond: no pre-activation exceeds this in magnitude.
    last: nothing is added to its gates after it.

    Members
    -------
    dtype: of the references.
    """

    def __init__(
        self,
        layer: Layer,
        paths: Sequence[Path],
        reaches: Sequence[Reach],
        pre: type,
        order: Sequence[int],
        beyond: int,
        *,
        last: bool,
    ) -> None:
        self.dtype = exact_dtype(max(reach.sums for reach in reaches))
        doubles = pre is np.float64
        self._at_once = doubles and all(reach.fits_sum(beyond) for reach in reaches)
        if len({(id(path.weights), id(path.mult), path.quantizer) for path in paths}) == 1:
            paths = paths[:1]
        first, self._count = paths[0], len(paths)
        self._tokens, self._last = first.tokens, last
        places = [order.index(layer.cell.gates.index(gate)) for gate in first.gates]
        own = sorted(range(len(places)), key=lambda n: places[n])
        # [runs, gates, columns, units], without the first where there is one run
        matrices = _stacked([path.weights[own].transpose(0, 2, 1) for path in paths])
        if first.tokens:  # and a row of zeros, last: that of `NONE`
            matrices = np.pad(matrices, [*[(0, 0)] * (matrices.ndim - 2), (0, 1), (0, 0)])
        self._matrix = np.ascontiguousarray(matrices, self.dtype)
        self._mult = _stacked([path.mult[own][:, None] for path in paths])
        self._shift = _stacked([path.shift[own][:, None, None] for path in paths])
        self._factor: Reals | None = None
        if doubles:
            self._factor = self._mult * 0.5**self._shift
        self._rows = _runs([places[n] for n in own])
        self._all = len(places) == len(order)
        self._space = _Space()

    def begin(self, references: np.ndarray, p: np.ndarray, bias: np.ndarray) -> None:
        """Add it to the bias [gates, 1 or runs, units] instead, all that p has yet."""
        whole = self._all and self._at_once and self._count == 1 == bias.shape[1]
        if whole and self._factor is not None:
            np.multiply(self._product(references), self._factor, out=p)
            p += bias
            self._round(p)
            return
        spread(bias, p)
        self.add(references, p)

    def add(self, references: np.ndarray, p: np.ndarray) -> None:
        """Add it for references [n, columns] to p [gates, n, units]."""
        if self._count > 1:  # [runs, .., n, ..], views of what stands next to each other
            runs = self._count
            references = references.reshape(-1, 1, runs, references.shape[1]).transpose(2, 1, 0, 3)
            p = p.reshape(len(p), -1, runs, p.shape[2]).transpose(2, 0, 1, 3)
        part = self._scaled(self._product(references))
        for own, rows in self._rows:
            into = p[..., rows, :, :]
            into += part[..., own, :, :]
            if self._at_once:
                self._round(into)

    def _round(self, p: np.ndarray) -> None:
        """Take the floor, unless whoever reads p does."""
        if not self._last:
            np.floor(p, out=p)
            p += HALF

    def _product(self, references: np.ndarray) -> np.ndarray:
        """[.., gates, n, units] of references [.., n, columns]."""
        if self._tokens:
            return self._columns(references[..., 0])
        shape = (*self._matrix.shape[:-2], references.shape[-2], self._matrix.shape[-1])
        found = self._space.of("product", shape, self.dtype)
        np.matmul(references, self._matrix, out=found)
        return found

    def _columns(self, places: np.ndarray) -> np.ndarray:
        """The same of tokens at places [.., n]."""
        if self._count == 1:
            return self._matrix[:, places]
        columns = [matrix[:, at] for matrix, (at,) in zip(self._matrix, places, strict=True)]
        found: np.ndarray = np.stack(columns)
        return found

    def _scaled(self, m: np.ndarray) -> np.ndarray:
        """What is added; not rounded where the sum will be."""
        if self._factor is None:
            part: np.ndarray = rshr(m.astype(np.int64) * self._mult, self._shift)
            return part
        scaled: np.ndarray = self._space.of("scaled", m.shape, np.float64)
        np.multiply(m, self._factor, out=scaled)
        if not self._at_once:
            scaled += HALF
            np.floor(scaled, out=scaled)
        return scaled


class _Space:
    """Arrays that are used again: those made anew would not be in a cache."""

    def __init__(self) -> None:
        self._kept: dict[str, np.ndarray] = {}

    def of(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """An array of this shape; what it had is lost."""
        kept = self._kept.get(name)
        if kept is None or kept.shape != shape:
            size = math.prod(shape)
            whole = kept.base if kept is not None else None
            if whole is None or whole.size < size:
                whole = np.empty(size, dtype)
            kept = self._kept[name] = whole[:size].reshape(shape)
        return kept


def spread(bias: np.ndarray, p: np.ndarray) -> None:
    """Begin pre-activations [gates, n, units] with the bias [gates, 1 or runs, units]."""
    p.reshape(len(p), -1, *bias.shape[1:])[:] = bias[:, None]


def _stacked(arrays: list[np.ndarray]) -> np.ndarray:
    """One after the other along a new first axis, unless it is one."""
    return arrays[0] if len(arrays) == 1 else np.stack(arrays)


def _runs(rows: list[int]) -> list[tuple[slice, slice]]:
    """The places of these rows, and the rows, as slices: quicker than a list of indices."""
    starts = [n for n, row in enumerate(rows) if not n or row != rows[n - 1] + 1]
    return [
        (slice(n, end), slice(rows[n], rows[n] + end - n))
        for n, end in zip(starts, [*starts[1:], len(rows)], strict=True)
    ]
