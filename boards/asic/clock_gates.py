# SPDX-License-Identifier: Apache-2.0
"""Clock gates: the cells that are one in a library.

A gate lets a pulse of the clock through in each cycle whose enable is high before its rising edge,
so that registers which hold their value take no clock. It is the library's integrated clock gate
where there is one, as its Liberty attributes say, or else a latch that is transparent while the
clock is low, and an AND of its output and the clock, out of the library's smallest cells.
"""

import re
from dataclasses import dataclass

from .library import Cell, Library

BOX = "deltaloom_clock_gate"
"""The module that stands for a gate until all else is mapped; its ports are ce, clk, gclk."""
GATE_BITS = 4
"""Least flip-flops that get a gate of their own, whose three cells take some flip-flops' clock, too."""

_AND = re.compile(r"\(*\s*(\w+)\s*[&* ]\s*(\w+)\s*\)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockGate:
    """What a gate is made of: its cells' names, and the module's body in Verilog."""

    cells: tuple[str, ...]
    body: str

    @property
    def verilog(self) -> str:
        """The module, which techmap puts in the place of `BOX`."""
        return f"module {BOX} (input ce, input clk, output gclk);\n{self.body}endmodule\n"


BLACK_BOX = f"(* blackbox *)\nmodule {BOX} (input ce, input clk, output gclk);\nendmodule\n"


def find_gate(library: Library) -> ClockGate | None:
    """The gate that the library has or that its cells make; None where neither is."""
    integrated = [cell for cell in library.cells.values() if cell.gate and cell.usable]
    if integrated:
        cell = min(
            integrated, key=lambda each: (len(each.gate.tied) if each.gate else 0, each.area)
        )
        pins = cell.gate
        assert pins is not None
        tied = "".join(f", .{pin}(1'b0)" for pin in pins.tied)
        body = f"  {cell.name} gate (.{pins.enable}(ce), .{pins.clock}(clk), .{pins.output}(gclk)"
        return ClockGate(cells=(cell.name,), body=f"{body}{tied});\n")
    latches = [cell for cell in library.cells.values() if cell.latch and cell.usable]
    gates = [cell for cell in library.cells.values() if cell.usable and _and_pins(cell)]
    if not latches or not gates:
        return None
    # The strongest of the plain ones: it drives many flip-flops.
    latch, gate = min(latches, key=lambda c: c.area), min(gates, key=lambda c: (c.area, -_drive(c)))
    return _composed(library, latch, gate)


def _composed(library: Library, latch: Cell, gate: Cell) -> ClockGate:
    pins, ands = latch.latch, _and_pins(gate)
    assert pins is not None
    assert ands is not None
    inverter = library.smallest(1)
    cells, low, body = [latch.name, gate.name], "clk", "  wire held;\n"
    if pins.high:
        source = next(pin.name for pin in inverter.pins.values() if pin.direction == "input")
        target = inverter.outputs[0].name
        cells, low = [inverter.name, *cells], "low"
        body += f"  wire low;\n  {inverter.name} inverter (.{source}(clk), .{target}(low));\n"
    body += (
        f"  {latch.name} latch (.{pins.data}(ce), .{pins.enable}({low}), .{pins.output}(held));\n"
    )
    body += f"  {gate.name} gate (.{ands[0]}(clk), .{ands[1]}(held), .{ands[2]}(gclk));\n"
    return ClockGate(cells=tuple(cells), body=body)


def _and_pins(cell: Cell) -> tuple[str, str, str] | None:
    """The inputs and the output of a cell that is a plain AND of two."""
    if cell.sequential or len(cell.outputs) != 1 or len(cell.pins) != 3:
        return None
    found = _AND.fullmatch(cell.outputs[0].function.strip())
    return (found[1], found[2], cell.outputs[0].name) if found else None


def _drive(cell: Cell) -> float:
    """How strong it is: by the most that it may drive, where the library says it."""
    return cell.outputs[0].limit
