# SPDX-License-Identifier: Apache-2.0
"""What saturates while an integer-only LSTM network runs."""

from collections.abc import Callable

import numpy as np

from ..arithmetic import Ints, code_range
from .layers import IntegerLstm, Layer

__all__ = ["See", "Watch", "ignore"]

See = Callable[[str, Ints], None]
"""Takes what a layer is about to cut: a gate's name, "c", "m" or "h", and integers [n, units]."""


def ignore(what: str, values: Ints) -> None:
    """A `See` that does nothing."""


class Watch:
    """Counts, of one layer, the words that leave their format.

    Members
    -------
    steps: how many were run.
    counts: by name, [units]: gates and c at an end of int16 or beyond it, m and h beyond int8. A
        layer has the names that its step cuts; gates are as they enter sigmoid and tanh, or with
        layer normalisation the normalisation.
    """

    def __init__(self, layer: Layer) -> None:
        self.steps = 0
        self.counts: dict[str, Ints] = {}
        lstm = isinstance(layer, IntegerLstm)
        self._counter = "c" if lstm else "h"

    def see(self, what: str, values: Ints) -> None:
        """Count some steps' values; see `See`."""
        low, high = code_range(16)
        if what in ("m", "h"):
            low, high = (end + way for end, way in zip(code_range(8), (-1, 1), strict=True))
        found = ((values <= low) | (values >= high)).sum(axis=0)
        self.counts[what] = self.counts.get(what, 0) + found
        if what == self._counter:
            self.steps += len(values)

    def share(self, what: str, units: int) -> np.ndarray:
        """Percent of the steps [units]; 0 of what was never seen."""
        counts = self.counts.get(what, np.zeros(units))
        return np.asarray(100 * counts / max(self.steps, 1), np.float64)
