# SPDX-License-Identifier: Apache-2.0
"""Macros of a Liberty file of the user's: what a memory compiler says of them, in place of the
model in `macros.py`.

A cell stands for the macro of its name (`deltaloom_ram_512x64`), with its ports. Its area and
leakage are the cell's; an access costs what its clock pin takes in a cycle, rise and fall, by the
`internal_power` groups of the condition that has the most: the one without an access has less.
Delays are OpenSTA's.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...golden.errors import UserError
from .liberty import Group, read
from .library import Cell, cells_of
from .macros import PORTS, MacroCell

__all__ = ["MacroLibrary", "read_macros"]

PREFIX = "deltaloom_ram_"


@dataclass(frozen=True, slots=True)
class MacroLibrary:
    """The file, and its macros by name."""

    file: Path
    cells: Mapping[str, MacroCell]


def read_macros(file: Path) -> MacroLibrary:
    """Read a Liberty file; UserError where it is none, has no macro, or one that is not whole."""
    top = read(file, "--macros")
    groups = {group.name: group for group in top.every("cell") if group.name.startswith(PREFIX)}
    if not groups:
        raise UserError(
            f"--macros {file}: has no cell {PREFIX}WORDSxBITS; give the memories these names, "
            "with the ports of docs/asic.md"
        )
    known = cells_of(top, f"--macros {file}")
    return MacroLibrary(
        file, {name: _macro(file, known[name], group) for name, group in groups.items()}
    )


def _macro(file: Path, cell: Cell, group: Group) -> MacroCell:
    missing = [port for port in PORTS if port not in {*_ports(group)}]
    if missing:
        raise UserError(
            f"--macros {file}: {cell.name} has no pin or bus {', '.join(missing)}; "
            f"a macro has {', '.join(PORTS)}"
        )
    clk = cell.pins.get("clk")
    cycles: defaultdict[str, float] = defaultdict(float)
    for power in clk.powers if clk is not None else ():
        cycles[power.when] += power.least_cycle()
    if not cycles:
        raise UserError(
            f"--macros {file}: {cell.name} has no internal_power of clk, which says what an access "
            "costs; add it"
        )
    return MacroCell(area=cell.area, access=max(cycles.values()), leakage=cell.leakage)


def _ports(group: Group) -> Iterator[str]:
    for kind in ("pin", "bus"):
        for port in group.every(kind):
            yield from port.arguments
