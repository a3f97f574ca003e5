# SPDX-License-Identifier: Apache-2.0
"""Draws docs/lanes.svg and prints the table of docs/lanes.md, from what the suite `lanes` measured.

python benchmarks/lanes_picture.py; needs matplotlib.
"""

import json
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
from figures import REPORT

POINTS = REPORT.parent / "work" / "lanes.json"
PICTURE = Path(__file__).parent.parent / "docs" / "lanes.svg"
CURVES = (
    ("exact", "cycles", "exact deltas, multiplier lanes", "o-"),
    ("exact", "term_cycles", "exact deltas, shift_add lanes", "s--"),
    ("power_of_two", "term_cycles", "powers of two, either lanes", "^-"),
)


def main() -> None:
    """One panel a network: frame error over ideal cycles per step, a mark for each threshold."""
    matplotlib.rcParams.update({"svg.hashsalt": "deltaloom", "svg.fonttype": "none"})
    points = json.loads(POINTS.read_text("utf-8"))
    cells = list(dict.fromkeys(point["cell"] for point in points))
    figure, panels = plt.subplots(1, len(cells), figsize=(12, 3.4), layout="constrained")
    for panel, cell in zip(panels, cells, strict=True):
        for mode, cycles, label, style in CURVES:
            mine = [p for p in points if (p["cell"], p["mode"]) == (cell, mode)]
            x, y = [p[cycles] / 1000 for p in mine], [p["error"] for p in mine]
            panel.plot(x, y, style, label=label, markersize=4)
            for p, at in zip(mine, x, strict=True):
                if p["threshold"] in (0, 4, 8, 16):
                    place = (at, p["error"])
                    text = {"xytext": (2, 3), "textcoords": "offset points", "fontsize": 7}
                    panel.annotate(f"{p['threshold']}", place, **text)
        best = min(p["error"] for p in points if p["cell"] == cell)
        panel.set_ylim(best - 0.5, best + 6)  # beyond, no one would use it
        panel.set_xlim(left=0)
        panel.set_title(cell)
        panel.set_xlabel("ideal kilocycles per step")
    panels[0].set_ylabel("frame error, %")
    lines, labels = panels[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=len(CURVES), fontsize=8)
    figure.savefig(PICTURE, metadata={"Date": None})
    print(_table(points))


def _table(points: list[dict[str, Any]]) -> str:
    """A row for each network and threshold."""
    rows = {(p["cell"], p["threshold"], p["mode"]): p for p in points}
    lines = []
    for cell, threshold, mode in rows:
        if mode == "exact":
            exact, powers = rows[cell, threshold, mode], rows[cell, threshold, "power_of_two"]
            figures = (
                f"{cell} | {threshold} | {exact['error']:.1f} | {powers['error']:.1f}",
                f"{exact['events']:.0f} | {powers['events']:.0f}",
                f"{exact['terms'] / exact['events']:.2f} | {exact['cycles']:,.0f}",
                f"{exact['term_cycles']:,.0f} | {powers['cycles']:,.0f}",
            )
            lines.append(f"| {' | '.join(figures)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
