# SPDX-License-Identifier: Apache-2.0
"""How far outputs are from the float model's, as verbs print it."""

from typing import TYPE_CHECKING

from .console import stdout
from .tables import print_table

if TYPE_CHECKING:
    from ..golden.evaluation.fidelity import Fidelity

MOST_OUTPUTS = 12
"""Outputs that have a line of their own, those of least SNR."""


def print_outputs(fidelity: "Fidelity") -> None:
    """A table of the outputs, the worst ones where there are many."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("output", title_justify="left")
    for heading in ("NMSE to\nfloat, dB", "SNR\ndB"):
        table.add_column(heading, justify="right")
    chosen = sorted(fidelity.outputs, key=lambda output: output.snr)[:MOST_OUTPUTS]
    for output in [output for output in fidelity.outputs if output in chosen]:
        table.add_row(escape(output.name), f"{output.nmse:.2f}", f"{output.snr:.2f}")
    print_table(table)
    if len(fidelity.outputs) > len(chosen):
        stdout().print(f"the {len(chosen)} worst of {len(fidelity.outputs)} outputs")


def print_fidelity(fidelity: "Fidelity", network: str) -> None:
    """Its lines in words; network: what it is called."""

    for what, value in fidelity.rows(network):
        stdout().print(f"{what}: {value}", highlight=False, markup=False)
