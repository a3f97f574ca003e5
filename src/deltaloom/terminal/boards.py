# SPDX-License-Identifier: Apache-2.0
"""Which boards an accelerator fits, as verbs print it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .tables import print_table

if TYPE_CHECKING:
    from ..boards.flow.fits import BoardFit
    from ..golden.reports.page import Section

NOTE = "Estimated, without the serial bridge and what else a board adds."


def print_boards(fits: "Sequence[BoardFit]") -> None:
    """A line a board: what is used of what is there, by the area estimate."""
    from rich.table import Table

    table = Table("board")
    kinds = _kinds(fits)
    for heading in ("fits", *kinds):
        table.add_column(heading, justify="right")
    for row in _rows(fits, kinds):
        table.add_row(*row)
    print_table(table)
    print(NOTE)


def boards_section(fits: "Sequence[BoardFit]", rows: Sequence[tuple[str, str]]) -> "Section":
    """The same as a part of a page; rows: what else is estimated, in words."""
    from ..golden.reports.page import Section, Table

    kinds = _kinds(fits)
    boards = Table(("board", "fits", *kinds), _rows(fits, kinds))
    return Section("Hardware, estimated", [boards, Table(("", ""), rows)], NOTE)


def _kinds(fits: "Sequence[BoardFit]") -> list[str]:
    """Of resources, over the boards' families."""
    return list(dict.fromkeys(kind for fit in fits for kind in fit.resources))


def _rows(fits: "Sequence[BoardFit]", kinds: Sequence[str]) -> list[tuple[str, ...]]:
    rows = []
    for fit in fits:
        pairs = [fit.resources.get(kind, (0, 0)) for kind in kinds]
        numbers = [f"{used:,} of {there:,}" if there else "-" for used, there in pairs]
        rows.append((fit.board, "yes" if fit.fits else "no", *numbers))
    return rows


def boards_json(fits: "Sequence[BoardFit]") -> dict[str, Any]:
    """The same as plain data, by board; of each resource, used and there."""
    return {
        fit.board: {
            "fits": fit.fits,
            **{what.lower().replace(" ", "_"): list(pair) for what, pair in fit.resources.items()},
        }
        for fit in fits
    }
