# SPDX-License-Identifier: Apache-2.0
"""What saturates while the golden model runs."""

import numpy as np

from ..arithmetic import Ints, code_range
from ..models.network import Network

__all__ = ["Watch"]


class Watch:
    """Counts, of every layer, the words that reach the end of their format; see `run_batch`.

    Members
    -------
    steps: by layer, how many it has run.
    pre_activations: by layer, [gates, units], those that saturate.
    c, h: by layer, [units], those at an end of int16; c is 0 of a cell without, h of one that
        keeps it within +-1.
    """

    def __init__(self, network: Network) -> None:
        self._cells = [layer.cell for layer in network.layers]
        self.steps = [0] * len(network.layers)
        self.pre_activations = [np.zeros(layer.bias.shape, np.int64) for layer in network.layers]
        self.c = [np.zeros(layer.units, np.int64) for layer in network.layers]
        self.h = [np.zeros(layer.units, np.int64) for layer in network.layers]

    def see_pre_activations(self, n: int, p: np.ndarray) -> None:
        """Of some steps of layer n, before they are saturated, [steps, gates, units]."""
        low, high = code_range(16)
        self.steps[n] += len(p)
        self.pre_activations[n] += ((p < low) | (p > high)).sum(axis=0)

    def see_c(self, n: int, c: np.ndarray) -> None:
        """Of some steps of layer n, [steps, units]."""
        if self._cells[n].has_c:
            self.c[n] += _at_ends(c)

    def see_h(self, n: int, h: np.ndarray) -> None:
        """Of some steps of layer n, [steps, units]."""
        if not self._cells[n].bounded:
            self.h[n] += _at_ends(h)


def _at_ends(words: np.ndarray) -> Ints:
    low, high = code_range(16)
    count: Ints = ((words == low) | (words == high)).sum(axis=0)
    return count
