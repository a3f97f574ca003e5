# SPDX-License-Identifier: Apache-2.0
"""Static timing of a mapped netlist with OpenSTA: the clock that it reaches, and its worst path.

Nothing is placed yet: wires have no capacitance and no delay, the clock is ideal. The period of the
report is that of paths between registers and macros; ports have their own slack, for a quarter of
the cycle outside. An enable has the whole cycle up to its clock gate: the gate's latch is open in
the clock's low half, and borrows from it, so that a slack does not say by how much the period may
shrink; the least period is found by trying.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template

from ...golden.errors import UserError
from ..tools.process import Progress, digest, last_error, run_tool, silent
from ..tools.toolchain import require
from .clock_tree import ClockTree
from .library import Library
from .netlist import Netlist
from .synthesis import TOP

CLOCK = "clk"
OUTSIDE = 0.25
"""The part of a cycle that a port's signal spends outside."""

_SDC = Template("""\
# The accelerator's one clock, and a quarter of its cycle outside of each port.
create_clock -name $clock -period $period [get_ports $clock]
set_clock_transition $slew [get_clocks $clock]
set_input_delay $outside -clock $clock [get_ports {$inputs}]
set_output_delay $outside -clock $clock [get_ports {$outputs}]
set_input_transition $slew [get_ports {$inputs}]
set_load $load [get_ports {$outputs}]
$gates""")

_GATES = """\
# Clock gates: an enable is there before the clock rises. What drives each gated clock:
{drivers}
set_clock_gating_check -setup 0 -hold 0 [get_clocks {clock}]
"""


_SCRIPT = Template("""\
read_liberty $cells
$macros
read_verilog $netlist
link_design $top
read_sdc $sdc
puts "== ports"
report_checks -path_delay max -format full -digits 4
set_false_path -from [all_inputs]
set_false_path -to [all_outputs]
# The least period. A slack shrinks as fast as the period, or half as fast in front of a latch; it
# is 0, and stays so, while a latch borrows.
proc slack_at {period} {
  create_clock -name $clock -period $$period [get_ports $clock]
  set_clock_transition $slew [get_clocks $clock]
  set least 1e9
  foreach end [find_timing_paths -path_delay max] {
    set slack [get_property $$end slack]
    if {$$slack < $$least} { set least $$slack }
  }
  return $$least
}
set period $period
for {set n 0} {$$n < 50} {incr n} {
  set slack [slack_at $$period]
  if {$$slack >= 0 && $$slack <= 1e-4 * $$period || $$slack > 1e8} { break }
  set period [expr {$$slack >= 0 ? $$period - $$slack : $$period - 2.0 * $$slack}]
}
set over [expr {$$period - $$slack}]
set under [expr {0.999 * $$period}]
if {$$slack < 1e8 && [slack_at $$under] > -1e-7} {
  set over $$under
  set under 0.0
  while {$$over - $$under > 1e-4 * $$over} {
    set middle [expr {($$over + $$under) / 2}]
    if {[slack_at $$middle] > -1e-7} { set over $$middle } else { set under $$middle }
  }
}
puts "== period\n$$over"
puts "== registers"
# At a period that is a little too short, a path that is late limits it; one that borrows does not.
slack_at [expr {0.99 * $$over}]
report_checks -path_delay max -format full -digits 4
puts "== slews"
proc slew {pin} {
  foreach name {actual_%s_transition_max actual_max_%s_slew actual_%s_slew} {
    if {![catch {list [get_property $$pin [format $$name rise]] \\
                      [get_property $$pin [format $$name fall]]} both]} { return $$both }
  }
  return {0 0}
}
set wanted [open $pins]
while {[gets $$wanted name] >= 0} { puts "$$name [slew [get_pins $$name]]" }
close $$wanted
puts "== end"
""")

