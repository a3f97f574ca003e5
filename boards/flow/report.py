# SPDX-License-Identifier: Apache-2.0
"""What a build came to: area against the device, clock, cycles and latency."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from ..family.results import CriticalPath, Placed, Resources, Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildReport:
    """The figures of one build.

    Parameters
    ----------
    board, device
        Names, such as ulx3s_85f and LFE5U-85F.
    luts, ffs, brams, dsps, sprams
        4-input LUTs, flip-flops, block RAMs, multipliers and SPRAMs: used and available.
    clock_mhz
        The core's clock on the board.
    fmax_mhz
        What place and route reached; None after synthesis alone.
    critical_path
        The slowest path; None after synthesis alone.
    cycles_per_step
        Clock cycles of a frame, measured or ideal; None when nobody said.
    bitstream
        The file to load; None after synthesis alone.
    """

    board: str
    device: str
    luts: Usage
    ffs: Usage
    brams: Usage
    dsps: Usage
    clock_mhz: float
    sprams: Usage = Usage(0, 0)
    fmax_mhz: float | None = None
    critical_path: CriticalPath | None = None
    cycles_per_step: float | None = None
    bitstream: Path | None = None

    @classmethod
    def of(
        cls,
        board: str,
        device: str,
        resources: Resources,
        *,
        clock_mhz: float,
        cycles_per_step: float | None = None,
    ) -> "BuildReport":
        """The report of a synthesized design."""
        return cls(
            board=board,
            device=device,
            luts=resources.luts,
            ffs=resources.ffs,
            brams=resources.brams,
            dsps=resources.dsps,
            sprams=resources.sprams,
            clock_mhz=clock_mhz,
            cycles_per_step=cycles_per_step,
        )

    def placed(self, design: Placed) -> "BuildReport":
        """The report of the same design, placed and routed."""
        return replace(
            self,
            luts=design.resources.luts,
            ffs=design.resources.ffs,
            brams=design.resources.brams,
            dsps=design.resources.dsps,
            sprams=design.resources.sprams,
            fmax_mhz=design.fmax_mhz,
            critical_path=design.critical_path,
            bitstream=design.bitstream,
        )

    @property
    def latency_us(self) -> float | None:
        """Microseconds of a frame at the board's clock: cycles_per_step / clock_mhz."""
        return None if self.cycles_per_step is None else self.cycles_per_step / self.clock_mhz

    @property
    def timing_met(self) -> bool | None:
        """Whether the clock is reached; None after synthesis alone."""
        return None if self.fmax_mhz is None else self.fmax_mhz >= self.clock_mhz

    def to_json(self) -> str:
        """The report as JSON, with `latency_us` and `timing_met`."""
        plain: dict[str, Any] = asdict(self)
        plain["bitstream"] = None if self.bitstream is None else str(self.bitstream)
        plain |= {"latency_us": self.latency_us, "timing_met": self.timing_met}
        return json.dumps(plain, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "BuildReport":
        """The report that `to_json` wrote."""
        plain = json.loads(text)
        del plain["latency_us"], plain["timing_met"]
        for name in ("luts", "ffs", "brams", "dsps", "sprams"):
            plain[name] = Usage(**plain[name])
        if plain["critical_path"] is not None:
            plain["critical_path"] = CriticalPath(**plain["critical_path"])
        if plain["bitstream"] is not None:
            plain["bitstream"] = Path(plain["bitstream"])
        return cls(**plain)

    def table(self) -> Table:
        """The report for a terminal."""
        table = Table(title=f"{self.board} ({self.device})")
        for heading in ("resource", "used", "available", "%"):
            table.add_column(heading, justify="left" if heading == "resource" else "right")
        for name, usage in (
            ("LUTs", self.luts),
            ("flip-flops", self.ffs),
            ("block RAMs", self.brams),
            ("multipliers", self.dsps),
            *([("SPRAMs", self.sprams)] if self.sprams.available else []),
        ):
            share = f"{100 * usage.used / usage.available:.1f}"
            table.add_row(name, f"{usage.used}", f"{usage.available}", share)
        table.add_section()
        table.add_row("clock", f"{self.clock_mhz:g} MHz", "", "")
        if self.fmax_mhz is not None:
            verdict = "met" if self.timing_met else "NOT MET"
            table.add_row("Fmax", f"{self.fmax_mhz:.1f} MHz", verdict, "")
        if self.cycles_per_step is not None:
            table.add_row("cycles a frame", f"{self.cycles_per_step:,.0f}", "", "")
            table.add_row("latency of a frame", f"{self.latency_us:,.1f} us", "", "")
        if self.critical_path is not None:
            table.caption = f"critical path: {self.critical_path}"
        return table
