# SPDX-License-Identifier: Apache-2.0
"""What the demo shows: the picture of its thresholds, and its table."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import stdout
from .tables import print_table

if TYPE_CHECKING:
    from ..golden.evaluation.result import Evaluation
    from ..golden.evaluation.trials import Trial
    from ..golden.evaluation.tuning import Tuning

REPORT = "report.json"
PICTURES = ("threshold.png", "threshold.svg")
ALLOWED = 1.0
"""Points of frame error that the delta network may add to the float model's."""
MARGIN = 0.5
"""How much of that the threshold may use on the tuning data: other data may cost more."""
LEAST_ELIMINATED = 50.0
"""Percent of the operations that are worth the extra error."""


def threshold_of(trial: "Trial") -> int:
    """The threshold that all paths have."""
    return max(trial.thresholds.values())


def by_threshold(curve: "Tuning") -> "list[Trial]":
    """The trials by rising threshold."""
    return sorted(curve.trials, key=threshold_of)


def draw(curve: "Tuning", evaluation: "Evaluation", folder: Path) -> None:
    """Frame error and eliminated operations over the threshold, as PNG and SVG."""
    import matplotlib
    from matplotlib.figure import Figure

    points, chosen = by_threshold(curve), threshold_of(curve.chosen)
    x = [threshold_of(point) for point in points]
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(x, [p.error for p in points], "o-", label="tuning data")
    tested = ((0, evaluation.quantized_error), (chosen, evaluation.delta_error))
    upper.plot(*zip(*tested, strict=True), "s", label="test data")
    limit = curve.base.error + ALLOWED * MARGIN
    upper.axhline(limit, color="gray", linewidth=1, linestyle=":", label="limit for the choice")
    upper.set_ylabel("frame error, %")
    upper.set_ylim(bottom=0)
    lower.plot(x, [p.eliminated for p in points], "o-")
    tested = (
        (0, evaluation.eliminated_lossless),
        (chosen, evaluation.eliminated_operations),
    )
    lower.plot(*zip(*tested, strict=True), "s")
    lower.set_ylabel("operations eliminated, %")
    lower.set_ylim(0, 100)
    lower.set_xlabel("delta threshold, codes of 8 bits")
    for axes in (upper, lower):
        axes.axvline(chosen, color="gray", linewidth=1)
        axes.grid(alpha=0.3)
    upper.set_title(f"threshold {chosen} chosen")
    upper.legend()
    with matplotlib.rc_context({"svg.hashsalt": "deltaloom"}):  # the same file for the same data
        for name in PICTURES:
            metadata = {"Date": None} if name.endswith(".svg") else None
            figure.savefig(folder / name, dpi=150, metadata=metadata)


def print_report(report: Mapping[str, Any], folder: Path, test: Path) -> None:
    """The table of a demo in `folder` on the data set `test`, and where its files are.

    report: as the verb writes it; its figures are described there.
    """
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"deltaloom demo: {report['cell']} on speech", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for row in _rows(report):
        if row:
            table.add_row(*row)
        else:
            table.add_section()
    console = stdout()
    print_table(table)
    for run in report["simulations"]:
        if run["mismatch"] is not None:
            text = f"{run['simulator']}, {run['run']}: MISMATCH, {run['mismatch']}; for a waveform"
            again = f"deltaloom simulate {folder}/network.safetensors --data {test}"
            console.print(escape(f"{text}: {again} --sim {run['simulator']} --waves"))
    for name in (*PICTURES, REPORT):
        console.print(escape(str(folder / name)), soft_wrap=True)


def _rows(report: Mapping[str, Any]) -> list[tuple[str, str] | None]:
    """The final table; None stands for a line between two parts."""

    def number(value: float | None, unit: str = "", digits: int = 0) -> str:
        return "-" if value is None else f"{value:,.{digits}f}{unit}"

    extra = report["delta_error"] - report["float_error"]
    verdict = "under" if extra < ALLOWED else "NOT under"
    share = "over" if report["eliminated_operations"] >= LEAST_ELIMINATED else "NOT over"
    rows: list[tuple[str, str] | None] = [
        (
            f"frame error, float ({report['scored_frames']:,} scored frames)",
            number(report["float_error"], " %", 2),
        ),
        ("frame error, quantized W8/A8", number(report["quantized_error"], " %", 2)),
        (
            f"frame error, delta, threshold {report['threshold']}",
            number(report["delta_error"], " %", 2),
        ),
        (f"extra error of it, {verdict} {ALLOWED:g} point", f"{extra:+.2f} points"),
        (
            f"operations eliminated, {share} {LEAST_ELIMINATED:g} %",
            number(report["eliminated_operations"], " %", 1),
        ),
        None,
    ]
    for simulator in dict.fromkeys(run["simulator"] for run in report["simulations"]):
        runs = [run for run in report["simulations"] if run["simulator"] == simulator]
        if runs:
            words, wrong = (sum(run[name] for run in runs) for name in ("words", "mismatches"))
            frames = sum(run["frames"] for run in runs)
            rows.append((f"RTL words compared, {simulator} ({frames} frames)", number(words)))
            rows.append((f"RTL runs that differ, {simulator}", f"{wrong} of {len(runs)}"))
    rows += [
        None,
        (f"cycles per step, {report['word_bits']}-bit words", number(report["cycles_per_step"])),
        ("ideal cycles per step", number(report["ideal_cycles_per_step"])),
        ("utilisation", number(report["utilisation"], "", 3)),
        None,
    ]
    for name, title in (
        ("luts", "LUTs"),
        ("ffs", "flip-flops"),
        ("dsps", "multipliers"),
        ("brams", "block RAMs"),
    ):
        available = report["available"].get(name)
        beside = "" if available is None else f" of {available:,}"
        rows.append((f"{title}, {report['board'] or 'no board'}", number(report[name]) + beside))
    return rows
