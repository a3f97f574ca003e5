# SPDX-License-Identifier: Apache-2.0
"""Tables whose numbers are whole, however narrow the terminal, and in pipes and files."""

from typing import TYPE_CHECKING

from .console import WIDE, stdout

if TYPE_CHECKING:
    from rich.table import Column, Table

FOLDED = 12
"""Characters that a column of names keeps at least."""


def print_table(table: "Table") -> None:
    """Print a table on stdout; no number is cut or broken.

    On a terminal that is too narrow, or in a pipe with COLUMNS, names are folded, and where that is
    not enough, lines are longer. Elsewhere a table is as wide as it needs to be.
    """
    from rich.console import Console

    console = stdout()
    needed = Console(width=WIDE).measure(table).maximum
    for column in table.columns:
        if column.justify == "right":
            column.no_wrap = True
        else:
            column.overflow = "fold"
            needed -= max(_width(column) - FOLDED, 0) * (console.width < WIDE)
    numbers = any(column.justify == "right" for column in table.columns)
    if numbers and needed > console.width:
        console = Console(width=needed)
    console.print(table)


def _width(column: "Column") -> int:
    """Characters of its longest line."""
    from rich.text import Text

    texts = [str(cell) for cell in (column.header, *column.cells)]
    return max(len(line) for text in texts for line in Text.from_markup(text).plain.split("\n"))
