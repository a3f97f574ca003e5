# SPDX-License-Identifier: Apache-2.0
"""What saturates, as a table, and what to do about it, as verbs print both and have it in JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .console import print_warning
from .tables import print_table

if TYPE_CHECKING:
    from ..golden.data import Dataset
    from ..golden.evaluation.networks import AnyFloat, AnyNetwork
    from ..golden.evaluation.saturation import Saturation
    from ..golden.reports.page import Section
    from ..golden.reports.paths import PathReport

FRAMES = 1 << 12
"""About how many frames are run."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What was printed."""

    found: "Saturation"
    warnings: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {"saturation": asdict(self.found), "warnings": list(self.warnings)}

    def section(self) -> "Section":
        """As a part of a page."""
        from ..golden.reports.totals import saturation_section

        return saturation_section(self.found, self.warnings)


def print_numbers(
    network: "AnyNetwork",
    data: "Dataset",
    model: "AnyFloat | None" = None,
    *,
    reports: "Sequence[PathReport]" = (),
) -> Numbers:
    """Run some of the data, and print what saturates.

    model: what the network was quantized from; a warning tells where it cannot be that.
    reports: of the paths; without them, they are made where the float model is at hand.
    """
    from rich.markup import escape
    from rich.table import Table

    from ..golden.evaluation.pairs import pair_warnings
    from ..golden.evaluation.saturation import saturation
    from ..golden.reports.pairs import coded_pair
    from ..golden.reports.warnings import warnings_of

    some = data.first(FRAMES)
    if model is not None and not reports:
        reports = [path.report() for path in coded_pair(network, model, some)]
    found = saturation(network, some)
    head, *rows = found.rows()
    table = Table(*(text.replace(", ", ",\n") for text in head))
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*map(escape, row))
    print_table(table)
    warnings = warnings_of(network, found, reports)
    if model is not None:
        warnings = (*pair_warnings(network, model), *warnings)
    for warning in warnings:
        print_warning(warning)
    return Numbers(found, warnings)
