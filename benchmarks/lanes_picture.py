# SPDX-License-Identifier: Apache-2.0
"""Draws docs/lanes.svg and prints the table of docs/lanes.md, from what the suite `lanes` measured.

python benchmarks/lanes_picture.py; needs matplotlib.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from figures import REPORT
from matplotlib.transforms import Bbox

POINTS = REPORT.parent / "work" / "lanes.json"
PICTURE = Path(__file__).parent.parent / "docs" / "lanes.svg"
CURVES = (
    ("exact", "cycles", "exact deltas, multiplier lanes", "o-"),
    ("exact", "term_cycles", "exact deltas, shift_add lanes", "s--"),
    ("power_of_two", "term_cycles", "powers of two, either lanes", "^-"),
)


LABELLED = (0, 4, 8, 16)
"""Thresholds whose points have them beside the mark."""
OFFSETS = tuple(
    (across, up)
    for far in (0, 5, 10)
    for across, up in (
        *((5 + far, 4 + far), (5 + far, -10 - far), (-5 - far, 4 + far), (-5 - far, -10 - far)),
        *((0, 8 + far), (0, -14 - far), (9 + far, -3), (-9 - far, -3)),
    )
)
"""Places of a label about its mark, in points, the best first; to the left it ends there."""
MARK = 3.5
"""Pixels about a mark's middle that no label covers."""


def main() -> None:
    """One panel a network: frame error over ideal cycles per step, a mark for each threshold."""
    matplotlib.rcParams.update({"svg.hashsalt": "deltaloom", "svg.fonttype": "none"})
    points = json.loads(POINTS.read_text("utf-8"))
    cells = list(dict.fromkeys(point["cell"] for point in points))
    rows = -(-len(cells) // 2)
    figure, grid = plt.subplots(rows, 2, figsize=(10, 3.6 * rows), layout="constrained")
    panels = grid.flat
    for panel, cell in zip(panels, cells, strict=False):
        for mode, cycles, label, style in CURVES:
            mine = [p for p in points if (p["cell"], p["mode"]) == (cell, mode)]
            x, y = [p[cycles] / 1000 for p in mine], [p["error"] for p in mine]
            panel.plot(x, y, style, label=label, markersize=4)
        best = min(p["error"] for p in points if p["cell"] == cell)
        panel.set_ylim(best - 0.5, best + 6)  # beyond, no one would use it
        panel.set_xlim(left=0)
        panel.set_title(cell)
        panel.set_xlabel("ideal kilocycles per step")
        panel.set_ylabel("frame error, %")
    lines, labels = grid.flat[0].get_legend_handles_labels()
    title = "marks: thresholds 0, 1, 2, 4, 6, 8, 12 and 16, from the right"
    legend = {"ncols": len(CURVES), "fontsize": 8, "title": title, "title_fontsize": 8}
    figure.legend(lines, labels, loc="outside upper center", **legend)
    figure.canvas.draw()  # the layout is made, and places are known
    figure.set_layout_engine("none")
    for panel, cell in zip(grid.flat, cells, strict=False):
        _label(panel, [p for p in points if p["cell"] == cell])
    figure.savefig(PICTURE, metadata={"Date": None})
    print(_table(points))


def _label(panel: Any, points: list[dict[str, Any]]) -> None:
    """Thresholds beside their marks, in the curve's colour, where nothing else is."""
    taken, wanted = [], []
    for (mode, cycles, _, _), line in zip(CURVES, panel.get_lines(), strict=True):
        mine = [p for p in points if p["mode"] == mode]
        places = [(p[cycles] / 1000, p["error"]) for p in mine]
        pixels = panel.transData.transform(places)
        taken += [_square(x, y, MARK) for x, y in pixels]
        for a, b in itertools.pairwise(pixels):  # the line between them
            taken += [_square(x, y, 1) for x, y in np.linspace(a, b, 200)]
        for p, at in zip(mine, places, strict=True):
            if p["threshold"] in LABELLED and at[1] < panel.get_ylim()[1]:
                wanted.append((at, f"{p['threshold']}", line.get_color()))
    for at, text, colour in wanted:
        for offset in OFFSETS:
            note = panel.annotate(
                text,
                at,
                xytext=offset,
                textcoords="offset points",
                fontsize=7,
                color=colour,
                ha="left" if offset[0] > 0 else "right" if offset[0] < 0 else "center",
            )
            box = note.get_window_extent()
            inside = panel.bbox.y0 < box.y0 and box.y1 < panel.bbox.y1 and box.x1 < panel.bbox.x1
            if inside and not box.count_overlaps(taken):
                taken.append(box)
                break
            note.remove()
        else:
            raise ValueError(f"no room for the label {text} at {at}; give it other places")


def _square(x: float, y: float, half: float) -> Bbox:
    return Bbox.from_extents(x - half, y - half, x + half, y + half)


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
