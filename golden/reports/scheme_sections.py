# SPDX-License-Identifier: Apache-2.0
"""Sections that compare networks: schemes by error, and sweeps over widths and thresholds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..evaluation.sweep import Sweep, SweepPoint
from . import charts
from .charts import Dot
from .page import Figures, Section, Table, with_unit

__all__ = ["SchemeResult", "schemes_section", "sweep_sections", "thresholds_section"]


@dataclass(frozen=True, slots=True)
class SchemeResult:
    """A network of one scheme: its error, its size in 1000 bytes, and the percent of operations
    that it eliminates, None where that was not measured.
    """

    error: float
    kilobytes: float
    eliminated: float | None = None


def sweep_sections(sweep: Sweep) -> list[Section]:
    """Of networks of several widths and schemes, and with several thresholds."""
    error = with_unit(*sweep.metric)
    least = min(point.threshold for point in sweep.points)
    results = {
        point.name: SchemeResult(point.error, point.size_bits / 8000, point.eliminated)
        for point in sweep.points
        if point.threshold == least
    }
    sections = [schemes_section(results, error, base=sweep.float_error)]
    if any(point.threshold != least for point in sweep.points):
        sections.insert(0, thresholds_section(sweep, error))
        sections[1] = replace(sections[1], title=f"Schemes, threshold {least}")
    return sections


def thresholds_section(sweep: Sweep, error_name: str) -> Section:
    """Each network's error over the operations that its thresholds eliminate."""
    lines: dict[str, list[Dot]] = {}
    for point in sweep.points:
        lines.setdefault(point.name, []).append(_dot(point))
    chart = charts.lines(lines, "operations eliminated, %", error_name, base=sweep.float_error)
    table = Table(
        ("scheme", "threshold\n8-bit codes", error_name, "more than\nfloat", "eliminated\n%"),
        [
            (
                point.name,
                f"{point.threshold}",
                f"{point.error:.2f}",
                "-" if sweep.float_error is None else f"{point.error - sweep.float_error:+.2f}",
                f"{point.eliminated:.1f}",
            )
            for point in sweep.points
        ],
    )
    note = (
        "One threshold for all paths, in 8-bit codes; of other widths it is the same part of the "
        "range. Each line is a network, from its lowest threshold to its highest."
    )
    if sweep.float_error is not None:
        note += f" The dashed line is the float model's error, {sweep.float_error:.2f}."
    return Section("Delta thresholds", [Figures([chart]), table], note)


def _dot(point: SweepPoint) -> Dot:
    words = f"{point.name}, threshold {point.threshold}: error {point.error:.2f}"
    return Dot(point.eliminated, point.error, f"{words}, {point.eliminated:.1f} % eliminated")


def schemes_section(
    results: Mapping[str, SchemeResult], error_name: str, *, base: float | None = None
) -> Section:
    """Error, eliminated operations and size by scheme; base: the float model's error."""
    chart = charts.bars({name: r.error for name, r in results.items()}, error_name, base=base)
    table = Table(
        ("scheme", error_name, "more than\nfloat", "eliminated\n%", "kB"),
        [
            (
                name,
                f"{r.error:.2f}",
                "-" if base is None else f"{r.error - base:+.2f}",
                "-" if r.eliminated is None else f"{r.eliminated:.1f}",
                f"{r.kilobytes:,.1f}",
            )
            for name, r in results.items()
        ],
    )
    note = "" if base is None else f"The dashed line is the float model's, {base:.2f}."
    return Section("Schemes", [Figures([chart]), table], note)
