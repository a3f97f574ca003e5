# SPDX-License-Identifier: Apache-2.0
"""Phases of a long job: plain lines in a pipe, a line for each phase on a terminal."""

import io
import sys

import pytest
from rich import console

from deltaloom.terminal import phases

LINES = (
    "elaborating the design",
    "synthesis: reading the design",
    "synthesis: mapping LUTs",
    "placing: analytical placement",
    "bitstream: packing",
)


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by 0.4 s with each look at it."""
    now = [0.0]

    def look():
        now[0] += 0.4
        return now[0]

    monkeypatch.setattr(phases.time, "monotonic", look)


def test_each_line_in_a_pipe_with_the_time_since_the_start(capsys, clock):
    with phases.phase_lines() as say:
        for line in LINES:
            say(line)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "elaborating the design",
        "synthesis: reading the design",
        "synthesis: mapping LUTs (after 1 s)",
        "placing: analytical placement (after 2 s)",
        "bitstream: packing (after 2 s)",
    ]


def test_a_line_for_each_phase_on_a_terminal(monkeypatch):
    screen = io.StringIO()
    real = console.Console
    monkeypatch.setattr(
        console, "Console", lambda **_: real(file=screen, force_terminal=True, width=100)
    )
    with phases.phase_lines() as say:
        for line in LINES:
            say(line)
    last = screen.getvalue().split("\x1b[2K")[-4:]
    text = "".join(last)
    for phase in ("elaborating the design", "synthesis", "placing", "bitstream"):
        assert phase in text
    assert "0:00:0" in text and "mapping LUTs" not in text  # finished phases keep their time alone


def test_an_error_passes_through(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with pytest.raises(KeyError), phases.phase_lines() as say:
        say("synthesis: x")
        raise KeyError("y")
