# SPDX-License-Identifier: Apache-2.0
"""What a family's tools answer, in words that hold for every family."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """So many of a resource are used, of so many."""

    used: int
    available: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What a design takes of a device: 4-input LUTs, flip-flops, block RAMs, multipliers, SPRAMs.

    Where a family places LUTs and flip-flops as logic cells, ``luts`` are those, once it is placed.
    """

    luts: Usage
    ffs: Usage
    brams: Usage
    dsps: Usage
    sprams: Usage = Usage(0, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class CriticalPath:
    """The slowest register to register path of a clock.

    ``start`` and ``end`` are the signals (or cells) at its ends, ``delay_ns`` its whole delay with
    clock to output and setup, ``routing_ns`` the share of the wires, ``levels`` the cells between.
    """

    clock: str
    start: str
    end: str
    delay_ns: float
    routing_ns: float
    levels: int

    def __str__(self) -> str:
        return (
            f"{self.start} -> {self.end}: {self.delay_ns:.2f} ns "
            f"({self.routing_ns:.2f} ns in wires), {self.levels} levels"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A placed and routed design.

    Parameters
    ----------
    resources
        What it takes, as placed.
    fmax_mhz, critical_path
        What the clock with the least margin reaches, and its slowest path; None without clocked
        paths.
    bitstream
        The file to load; None where there were no pins to build for.
    """

    resources: Resources
    fmax_mhz: float | None
    critical_path: CriticalPath | None
    bitstream: Path | None
