# SPDX-License-Identifier: Apache-2.0
"""One measured figure, and where figures are kept: build/bench/report.json and the history here."""

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
REPORT = HERE.parent / "build" / "bench" / "report.json"
HISTORY = HERE / "history.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One figure.

    reference: what it is measured against (the ideal, or a peer's figure), and what that is.
    target: what it should reach; `at_most` says from which side.
    command: what anyone runs to get it again.
    """

    name: str
    value: float
    unit: str
    command: str
    reference: float | None = None
    reference_is: str = ""
    target: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


def record(figures: Sequence[Figure], *, keep: bool) -> None:
    """Write the report (with the figures of other suites that are there), print, add to history."""
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    stamp = {"date": date.today().isoformat(), "commit": _commit()}
    new = [asdict(figure) | {"met": figure.met} | stamp for figure in figures]
    names = {figure.name for figure in figures}
    old = json.loads(REPORT.read_text()) if REPORT.exists() else []
    REPORT.write_text(json.dumps([r for r in old if r["name"] not in names] + new, indent=2) + "\n")
    if keep:
        with HISTORY.open("a") as history:
            history.writelines(json.dumps(row) + "\n" for row in new)
    Console().print(_table(figures))


def _table(figures: Iterable[Figure]) -> Table:
    table = Table("figure", "value", "reference", "target", "met")
    for figure in figures:
        reference = "" if figure.reference is None else f"{figure.reference:,.4g}"
        target = (
            "" if figure.target is None else f"{'≤' if figure.at_most else '≥'} {figure.target:g}"
        )
        met = {None: "", True: "yes", False: "NO"}[figure.met]
        value = f"{figure.value:,.4g} {figure.unit}"
        table.add_row(figure.name, value, f"{reference} {figure.reference_is}", target, met)
    return table


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown"
