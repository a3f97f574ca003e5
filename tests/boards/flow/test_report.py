# SPDX-License-Identifier: Apache-2.0
"""The build report: figures, JSON, table."""

import json
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from deltaloom.boards.family.results import CriticalPath, Usage
from deltaloom.boards.flow.report import BuildReport

SYNTHESIZED = BuildReport(
    board="ulx3s_85f",
    device="LFE5U-85F",
    luts=Usage(20910, 83640),
    ffs=Usage(9000, 83640),
    brams=Usage(104, 208),
    dsps=Usage(32, 156),
    clock_mhz=100.0,
)
PLACED = replace(
    SYNTHESIZED,
    fmax_mhz=118.5,
    cycles_per_step=2500.0,
    critical_path=CriticalPath(
        clock="clk", start="a", end="b", delay_ns=8.4389, routing_ns=4.0, levels=5
    ),
    bitstream=Path("design.bit"),
)


def text(report: BuildReport) -> str:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(report.table())
    return capture.get()


def test_latency_is_cycles_over_the_boards_clock() -> None:
    assert PLACED.latency_us == 25.0
    assert SYNTHESIZED.latency_us is None


def test_timing_is_met_from_the_clock_on() -> None:
    assert PLACED.timing_met is True
    assert replace(PLACED, fmax_mhz=100.0).timing_met is True
    assert replace(PLACED, fmax_mhz=99.9).timing_met is False
    assert SYNTHESIZED.timing_met is None


def test_json_round_trip() -> None:
    for report in (SYNTHESIZED, PLACED):
        assert BuildReport.from_json(report.to_json()) == report
    plain = json.loads(PLACED.to_json())
    assert plain["latency_us"] == 25.0 and plain["timing_met"] is True
    assert plain["brams"] == {"used": 104, "available": 208}


def test_table_of_a_placed_design() -> None:
    shown = text(PLACED)
    for part in ("ulx3s_85f", "20910", "25.0", "118.5 MHz", "met", "2,500", "25.0 us", "a -> b"):
        assert part in shown
    assert "NOT MET" in text(replace(PLACED, fmax_mhz=99.0))


def test_table_after_synthesis_alone_has_no_clock_claims() -> None:
    shown = text(SYNTHESIZED)
    assert "Fmax" not in shown and "latency" not in shown and "critical" not in shown
