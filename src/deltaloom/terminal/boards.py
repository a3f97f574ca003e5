# SPDX-License-Identifier: Apache-2.0
"""Which boards an accelerator fits, as verbs print it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .tables import print_table

if TYPE_CHECKING:
    from ..boards.flow.fits import BoardFit


def print_boards(fits: "Sequence[BoardFit]") -> None:
    """A line a board: what is used of what is there, by the area estimate."""
    from rich.table import Table

    table = Table("board")
    kinds = list(dict.fromkeys(what for fit in fits for what in fit.resources))
    for heading in ("fits", *kinds):
        table.add_column(heading, justify="right")
    for fit in fits:
        known = fit.resources
        pairs = [known.get(what, (0, 0)) for what in kinds]
        numbers = [f"{used:,} of {there:,}" if there else "-" for used, there in pairs]
        table.add_row(fit.board, "yes" if fit.fits else "no", *numbers)
    print_table(table)
    print("Estimated, without the serial bridge and what else a board adds.")


def boards_json(fits: "Sequence[BoardFit]") -> dict[str, Any]:
    """The same as plain data, by board; of each resource, used and there."""
    return {
        fit.board: {
            "fits": fit.fits,
            **{what.lower().replace(" ", "_"): list(pair) for what, pair in fit.resources.items()},
        }
        for fit in fits
    }