_STEP = re.compile(r"^\s*(-?[\d.]+)\s+(-?[\d.]+)\s+([\^v])\s+(\S+)\s+\((\S+)\)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A pin on a path: its delay and the time of arrival, ns."""

    pin: str
    cell: str
    delay_ns: float
    arrival_ns: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TimingPath:
    """A path: from a register, macro or port to another, and its slack in ns: by how much the
    period may shrink."""

    start: str
    end: str
    slack_ns: float
    steps: tuple[Step, ...]

    @property
    def levels(self) -> int:
        """Cells between its ends."""
        return max(len(self.steps) - 3, 0)

    def __str__(self) -> str:
        arrival = self.steps[-1].arrival_ns if self.steps else 0.0
        return f"{self.start} -> {self.end}: {arrival:.2f} ns, {self.levels} cells"


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """What OpenSTA found.

    Members
    -------
    period_ns: the clock's, as asked for.
    worst: the worst path between registers.
    port_slack_ns: of the worst path of all, ports included.
    slews: of each output pin of a cell, s, the mean of rise and fall; by its name in the netlist.
    """

    period_ns: float
    worst: TimingPath
    port_slack_ns: float
    slews: Mapping[str, float]

    @property
    def fmax_mhz(self) -> float:
        """The clock at which the worst path between registers has no slack."""
        return 1000 / (self.period_ns - self.worst.slack_ns)


def sdc(netlist: Netlist, library: Library, period_ns: float, tree: ClockTree) -> str:
    """The constraints, for OpenSTA and for whoever places the netlist."""
    drivers = sorted(
        "/".join(filter(None, (netlist.path(module), gate.name))) for module, gate, _ in tree.gates
    )
    gates = _GATES.format(drivers="\n".join(f"#   {d}" for d in drivers), clock=CLOCK)
    inverter = library.smallest(1)
    load = 4 * next(p for p in inverter.pins.values() if p.direction == "input").capacitance
    inputs = [n for n, direction, _ in netlist.top.ports if direction == "input" and n != CLOCK]
    return _SDC.substitute(
        clock=CLOCK,
        period=f"{period_ns:g}",
        slew=f"{library.slew * 1e9:g}",
        outside=f"{OUTSIDE * period_ns:g}",
        load=f"{load * 1e12:.4g}",
        inputs=" ".join(inputs),
        outputs=" ".join(n for n, direction, _ in netlist.top.ports if direction == "output"),
        gates=gates if drivers else "",
    )


def analyse(
    netlist: Netlist,
    library: Library,
    folder: Path,
    *,
    files: Mapping[str, str],
    period_ns: float,
    progress: Progress = silent,
) -> Timing:
    """Run OpenSTA in `folder`, where the netlist and its files lie.

    files: the names there of "cells", "netlist", "sdc", and "macros", "" where there are none; more
        are Liberty files, too.

    Raises UserError where there is no OpenSTA, or it failed.
    """
    tool = require("opensta")
    progress("timing: OpenSTA")
    pins = [
        f"{path}/{instance.name}/{pin.name}" if path else f"{instance.name}/{pin.name}"
        for module, instance in netlist.cells()
        if instance.kind in library.cells
        for path in (netlist.path(module),)
        for pin in library.cells[instance.kind].outputs
        if pin.name in instance.pins
    ]
    (folder / "sta.pins").write_text("\n".join(pins) + "\n", "utf-8")
    others = [name for name in files if name not in ("cells", "netlist", "sdc")]
    script = _SCRIPT.substitute(
        cells=files["cells"],
        macros="\n".join(f"read_liberty {files[name]}" for name in others if files[name]),
        netlist=files["netlist"],
        sdc=files["sdc"],
        top=TOP,
        clock=CLOCK,
        period=f"{period_ns:g}",
        slew=f"{library.slew * 1e9:g}",
        pins="sta.pins",
    )
    (folder / "sta.tcl").write_text(script, "utf-8")
    log, done = folder / "sta.log", folder / "sta.done"
    given = _given(folder, files, script, tool.version)
    if done.exists() and log.exists() and done.read_text("utf-8") == given:
        return _read(log.read_text("utf-8"), period_ns, log)
    log.unlink(missing_ok=True)
    lines: list[str] = []
    code = run_tool(
        [*tool.command, "-exit", "sta.tcl"],
        log=log,
        environment=tool.environment,
        on_line=lines.append,
        cwd=folder,
    )
    text = "".join(lines)
    if code or "== end" not in text:
        reason = next((line for line in reversed(lines) if line.startswith("Error")), "")
        reason = reason.strip() or last_error(log)
        raise UserError(f"OpenSTA failed (exit code {code}): {reason}; see {log}")
    timing = _read(text, period_ns, log)
    done.write_text(given, "utf-8")
    return timing


def _given(folder: Path, files: Mapping[str, str], script: str, version: str) -> str:
    """All that an analysis is made of, in short: the same again is read from its log."""
    texts = [(folder / name).read_text("utf-8") for name in files.values() if name]
    return digest(script, version, *texts)


def _read(text: str, period_ns: float, log: Path) -> Timing:
    sections = dict(re.findall(r"^== (\w+)\n(.*?)(?=^== )", text, re.MULTILINE | re.DOTALL))
    worst = _path(sections["registers"])
    if worst is None:
        raise UserError(f"OpenSTA found no path between registers; see {log}")
    ports = _path(sections["ports"]) or worst
    worst = replace(worst, slack_ns=period_ns - float(sections["period"]))
    slews = {}
    for line in sections["slews"].splitlines():
        name, *values = line.split()
        slews[name] = sum(map(float, values)) / max(len(values), 1)
    return Timing(
        period_ns=period_ns,
        worst=worst,
        port_slack_ns=ports.slack_ns,
        slews={name: _seconds(value) for name, value in slews.items()},
    )


def _seconds(slew: float) -> float:
    """OpenSTA's properties are in the first library's unit, ns, or in s: no slew is above 1 s."""
    return slew if 0 < slew < 1e-6 else slew * 1e-9


def _path(text: str) -> TimingPath | None:
    """The one with the least slack: there is one of each group."""
    paths = [path for part in text.split("\n\n\n") if (path := _one_path(part)) is not None]
    return min(paths, key=lambda path: path.slack_ns, default=None)


def _one_path(text: str) -> TimingPath | None:
    start = re.search(r"^Startpoint: (\S+)", text, re.MULTILINE)
    end = re.search(r"^Endpoint: (\S+)", text, re.MULTILINE)
    slack = re.search(r"^\s*(-?[\d.]+)\s+slack", text, re.MULTILINE)
    if not (start and end and slack):
        return None
    steps = tuple(
        Step(pin=pin, cell=cell, delay_ns=float(delay), arrival_ns=float(arrival))
        for delay, arrival, _, pin, cell in _STEP.findall(text)
    )
    return TimingPath(start=start[1], end=end[1], slack_ns=float(slack[1]), steps=steps)
