# SPDX-License-Identifier: Apache-2.0
"""What nextpnr's JSON report says: clock rates, what is used of the device, the critical paths."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..family.results import CriticalPath, Usage

_CELL_SUFFIX = re.compile(
    r"_(TRELLIS_FF|LUT\d|CCU2C|PFUMX|L6MUX21|DP16KD|MULT\w+|TRELLIS_DPR16X4"
    r"|SB_\w+?|DFF[A-Z]*|ALU|MUX2_LUT\d|SDPX9B|SPX9|DPX9B|RAM16SDP4)_.*$"
)
"""What Yosys appends to a signal for the name of a cell, of all families."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Clock rates in MHz by clock name, resources by nextpnr's names, the worst path per clock."""

    fmax_mhz: dict[str, float]
    wanted_mhz: dict[str, float]
    usage: dict[str, Usage]
    paths: tuple[CriticalPath, ...]

    @property
    def slowest(self) -> str | None:
        """The clock with the least margin (achieved / wanted); None without clocked paths."""
        margins = {name: rate / self.wanted_mhz[name] for name, rate in self.fmax_mhz.items()}
        return min(margins, key=margins.__getitem__, default=None)

    @property
    def met(self) -> bool:
        """Whether every clock reaches the rate that was asked for."""
        return all(rate >= self.wanted_mhz[name] for name, rate in self.fmax_mhz.items())

    def path(self, clock: str) -> CriticalPath | None:
        """The critical path of ``clock``."""
        return next((path for path in self.paths if path.clock == clock), None)


def clock_name(net: str) -> str:
    """A clock net's name without what nextpnr adds for global buffers and pads."""
    return net.removeprefix("$glbnet$").removesuffix("$TRELLIS_IO_IN").removesuffix("$SB_IO_IN")


def signal_name(cell: str) -> str:
    """The signal that a Yosys cell name was made from; the name itself when it has no such part."""
    return _CELL_SUFFIX.sub("", cell)


def _critical_path(entry: Mapping[str, Any]) -> CriticalPath | None:
    start, end = entry["from"].split(), entry["to"].split()
    if start != end or start[0] not in ("posedge", "negedge"):
        return None  # a path from or to a pin, or between clocks
    segments = entry["path"]
    return CriticalPath(
        clock=clock_name(start[1]),
        start=signal_name(segments[0]["from"]["cell"]),
        end=signal_name(segments[-1]["to"]["cell"]),
        delay_ns=sum(segment["delay"] for segment in segments),
        routing_ns=sum(segment["delay"] for segment in segments if segment["type"] == "routing"),
        levels=sum(segment["type"] == "logic" for segment in segments),
    )


def parse_report(report: Mapping[str, Any]) -> Timing:
    """Read the JSON that ``nextpnr --report`` writes."""
    paths = (_critical_path(entry) for entry in report["critical_paths"])
    return Timing(
        fmax_mhz={clock_name(k): float(v["achieved"]) for k, v in report["fmax"].items()},
        wanted_mhz={clock_name(k): float(v["constraint"]) for k, v in report["fmax"].items()},
        usage={k: Usage(v["used"], v["available"]) for k, v in report["utilization"].items()},
        paths=tuple(path for path in paths if path is not None),
    )
