# SPDX-License-Identifier: Apache-2.0
"""Every cell that there is: those of this package, and a user's own."""

import runpy
from collections.abc import Mapping
from pathlib import Path

from ..errors import UserError, in_own_code
from .cell import Cell

__all__ = ["CELLS", "load_cells", "register"]

_cells: dict[str, Cell] = {}

CELLS: Mapping[str, Cell] = _cells
"""By kind."""


def register(cell: Cell) -> Cell:
    """Make a cell known by its kind, for networks, the hardware and everything between.

    Raises UserError where another one has that name, or a stage's.
    """
    stages = {stage.name: other for other in _cells.values() for stage in other.stages}
    taken = stages | _cells
    for name in {cell.name, *(stage.name for stage in cell.stages)}:
        if name in taken and taken[name] is not cell:
            raise UserError(f"cell {name!r}: there is one of that name; choose another")
    _cells[cell.name] = cell
    return cell


def load_cells(path: str | Path) -> list[Cell]:
    """Register all cells that a Python file describes, and return them.

    Raises UserError, with the line, where a description is wrong.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"cells: there is no file {file}; give a Python file of descriptions")
    try:
        names = runpy.run_path(str(file))
    except SyntaxError as error:
        raise UserError(f"{file}:{error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        if isinstance(error, UserError):
            raise
        raise in_own_code(f"cells {file}", file, error) from error
    cells = [each for each in names.values() if isinstance(each, Cell)]
    found = [cell for cell in cells if CELLS.get(cell.name) is not cell]
    if not found:
        raise UserError(f"{file}: it describes no cell; decorate a function with describe(...)")
    return [register(cell) for cell in found]
