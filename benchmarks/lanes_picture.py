# SPDX-License-Identifier: Apache-2.0
"""Draws docs/lanes.svg from what the suite `lanes` measured; needs matplotlib.

python benchmarks/lanes_picture.py
"""

import json
from pathlib import Path

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


if __name__ == "__main__":
    main()
