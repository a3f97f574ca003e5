# SPDX-License-Identifier: Apache-2.0
"""The references of a path over packed sequences: what has been sent, and how much that was."""

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np

from ..arithmetic import Ints
from ..delta import EXACT, count_terms, sent_steps
from ..frames import NONE, token_places
from ..models.layers import Quantizer
from ..models.network import Path
from .packed import Block
from .products import Product
from .watch import Watch

__all__ = ["RunningPath", "RunningTokens", "Sending"]


class Sending(NamedTuple):
    """A delta mode, whether terms are counted, and what counts the words that saturate."""

    mode: str
    terms: bool
    watch: Watch | None = None


class RunningPath:
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
        product: Product,
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
        tables = [_codes(quantizer, cast(Hashable, dtype)) for quantizer in quantizers]
        self._codes = tables[0] if len(tables) == 1 else np.concatenate(tables)
        self._tables = (np.arange(len(tables)) * len(tables[0]))[:, None]
        self._first = self._last = first.astype(dtype)
        # Exact deltas with threshold 0 make the references the codes.
        self._follows = sending.mode == EXACT and not thresholds.any()
        same = len({*thresholds.tolist()}) == 1
        self._thresholds = np.array(thresholds[0] if same else thresholds[:, None], dtype)

    def begin(self, block: Block) -> None:
        self._block = block
        shape = (block.frames, self._first.shape[1])
        self._sent = np.empty(shape, self._first.dtype)
        if not self._follows:
            self._held = np.empty(shape, np.bool_)
            self._change = np.empty((block.steps[0][1], shape[1]), self._first.dtype)

    def encode(self, values: np.ndarray, at: slice) -> np.ndarray:
        """The references [n, columns] after the step with these int16 values, of any type."""
        now: np.ndarray = self._sent[at]
        self._look_up(values, now)
        if not self._follows:
            self._hold(now, at)
        self._last = now
        return now

    def encode_all(self, values: np.ndarray) -> np.ndarray:
        """The same for all steps of the block, [frames, columns]."""
        self._look_up(values, self._sent)
        if not self._follows:
            for at, _ in self._block.steps:
                now = self._sent[at]
                self._hold(now, at)
                self._last = now
        self._last = self._sent[self._block.steps[-1][0]]
        return self._sent

    def end(self) -> None:
        """Count what the block sent: a reference changes if and only if its element fires."""
        rows = self._block.packed(slice(0, self._block.frames))
        if self._sending.terms:
            before = self._block.before(self._first, self._sent)
            steps = (self._sent - before).astype(np.int64)
            self._count[rows, 1:] = count_terms(steps, self._bits)
        if self._follows:
            self._count[rows, 0] = _count(self._block.changed(self._first, self._sent))
        else:
            self._count[rows, 0] = self._sent.shape[1] - _count(self._held)
        self._first = self._last = self._last.copy()  # without the rest of the block

    def _look_up(self, values: np.ndarray, codes: np.ndarray) -> None:
        """The codes of values [n, columns]."""
        if len(self._tables) == 1:
            self._codes.take(values, mode="wrap", out=codes)
            return
        beside = (-1, len(self._tables), values.shape[1])
        places = (values.astype(np.int64) & 0xFFFF).reshape(beside) + self._tables
        self._codes.take(places, mode="wrap", out=codes.reshape(beside))

    def _hold(self, now: np.ndarray, at: slice) -> None:
        """Make codes [n, columns], of the rows `at`, the references after a step."""
        n, thresholds = len(now), self._thresholds
        last, change, held = self._last[:n], self._change[:n], self._held[at]
        if thresholds.ndim:
            thresholds = thresholds[:n]
        np.subtract(now, last, out=change)
        if self._sending.mode == EXACT:
            np.absolute(change, out=change)
            np.less_equal(change, thresholds, out=held)
            np.putmask(now, held, last)
            return
        d = change.astype(np.int64)
        fires = np.abs(d) > thresholds
        np.logical_not(fires, out=held)
        reference = last[fires].astype(np.int64) + self._zero
        now[:] = last
        now[fires] += sent_steps(d[fires], reference, self._bits, self._sending.mode)


class RunningTokens:
    """The same of a path that reads tokens: its references are the places that are on.

    Every change is sent, whatever the delta mode, by steps of 1.

    Parameters
    ----------
    columns: how many tokens there are.
    rows: of the batch.
    count: as of `RunningPath`.
    """

    def __init__(self, product: Product, columns: int, rows: int, count: Ints) -> None:
        self.product, self._columns, self._count = product, columns, count
        self._first = self._last = np.full((rows, 1), NONE)

    def begin(self, block: Block) -> None:
        self._block = block
        self._sent = np.empty((block.frames, 1), np.int64)

    def encode(self, values: np.ndarray, at: slice) -> np.ndarray:
        """The places [n, 1] after the step with these words."""
        self._sent[at] = token_places(values, self._columns)
        self._last = self._sent[at]
        return self._last

    def encode_all(self, values: np.ndarray) -> np.ndarray:
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


@lru_cache(maxsize=64)
def _codes(quantizer: Quantizer, dtype: Hashable) -> np.ndarray:
    """[65536] the code less the zero point of each word, those of negative words last."""
    words = np.roll(np.arange(-32768, 32768), 32768)
    codes: np.ndarray = (quantizer(words) - quantizer.zero_point).astype(cast(type, dtype))
    codes.flags.writeable = False
    return codes


def _count(flags: np.ndarray) -> np.ndarray:
    """How many of each row are set: by a product, which is exact below 2**24 columns."""
    counts: np.ndarray = flags.astype(np.float32) @ np.ones(flags.shape[1], np.float32)
    return counts
