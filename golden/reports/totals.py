# SPDX-License-Identifier: Apache-2.0
"""Sections of what verbs print beside their tables by path: saturation, and lines in words."""

from collections.abc import Iterable, Sequence

from ..evaluation.saturation import Saturation
from .page import Section, Table


def saturation_section(found: Saturation, warnings: Sequence[str] = ()) -> Section:
    """What saturates, layer by layer, and what to do about it."""
    head, *rows = found.rows()
    note = f"Percent of the words on {found.frames:,} frames, as the integers run."
    for warning in warnings:
        note += f" Warning: {warning}."
    table = Table(tuple(text.replace(", ", ",\n") for text in head), rows)
    return Section("Saturation", [table], note)


def totals_section(title: str, rows: Iterable[tuple[str, str]], note: str = "") -> Section:
    """Names and their values, a line each."""
    return Section(title, [Table(("", ""), list(rows))], note)
