# SPDX-License-Identifier: Apache-2.0
"""Charts as inline SVG: histograms, points in a plane, bars by name, strips over time.

Each function returns one `<svg>` element. Its colours are the classes of `STYLE`, so that a page
may show it on light and dark ground; every text in it is escaped.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

STYLE = """
svg { font: 11px system-ui, sans-serif; max-width: 100%; height: auto; }
svg text { fill: var(--text); }
svg .quiet { fill: var(--quiet); }
svg .title { font-weight: 600; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .frame { stroke: var(--quiet); stroke-width: 1; fill: none; }
svg .area { fill: var(--first); fill-opacity: .75; }
svg .line { stroke: var(--first); stroke-width: 1.5; fill: none; }
svg .mark { stroke: var(--second); stroke-width: 1.25; stroke-dasharray: 4 2; }
svg .dot { fill: var(--quiet); fill-opacity: .55; }
svg .best { fill: var(--first); }
svg .chosen { fill: var(--second); }
svg .s0 { fill: var(--first); stroke: var(--first); }
svg .s1 { fill: var(--second); stroke: var(--second); }
svg .s2 { fill: #3a9a5b; stroke: #3a9a5b; }
svg .s3 { fill: #a0559f; stroke: #a0559f; }
svg .s4 { fill: #b59a1d; stroke: #b59a1d; }
svg .s5 { fill: #2a9d9d; stroke: #2a9d9d; }
svg .line { fill: none; }
"""
"""Of the classes; a page defines --text, --quiet, --line, --first and --second."""
SERIES = 6
"""Colours of `lines`, classes s0 and so on; further names begin with the first again."""
TICK = 11
"""Height of a line of text."""
ROW = 16
"""Height of a line of a key."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A point (x, y) with the text that shows when the pointer rests on it."""

    x: float
    y: float
    text: str = ""


@dataclass(slots=True)
class Plane:
    """A drawing of width x height pixels whose inner part stands for x and y ranges.

    margins: left, top, right, bottom, in pixels, around the inner part.
    """

    width: int
    height: int
    x: tuple[float, float]
    y: tuple[float, float]
    margins: tuple[int, int, int, int] = (52, 24, 12, 38)
    parts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.x, self.y = _wide(self.x), _wide(self.y)

    @property
    def bottom(self) -> float:
        return self.height - self.margins[3]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point."""
        left, top, right, bottom = self.margins
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            left + across * (self.width - left - right),
            self.height - bottom - up * (self.height - top - bottom),
        )

    def text(self, x: float, y: float, words: str, anchor: str = "start", style: str = "") -> None:
        """Words at pixels (x, y): start, middle or end there."""
        kind = f' class="{style}"' if style else ""
        place = f'x="{_short(x)}" y="{_short(y)}" text-anchor="{anchor}"'
        self.parts.append(f"<text {place}{kind}>{escape(words)}</text>")

    def segment(self, a: tuple[float, float], b: tuple[float, float], style: str) -> None:
        """A line between two places in pixels."""
        (x1, y1), (x2, y2) = a, b
        ends = f'x1="{_short(x1)}" y1="{_short(y1)}" x2="{_short(x2)}" y2="{_short(y2)}"'
        self.parts.append(f'<line {ends} class="{style}"/>')

    def path(self, points: Iterable[tuple[float, float]], style: str) -> None:
        """A line through points; as an area, closed along the lower edge."""
        pixels = [self.at(x, y) for x, y in points]
        if not pixels:
            return
        if style == "area":
            floor = self.at(0, self.y[0])[1]
            pixels = [(pixels[0][0], floor), *pixels, (pixels[-1][0], floor)]
        words = "L".join(f"{_short(x)} {_short(y)}" for x, y in pixels)
        self.parts.append(f'<path d="M{words}" class="{style}"/>')

    def dot(self, dot: Dot, style: str, radius: float = 3) -> None:
        x, y = self.at(dot.x, dot.y)
        place = f'cx="{_short(x)}" cy="{_short(y)}" r="{_short(radius)}"'
        title = f"<title>{escape(dot.text)}</title>" if dot.text else ""
        self.parts.append(f'<circle {place} class="{style}">{title}</circle>')

    def axes(self, x_label: str, y_label: str, *, x_ticks: int = 6, y_ticks: int = 5) -> None:
        """Grid lines, numbers and labels; no numbers on an axis of 0 ticks."""
        left, top, right, _ = self.margins
        for value in ticks(*self.x, x_ticks):
            x, _ = self.at(value, self.y[0])
            self.segment((x, top), (x, self.bottom), "grid")
            self.text(x, self.bottom + TICK + 3, number(value), "middle", "quiet")
        for value in ticks(*self.y, y_ticks):
            _, y = self.at(self.x[0], value)
            self.segment((left, y), (self.width - right, y), "grid")
            self.text(left - 5, y + 4, number(value), "end", "quiet")
        middle = (left + self.width - right) / 2
        self.text(middle, self.bottom + 2 * TICK + 8, x_label, "middle", "quiet")
        if y_label:
            self.text(left, top - 8, y_label, "start", "quiet")

    def svg(self, name: str) -> str:
        """The element; `name` is what it shows, for those who do not see it."""
        size = f'width="{self.width}" height="{self.height}"'
        view = f'viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(name)}"'
        return f"<svg {size} {view}>{''.join(self.parts)}</svg>"


def histogram(
    title: str,
    edges: np.ndarray,
    counts: np.ndarray,
    clips: tuple[float, float],
    x_label: str,
    *,
    width: int = 440,
    height: int = 188,
) -> str:
    """Counts [bins] over edges [bins + 1], on a logarithmic scale; dashed lines at the clips."""
    shown = np.log10(1 + np.asarray(counts, float))
    span = min(float(edges[0]), clips[0]), max(float(edges[-1]), clips[1])
    room = (span[1] - span[0]) * 0.03
    inner = (span[0] - room, span[1] + room), (0.0, float(shown.max(initial=0)))
    plane = Plane(width, height, *inner, (52, 42, 12, 38))
    plane.axes(x_label, "how many, logarithmic", x_ticks=5, y_ticks=0)
    for decade in range(math.floor(plane.y[1]) + 1):
        _, y = plane.at(0, math.log10(1 + 10**decade))
        if y >= plane.margins[1]:
            plane.text(plane.margins[0] - 5, y + 4, f"{10**decade:,}", "end", "quiet")
    steps = []
    for k, value in enumerate(shown.tolist()):
        steps += [(float(edges[k]), value), (float(edges[k + 1]), value)]
    plane.path(steps, "area")
    for clip in clips:
        x, _ = plane.at(clip, 0)
        plane.segment((x, plane.margins[1]), (x, plane.bottom), "mark")
    plane.text(8, 14, title, style="title")
    return plane.svg(f"histogram of {title}")


def front(
    dots: Sequence[Dot],
    best: Sequence[Dot],
    chosen: Dot | None,
    x_label: str,
    y_label: str,
    *,
    limit: float | None = None,
    width: int = 640,
    height: int = 320,
) -> str:
    """Points tried, those of the front joined from left to right, and the chosen one.

    Points with an infinite y are left out.
    limit: the largest y that was allowed, a dashed line; None: there was none.
    """
    dots, best = ([d for d in group if math.isfinite(d.y)] for group in (dots, best))
    every = [*dots, *best, *([chosen] if chosen else [])]
    plane = Plane(width, height, _range(d.x for d in every), _range(d.y for d in every))
    plane.axes(x_label, y_label)
    if limit is not None and plane.y[0] <= limit <= plane.y[1]:
        _, y = plane.at(0, limit)
        plane.segment((plane.margins[0], y), (width - plane.margins[2], y), "mark")
        plane.text(width - plane.margins[2], y - 4, "allowed", "end", "quiet")
    for dot in dots:
        plane.dot(dot, "dot", 2.5)
    plane.path([(d.x, d.y) for d in sorted(best, key=lambda d: d.x)], "line")
    for dot in best:
        plane.dot(dot, "best")
    if chosen:
        plane.dot(chosen, "chosen", 5)
    return plane.svg(f"{y_label} over {x_label}")


def lines(
    by_name: Mapping[str, Sequence[Dot]],
    x_label: str,
    y_label: str,
    *,
    base: float | None = None,
    width: int = 640,
    height: int = 320,
) -> str:
    """A line through the points of each name, in their order, and the names beside the picture.

    Points with an infinite y are left out. base: a value to compare with, a dashed line.
    """
    shown = {name: [d for d in dots if math.isfinite(d.y)] for name, dots in by_name.items()}
    every = [dot for dots in shown.values() for dot in dots]
    heights = [dot.y for dot in every] + ([] if base is None else [base])
    right = 30 + int(6.4 * max(map(len, shown), default=0))
    height = max(height, 62 + ROW * len(shown))
    margins = (52, 24, right, 38)
    plane = Plane(width, height, _range(d.x for d in every), _range(heights), margins)
    plane.axes(x_label, y_label)
    if base is not None:
        _, y = plane.at(0, base)
        plane.segment((plane.margins[0], y), (width - right, y), "mark")
    for n, (name, dots) in enumerate(shown.items()):
        style = f"s{n % SERIES}"
        plane.path([(dot.x, dot.y) for dot in dots], f"line {style}")
        for dot in dots:
            plane.dot(dot, style)
        y = margins[1] + ROW * (n + 0.5)
        plane.parts.append(
            f'<circle cx="{width - right + 12}" cy="{_short(y)}" r="4" class="{style}"/>'
        )
        plane.text(width - right + 20, y + 4, name)
    return plane.svg(f"{y_label} over {x_label} by name")


def bars(
    values: Mapping[str, float], x_label: str, *, base: float | None = None, width: int = 640
) -> str:
    """One bar by name with its number; base: a value to compare with, a dashed line."""
    row, left = 20, 12 + int(6.4 * max(map(len, values), default=0))
    shown = [*values.values(), *([] if base is None else [base])]
    span = min(0.0, *shown, 0.0), max(0.0, *shown, 0.0)
    height = 14 + row * len(values) + 34
    plane = Plane(width, height, span, (0, 1), (left, 8, 60, 38))
    plane.axes(x_label, "", y_ticks=0)
    for k, (name, value) in enumerate(values.items()):
        y = 10 + row * k
        ends = sorted((plane.at(0, 0)[0], plane.at(value, 0)[0]))
        place = f'x="{_short(ends[0])}" y="{y}" width="{_short(ends[1] - ends[0])}"'
        plane.parts.append(f'<rect {place} height="{row - 6}" class="area"/>')
        plane.text(left - 6, y + TICK, name, "end")
        plane.text(ends[1] + 5, y + TICK, f"{value:.2f}", style="quiet")
    if base is not None:
        x, _ = plane.at(base, 0)
        plane.segment((x, 4), (x, plane.bottom), "mark")
    return plane.svg(f"{x_label} by name")


def strips(
    rows: Mapping[str, np.ndarray], x_label: str, *, unit: str = "%", width: int = 820
) -> str:
    """One strip by name over the same steps: an area of values 0..100, their mean at the right."""
    tall, gap, left = 30, 6, 12 + int(6.4 * max(map(len, rows), default=0))
    steps = max((len(values) for values in rows.values()), default=0)
    height = 12 + (tall + gap) * len(rows) + 34
    outer = Plane(width, height, (0, max(steps, 1)), (0, 1), (left, 8, 62, 38))
    outer.axes(x_label, "", x_ticks=10, y_ticks=0)
    for k, (name, values) in enumerate(rows.items()):
        top = 10 + (tall + gap) * k
        margins = (left, top, 62, height - top - tall)
        strip = Plane(width, height, outer.x, (0, 100), margins)
        points = [(t + half, float(v)) for t, v in enumerate(values) for half in (0, 1)]
        strip.path(points, "area")
        strip.segment((left, top + tall), (width - 62, top + tall), "grid")
        strip.text(left - 6, top + 20, name, "end")
        mean = float(np.mean(values)) if len(values) else 0.0
        strip.text(width - 56, top + 20, f"{mean:.1f} {unit}", style="quiet")
        outer.parts += strip.parts
    return outer.svg(f"by name over {x_label}")


def ticks(low: float, high: float, count: int) -> list[float]:
    """At most about `count` round numbers (1, 2 or 5 by a power of ten) from low to high."""
    if count <= 0 or not high > low:
        return []
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(k * power for k in (1, 2, 5, 10) if k * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def number(value: float) -> str:
    """A tick's number, without digits that say nothing."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _short(pixels: float) -> str:
    return f"{pixels:.1f}".removesuffix(".0")


def _wide(span: tuple[float, float]) -> tuple[float, float]:
    """The range, widened where it is a single point."""
    low, high = span
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _range(values: Iterable[float]) -> tuple[float, float]:
    """Range of the finite values and some room at both ends."""
    finite = [v for v in values if math.isfinite(v)] or [0.0]
    low, high = min(finite), max(finite)
    room = (high - low) * 0.06 or 0.5
    return low - room, high + room
