# SPDX-License-Identifier: Apache-2.0
"""Draws docs/energy.svg and prints the table of docs/asic.md, from what `energy` measured.

python benchmarks/energy_picture.py; needs matplotlib.
"""

import json
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
from energy import POINTS
from figures import HISTORY, REPORT

PICTURE = Path(__file__).parent.parent / "docs" / "energy.svg"
KINDS = {
    "logic": ("logic",),
    "clock, with its gates": ("clock",),
    "macros and leakage": ("memory", "leakage"),
}


def main() -> None:
    """Energy a frame over the products that are done, and what it goes into."""
    matplotlib.rcParams.update({"svg.hashsalt": "deltaloom", "svg.fonttype": "none"})
    points = json.loads((REPORT.parent / "work" / POINTS).read_text("utf-8"))
    figure, (curve, bars) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    dense = points[0]
    for total, label, style in (
        ("total", "clock as slow as the frames allow", "o"),
        ("fixed", "100 MHz, idle in between", "x"),
    ):
        share = [100 * p["products"] for p in points]
        curve.plot(share, [p[total] for p in points], style, label=label)
    for point in points:
        place = (100 * point["products"], point["total"])
        text = f"{point['weight_bits']} bits"
        curve.annotate(text, place, xytext=(6, 2), textcoords="offset points", fontsize=8)
    before = _before()
    curve.plot(
        [100 * p["products"] for p in points if p["case"] in before],
        [before[p["case"]] for p in points if p["case"] in before],
        "s",
        markerfacecolor="none",
        label="without gates",
    )
    line = [0, 100 * dense["products"]]
    curve.plot(line, [0, dense["total"]], ":", color="grey", label="ideal: in proportion, 8 bits")
    curve.set_xlabel("products done, % of all")
    curve.set_ylabel("nJ a frame")
    curve.set_xlim(left=0)
    curve.set_ylim(bottom=0)
    curve.legend(fontsize=8)
    names = ["8 bits, dense", *(f"{p['weight_bits']} bits, delta" for p in points[1:])]
    bottom = [0.0] * len(points)
    for label, kinds in KINDS.items():
        values = [_sum(point, kinds) for point in points]
        bars.bar(names, values, bottom=bottom, label=label, width=0.6)
        bottom = [a + b for a, b in zip(bottom, values, strict=True)]
    bars.tick_params(axis="x", labelsize=8)
    bars.legend(fontsize=8)
    figure.savefig(PICTURE, metadata={"Date": None})
    print(table(points))


def _sum(point: dict[str, Any], kinds: tuple[str, ...]) -> float:
    return sum(part[kind] for part in point["parts"].values() for kind in kinds)


def _before() -> dict[str, float]:
    """The last figures without gates, by case."""
    found = {}
    for text in HISTORY.read_text("utf-8").splitlines():
        name, value = (entry := json.loads(text))["name"], entry["value"]
        if name.startswith("GRU 40 -> 8, 2 lanes, W") and name.endswith("C: energy a frame"):
            case = name.removeprefix("GRU 40 -> 8, 2 lanes, ").split(", osu018")[0]
            found[case] = value
    return found


def table(points: list[dict[str, Any]]) -> str:
    """A column for each case."""
    lines = []
    for part in points[0]["parts"]:
        values = [p["parts"][part]["logic"] + p["parts"][part]["memory"] for p in points]
        lines.append((f"{part}, without clock", [f"{v:.1f}" for v in values]))
    lines.append(("clock, with its gates", [f"{_sum(p, ('clock',)):,.1f}" for p in points]))
    lines.append(("all", [f"**{p['total']:,.1f}**" for p in points]))
    first = points[0]["total"]
    lines.append(("of the first", [f"{100 * p['total'] / first:.0f} %" for p in points]))
    lines.append(("all, at 100 MHz with idle cycles", [f"{p['fixed']:,.1f}" for p in points]))
    before = _before()
    lines.append(("all, without gates", [f"{before.get(p['case'], 0):,.1f}" for p in points]))
    lines.append(("cycles a frame", [f"{p['cycles']:.1f}" for p in points]))
    lines.append(("products done", [f"{100 * p['products']:.0f} %" for p in points]))
    gated = [f"{100 * p['gated'] / p['flip_flops']:.0f} %" for p in points]
    lines.append(("flip-flops behind gates", gated))
    lines.append(("area, mm2", [f"{p['area_mm2']:.2f}" for p in points]))
    lines.append(("Fmax, MHz", [f"{p['fmax_mhz']:.0f}" for p in points]))
    return "\n".join(f"| {name} | {' | '.join(values)} |" for name, values in lines)


if __name__ == "__main__":
    main()
