# SPDX-License-Identifier: Apache-2.0
"""What an accelerator in standard cells comes to: area, clock, and energy a frame, by component."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ...golden.reports import charts, page
from .build import AsicBuild
from .energy import Activity, PartEnergy
from .netlist import PartArea
from .timing import TimingPath


@dataclass(frozen=True, kw_only=True, slots=True)
class AsicReport:
    """The figures of one build.

    Members
    -------
    corner: the library and its corner, which all figures are of.
    node: feature size in nm; macro_bits: what was a macro, above.
    clock_mhz: that was asked for.
    fmax_mhz: of the paths between registers; None for an area-only library, as are all below.
    worst: the worst of them; port_slack_ns: of the worst path of all, ports included.
    clock_watts, leakage_watts: of the clock's pins that no gate stops while nothing happens, and
        of what leaks, at clock_mhz.
    cycles_per_step: clock cycles of a frame, measured or estimated.
    gates: clock gates.
    given_macros: kinds of macros that a Liberty file of the user's describes, of all kinds; None
        where there is no such file.
    words: output words of the netlist's simulation, each golden's; None without one, as is:
    energy: of a frame, J, by component.
    """

    corner: str
    node: float
    macro_bits: int
    clock_mhz: float
    areas: Mapping[str, PartArea]
    fmax_mhz: float | None = None
    worst: TimingPath | None = None
    port_slack_ns: float | None = None
    clock_watts: float | None = None
    leakage_watts: float | None = None
    cycles_per_step: float | None = None
    words: int | None = None
    gates: int = 0
    given_macros: tuple[int, int] | None = None
    energy: Mapping[str, PartEnergy] | None = None

    @classmethod
    def of(
        cls,
        build: AsicBuild,
        *,
        macro_bits: int,
        activity: Activity | None = None,
        words: int | None = None,
        cycles_per_step: float | None = None,
    ) -> "AsicReport":
        """The report of a build; activity, words: of its simulation."""
        facts: dict[str, Any] = {}
        if activity is not None:
            cycles_per_step = activity.cycles / activity.frames
        if build.timing is not None:
            model = build.energy()
            clock, leakage = model.clock_and_leakage(period_ns=build.period_ns)
            facts = {
                "fmax_mhz": build.timing.fmax_mhz,
                "worst": build.timing.worst,
                "port_slack_ns": build.timing.port_slack_ns,
                "clock_watts": clock,
                "leakage_watts": leakage,
            }
            if activity is not None:
                energy = model.run(activity, period_ns=build.period_ns)
                facts["energy"] = {
                    part: each.scaled(1 / activity.frames) for part, each in energy.items()
                }
        return cls(
            corner=build.technology.library.corner,
            node=build.technology.node,
            macro_bits=macro_bits,
            clock_mhz=build.clock_mhz,
            areas=build.areas,
            cycles_per_step=cycles_per_step,
            words=words,
            gates=len(build.tree.gates),
            given_macros=(
                (sum(macro.name in known for macro in build.macros), len(build.macros))
                if (known := build.model.known)
                else None
            ),
            **facts,
        )

    @property
    def timing_met(self) -> bool | None:
        """Whether the clock is reached; None without timing."""
        return None if self.fmax_mhz is None else self.fmax_mhz >= self.clock_mhz

    @property
    def frames_per_second(self) -> float | None:
        """At clock_mhz."""
        return None if not self.cycles_per_step else self.clock_mhz * 1e6 / self.cycles_per_step

    @property
    def area(self) -> float:
        """Of all, um^2."""
        return sum(part.cell_area + part.macro_area for part in self.areas.values())

    @property
    def frame_energy(self) -> PartEnergy | None:
        """Of all components, J a frame."""
        if self.energy is None:
            return None
        return sum(self.energy.values(), PartEnergy())

    def to_json(self) -> str:
        """The report as JSON, with what follows from it."""
        plain = asdict(self)
        total = self.frame_energy
        plain |= {
            "timing_met": self.timing_met,
            "frames_per_second": self.frames_per_second,
            "area": self.area,
            "frame_energy": None if total is None else total.total,
        }
        return json.dumps(plain, indent=2) + "\n"

    def table(self) -> Group:
        """The report for a terminal."""
        parts = Table(title=self.corner)
        for n, heading in enumerate(SHORT):
            parts.add_column(heading, justify="right" if n else "left")
        for name, area in self.areas.items():
            parts.add_row(*_short(name, [area], [(self.energy or {}).get(name)]))
        parts.add_section()
        parts.add_row(*_short("all", list(self.areas.values()), list((self.energy or {}).values())))
        facts = Table(show_header=False)
        for name, value in self._facts():
            facts.add_row(name, value)
        worst = [] if self.worst is None else [Text(f"worst path: {self.worst}")]
        return Group(parts, facts, *worst)

    def sections(self) -> list[page.Section]:
        """The report for a page."""
        facts = [(name, value) for name, value in self._facts() if name]
        found = [
            page.Section("Summary", [page.Table(("", self.corner), facts)], NOTE),
            page.Section("Components", [page.Table(HEADINGS, self._rows())], COMPONENTS),
        ]
        areas = {n: (p.cell_area + p.macro_area) / 1e6 for n, p in self.areas.items()}
        pictures = [charts.bars(areas, "area, mm^2")]
        if self.energy is not None:
            energies = {n: e.total * 1e9 for n, e in self.energy.items()}
            pictures.append(charts.bars(energies, "energy a frame, nJ"))
        found.append(page.Section("By component", [page.Figures(pictures)]))
        if self.worst is not None:
            steps = [
                (s.pin, s.cell, f"{s.delay_ns:.3f}", f"{s.arrival_ns:.3f}")
                for s in self.worst.steps
            ]
            table = page.Table(("pin", "cell", "delay, ns", "arrival, ns"), steps)
            found.append(page.Section("Worst path between registers", [table]))
        return found

    def _rows(self) -> list[tuple[str, ...]]:
        """A row of texts for each component, and one of all."""
        energy = self.energy or {}
        rows = [_row(name, [area], [energy.get(name)]) for name, area in self.areas.items()]
        all_of_it = [energy.get(name) for name in self.areas]
        return [*rows, _row("all", list(self.areas.values()), all_of_it)]

    def _facts(self) -> list[tuple[str, str]]:
        found = [("clock", f"{self.clock_mhz:g} MHz")]
        gated = sum(area.gated for area in self.areas.values())
        if self.gates:
            of = sum(area.flip_flops for area in self.areas.values())
            found.append(("clock gates", f"{self.gates:,}, {gated:,} of {of:,} flip-flops"))
        if self.given_macros is not None:
            found.append(("kinds of macros by --macros", "{:,} of {:,}".format(*self.given_macros)))
        if self.fmax_mhz is not None:
            verdict = "" if self.timing_met else ", NOT MET"
            found.append(("Fmax", f"{self.fmax_mhz:.1f} MHz{verdict}"))
        if self.port_slack_ns is not None:
            found.append(("slack with ports", f"{self.port_slack_ns:.2f} ns"))
        if self.clock_watts is not None and self.leakage_watts is not None:
            found.append(("clock when idle", f"{1e3 * self.clock_watts:.2f} mW"))
            found.append(("leakage", f"{1e6 * self.leakage_watts:.2f} uW"))
        if self.cycles_per_step is not None and self.frames_per_second is not None:
            found.append(("cycles a frame", f"{self.cycles_per_step:,.0f}"))
            found.append(("frames a second", f"{self.frames_per_second:,.0f}"))
        total = self.frame_energy
        if total is not None:
            found.append(("energy a frame", f"{1e9 * total.total:,.2f} nJ"))
        if self.words is not None:
            found.append(("words equal to golden", f"{self.words:,}"))
        return found


SHORT = (
    "component",
    "cells",
    "cells\nmm2",
    "macros\nmm2",
    "logic\nnJ/frame",
    "macros\nnJ/frame",
    "clock\nnJ/frame",
)
HEADINGS = (
    "component",
    "cells",
    "flip-flops",
    "behind\ngates",
    "cells\num2",
    "macros",
    "macros\num2",
    "logic\npJ/frame",
    "macros\npJ/frame",
    "clock\npJ/frame",
    "leakage\npJ/frame",
)
NOTE = (
    "Before placement: wires have no capacitance, the clock has no tree. Memories that are macros "
    "are modelled: docs/asic.md says how, and from which sources."
)
COMPONENTS = (
    "Logic: what gates and flip-flops take when nets switch. Macros: reads and writes. Clock: the "
    "clock's pins and its gates. Energies are of the frames that were simulated."
)


def _row(
    name: str, areas: Sequence[PartArea], energies: Sequence[PartEnergy | None]
) -> tuple[str, ...]:
    return (
        name,
        f"{sum(area.cells for area in areas):,}",
        f"{sum(area.flip_flops for area in areas):,}",
        f"{sum(area.gated for area in areas):,}",
        f"{sum(area.cell_area for area in areas):,.0f}",
        f"{sum(area.macros for area in areas):,}",
        f"{sum(area.macro_area for area in areas):,.0f}",
        *_energy(energies, 1e12, 1, leakage=True),
    )


def _short(
    name: str, areas: Sequence[PartArea], energies: Sequence[PartEnergy | None]
) -> tuple[str, ...]:
    return (
        name,
        f"{sum(area.cells for area in areas):,}",
        f"{sum(area.cell_area for area in areas) / 1e6:.3f}",
        f"{sum(area.macro_area for area in areas) / 1e6:.3f}",
        *_energy(energies, 1e9, 2, leakage=False),
    )


def _energy(
    energies: Sequence[PartEnergy | None], unit: float, digits: int, *, leakage: bool
) -> Iterator[str]:
    known = [energy for energy in energies if energy is not None]
    total = sum(known, PartEnergy())
    values = [total.logic, total.memory, total.clock, *([total.leakage] if leakage else [])]
    return (f"{unit * value:,.{digits}f}" if known else "-" for value in values)
