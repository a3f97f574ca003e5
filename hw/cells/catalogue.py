# SPDX-License-Identifier: Apache-2.0
"""Every kind of cell."""

from collections.abc import Mapping, Sequence

from .base import Cell
from .gru import GruCell
from .gru_before import GruResetCell, GruUpdateCell
from .ligru import LigruCell
from .linear import LinearCell
from .lstm import LstmCell, LstmCifgCell, LstmPeepholeCell
from .sru import Sru0Cell, Sru4Cell, SruCell

CELLS: Mapping[str, type[Cell]] = {
    "lstm": LstmCell,
    "lstm_cifg": LstmCifgCell,
    "lstm_peephole": LstmPeepholeCell,
    "gru": GruCell,
    "gru_reset": GruResetCell,
    "gru_update": GruUpdateCell,
    "ligru": LigruCell,
    "sru": SruCell,
    "sru4": Sru4Cell,
    "sru0": Sru0Cell,
    "linear": LinearCell,
}
"""Every cell that there is, by its name in `golden.cells.CELLS` or `hw.plan.PARTS`."""


def reads(cells: Sequence[str], what: str) -> bool:
    """Whether one of the cells reads `what`: "c", "h", "vectors" or "skip"."""
    return any(what in CELLS[name].READS for name in cells)


def vector_bits(cells: Sequence[str]) -> int:
    """Width of the vector memory that serves these cells."""
    return 16 * max(len(CELLS[name].VECTORS) for name in cells)
