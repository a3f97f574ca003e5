# SPDX-License-Identifier: Apache-2.0
"""One measured figure, and where figures are kept: build/bench/report.json and the history here."""

import json
import subprocess
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

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


def record(figure: Figure, *, keep: bool) -> None:
    """Put a figure into the report, in the place of its last value, and into the history."""
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    stamp = {"date": date.today().isoformat(), "commit": _commit()}
    new = asdict(figure) | {"met": figure.met} | stamp
    old = json.loads(REPORT.read_text()) if REPORT.exists() else []
    kept = [row for row in old if row["name"] != figure.name]
    REPORT.write_text(json.dumps([*kept, new], indent=2) + "\n")
    if keep:
        with HISTORY.open("a") as history:
            history.write(json.dumps(new) + "\n")


def line(figure: Figure) -> str:
    """One figure for a terminal."""
    parts = [f"{figure.name}: {figure.value:,.4g} {figure.unit}".rstrip()]
    if figure.reference is not None:
        parts.append(f"({figure.reference:,.5g} {figure.reference_is})")
    if figure.target is not None:
        sign = "at most" if figure.at_most else "at least"
        parts.append(f"target {sign} {figure.target:g}: {'met' if figure.met else 'MISSED'}")
    return " ".join(parts)


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown"
