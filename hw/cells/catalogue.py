# SPDX-License-Identifier: Apache-2.0
"""Every kind of cell."""

from collections.abc import Iterator, Mapping, Sequence

from ...golden.cells import CELLS as LAYERS
from ...golden.cells import Stage
from ...golden.integer_lstm.cells import find_stage
from ..words import MORE_SLOTS, SLOTS
from .base import Cell, constant_layout
from .pipeline import pipeline


class _Cells(Mapping[str, type[Cell]]):
    """Made when it is asked for: cells may be added to golden's at any time.

    Those of integer-only LSTMs are there by their names, and not listed.
    """

    def __getitem__(self, name: str) -> type[Cell]:
        return pipeline(find_stage(name) or self._stages()[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._stages())

    def __len__(self) -> int:
        return len(self._stages())

    def _stages(self) -> dict[str, Stage]:
        return {stage.name: stage for cell in LAYERS.values() for stage in cell.stages}


CELLS: Mapping[str, type[Cell]] = _Cells()
"""Every cell that there is, by the name of its stage: the cell's in `golden.cells.CELLS`, or, where
it has several stages, one of their own."""


def reads(cells: Sequence[str], what: str) -> bool:
    """Whether one of the cells reads `what`, of `Cell.READS`."""
    return any(what in CELLS[name].READS for name in cells)


def slots_of(cells: Sequence[str]) -> int:
    """Gates that one of these cells can have: `SLOTS`, or as many as need be."""
    return SLOTS if all(CELLS[name].GATES <= SLOTS for name in cells) else MORE_SLOTS


def takes_turns(cells: Sequence[str]) -> bool:
    """Whether the units of one of these cells go through it several times, for means."""
    return any(CELLS[name].TURNS for name in cells)


def vector_bits(cells: Sequence[str]) -> int:
    """Width of the vector memory that serves these cells."""
    return 16 * max(len(CELLS[name].VECTORS) for name in cells)


def constant_bits(cells: Sequence[str]) -> int:
    """Width of the memory of constants that serves these cells."""
    return max(constant_layout(CELLS[name].CONSTANTS).size for name in cells)
