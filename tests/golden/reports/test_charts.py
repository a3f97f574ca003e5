# SPDX-License-Identifier: Apache-2.0
"""Charts: well-formed, complete, escaped, and where their numbers are."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from deltaloom.golden.reports.charts import (
    Dot,
    Plane,
    bars,
    front,
    histogram,
    lines,
    number,
    strips,
    ticks,
)

NASTY = "<a & \"b\" 'c'>"


def parsed(svg):
    return ElementTree.fromstring(svg)


def texts(svg):
    return ["".join(node.itertext()) for node in parsed(svg).iter("text")]


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (0, 10, 5, [0, 2, 4, 6, 8, 10]),
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-7, 9, 4, [-5, 0, 5]),
        (18, 24, 5, [18, 20, 22, 24]),
        (0, 100, 10, list(range(0, 101, 10))),
        (3, 3, 5, []),
        (0, 1, 0, []),
    ],
)
def test_ticks(low, high, count, expected):
    assert ticks(low, high, count) == pytest.approx(expected)


def test_number():
    assert [number(v) for v in (0.0, -0.5, 0.6000000001, 999, 12345)] == [
        "0",
        "-0.5",
        "0.6",
        "999",
        "12,345",
    ]


def test_places():
    plane = Plane(120, 60, (0, 10), (-1, 1), (10, 5, 10, 15))
    assert plane.at(0, -1) == (10, 45)
    assert plane.at(10, 1) == (110, 5)
    assert plane.at(5, 0) == (60, 25)


def test_histogram_marks_the_clips():
    svg = histogram(NASTY, np.array([-1.0, 0, 1]), np.array([3, 999]), (-0.5, 0.5), "codes")
    marks = [line for line in parsed(svg).iter("line") if line.get("class") == "mark"]
    assert len(marks) == 2
    left, right = (float(line.get("x1")) for line in marks)
    assert (left + right) / 2 == pytest.approx((52 + 440 - 12) / 2, abs=0.1)
    assert NASTY in texts(svg) and "100" in texts(svg)
    assert {"codes", "how many, logarithmic"} <= {*texts(svg)}
    (area,) = [p for p in parsed(svg).iter("path") if p.get("class") == "area"]
    tops = [float(pair.split()[1]) for pair in re.split("[ML]", area.get("d"))[1:]]
    assert min(tops) == 42  # the larger count reaches the upper edge
    assert max(tops) == 188 - 38


def test_front():
    dots = [Dot(x, 20 + x / 10, f"{NASTY} {x}") for x in (0, 30, 60)]
    svg = front(dots, dots[1:], dots[2], "eliminated", "error", limit=25.0)
    circles = [*parsed(svg).iter("circle")]
    assert [c.get("class") for c in circles] == ["dot", "dot", "dot", "best", "best", "chosen"]
    assert circles[-1].find("title").text == f"{NASTY} 60"
    assert "allowed" in texts(svg)
    assert {"eliminated", "error"} <= {*texts(svg)}
    assert "allowed" not in texts(front(dots, dots, None, "x", "y", limit=99.0))


def test_front_of_one_point_and_infinity():
    svg = front([Dot(0, -np.inf), Dot(1, 3)], [Dot(1, 3)], None, "x", "y")
    assert "nan" not in svg and "inf" not in svg


def test_bars():
    svg = bars({NASTY: 4.0, "b": 2.0}, "error", base=3.0)
    widths = [float(r.get("width")) for r in parsed(svg).iter("rect")]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.1)
    assert {NASTY, "4.00", "2.00", "error"} <= {*texts(svg)}
    negative = bars({"a": -30.0, "b": -40.0}, "NMSE, dB")
    widths = [float(r.get("width")) for r in parsed(negative).iter("rect")]
    assert widths[1] == pytest.approx(widths[0] * 4 / 3, abs=0.1)


def test_strips():
    svg = strips({NASTY: np.array([0.0, 100, 50]), "b": np.zeros(3)}, "frame")
    assert {NASTY, "50.0 %", "0.0 %", "frame"} <= {*texts(svg)}
    assert len([p for p in parsed(svg).iter("path") if p.get("class") == "area"]) == 2


def test_nothing_to_show():
    for svg in (bars({}, "x"), strips({}, "x"), front([], [], None, "x", "y")):
        assert parsed(svg).tag == "svg"


def test_lines():
    """A line and its points for each name, a key with the names, and the base."""
    by_name = {f"n{k}": [Dot(10 * t, k + t, f"{k}.{t}") for t in range(3)] for k in range(7)}
    by_name[NASTY] = [Dot(5, float("inf")), Dot(1, 2)]
    svg = lines(by_name, "x", "y", base=-3)
    root = parsed(svg)
    drawn = [node.attrib["class"] for node in root.iter("path")]
    assert drawn == [f"line s{n % 6}" for n in range(8)]
    circles = [node.attrib["class"] for node in root.iter("circle")]
    assert len(circles) == 7 * 3 + 1 + 8  # points that are finite, and the key
    assert {NASTY, *by_name} <= {*texts(svg)}
    (mark,) = [node for node in root.iter("line") if node.attrib["class"] == "mark"]
    lowest = max(float(node.attrib["cy"]) for node in root.iter("circle"))
    assert float(mark.attrib["y1"]) > lowest
    assert "mark" not in lines({}, "x", "y")
