# SPDX-License-Identifier: Apache-2.0
"""The netlist as it is simulated: enables that were added are 1 where nobody can know them.

An added enable (`boards/asic/stillness.py`) may be either where it is X: the register has what it
would take, or must take it, and 1 is right for both. A simulator's X is neither: a register whose
clock is X stays X for as long as its sources are still, though in every chip it would be right. So
in simulation the flip-flops of these enables, and no others, take X as 1.
"""

from ...boards.asic.library import Cell, Library
from ...boards.asic.netlist import Netlist

NETLIST = "deltaloom_gates.v"


def simulated(netlist: Netlist, library: Library) -> str:
    """The netlist with such flip-flops, and their modules around the library's."""
    kinds = sorted(netlist.enables())
    names = {kind: f"{kind}_known" for kind in kinds}
    wrappers = [_wrapper(names[kind], library.cells[kind]) for kind in kinds]
    return "\n".join([*wrappers, netlist.verilog(names)])


def _wrapper(name: str, cell: Cell) -> str:
    lines, pins = [f"module {name} ({', '.join(cell.pins)});"], []
    for pin in cell.pins.values():
        lines.append(f"  {pin.direction} {pin.name};")
        known = pin.direction == "input" and not pin.clock
        value = f"{pin.name} === 1'bx ? 1'b1 : {pin.name}" if known else pin.name
        pins.append(f".{pin.name}({value})")
    return "\n".join([*lines, f"  {cell.name} held ({', '.join(pins)});", "endmodule", ""])
