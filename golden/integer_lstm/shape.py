# SPDX-License-Identifier: Apache-2.0
"""What an LSTM layer's sizes and variant are, of integers and of floats alike."""

import numpy as np

GATES = ("i", "f", "g", "o")
COUPLED = ("f", "g", "o")
"""Gates of an LSTM whose i is 1 - f."""


class LstmShape:
    """The base of both; G gates, N cells, K outputs.

    Members
    -------
    weights, recurrent: [G, N, inputs], [G, N, K].
    peephole, norm, projection: None where there is none.
    cell_clip, projection_clip: real, 0 for none.
    """

    __slots__ = ()

    gates: tuple[str, ...]
    weights: np.ndarray
    recurrent: np.ndarray
    peephole: np.ndarray | None
    norm: np.ndarray | None
    projection: np.ndarray | None
    cell_clip: float
    projection_clip: float

    @property
    def cells(self) -> int:
        return int(self.weights.shape[1])

    @property
    def inputs(self) -> int:
        return int(self.weights.shape[2])

    @property
    def outputs(self) -> int:
        return int(self.recurrent.shape[-1])

    @property
    def peephole_gates(self) -> tuple[str, ...]:
        """The gates that may see the cell state."""
        return tuple(gate for gate in self.gates if gate != "g")

    @property
    def variant(self) -> str:
        """In words, what it has besides a plain LSTM's parts."""
        parts = (
            ("coupled gates", self.gates == COUPLED),
            ("peepholes", self.peephole is not None),
            ("layer norm", self.norm is not None),
            ("projection", self.projection is not None),
            ("cell clip", self.cell_clip > 0),
            ("projection clip", self.projection_clip > 0),
        )
        return ", ".join(name for name, there in parts if there) or "plain"
