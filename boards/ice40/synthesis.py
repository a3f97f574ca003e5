# SPDX-License-Identifier: Apache-2.0
"""Synthesis for iCE40 UltraPlus with Yosys, and memories that it has no cells for.

An iCE40 has no memories in LUTs: one that answers in the same cycle becomes flip-flops and
multiplexers, more than a logic cell for each bit. `read_late` reads the larger ones from a block
RAM at the falling edge instead. Their addresses are registers, so the word is there in the second
half of the cycle in which it is looked at; what a rising edge writes, the next falling one reads.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...golden.errors import UserError
from ..family.netlist import SynthesizedDesign
from ..nextpnr.yosys import reading, run_yosys
from ..tools.process import Progress, silent

LATE_BITS = 56
"""Memories of fewer bits stay flip-flops."""

LEAST_CONTROLLED = 6
_FEW_CONTROLS = (
    "dfflegalize -cell $_DFF_?_ 0 -cell $_DFFE_?P_ 0 -cell $_DFF_?P?_ 0 -cell $_DFFE_?P?P_ 0 "
    "-cell $_SDFF_?P?_ 0 -cell $_SDFFCE_?P?P_ 0 "
    f"-mince {LEAST_CONTROLLED} -minsrst {LEAST_CONTROLLED}"
)
"""Eight logic cells of a tile share an enable and a reset. Flip-flops with one of their own, or
almost, leave cells of their tile empty, until a device that is nearly full cannot be placed. Their
enable and reset go into the LUT in front, which most of them have free."""

_KEEP_PRODUCTS = "setattr -set keep 1 w:*product_*"
"""Of `Rescale`, whose low product is added to the top one: yosys 0.70 packs that sum into the top
one's multiplier, and then may lose the low product, when it packs its register into another. That
is rare, and registers outside take logic cells, so that this is for designs where it has."""

_MODULE = re.compile(r"^module .*?^end$", re.MULTILINE | re.DOTALL)
_SIZE = re.compile(r"^  memory width (\d+) size (\d+) (\S+)$", re.MULTILINE)
_CELL = re.compile(r"^  cell (\$mem(?:rd|wr)_v2) .*?^  end$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Netlist(SynthesizedDesign):
    """A synthesized design. nextpnr's logic cells are LUTs and the flip-flops not behind one."""

    @property
    def luts(self) -> int:
        """4-input lookup tables."""
        return self.count("SB_LUT4")

    @property
    def ffs(self) -> int:
        """Flip-flops."""
        return sum(n for name, n in self.cells.items() if name.startswith("SB_DFF"))

    @property
    def dsps(self) -> int:
        """16x16 multipliers."""
        return self.count("SB_MAC16")

    @property
    def brams(self) -> int:
        """4-kbit block RAMs."""
        return sum(n for name, n in self.cells.items() if name.startswith("SB_RAM40_4K"))

    @property
    def sprams(self) -> int:
        """256-kbit memories."""
        return self.count("SB_SPRAM256KA")


def read_late(rtlil: str) -> str:
    """The design with its larger memories without a clock read at the falling edge."""
    return _MODULE.sub(lambda module: _module(module[0]), rtlil)


def _module(text: str) -> str:
    large = {
        name.removeprefix("\\")
        for width, size, name in _SIZE.findall(text)
        if int(width) * int(size) >= LATE_BITS
    }
    clocks = {}
    for cell in _CELL.finditer(text):
        if cell[1] == "$memwr_v2":
            clocks[_memory(cell[0])] = _connection(cell[0], "CLK")

    def changed(cell: re.Match[str]) -> str:
        name = _memory(cell[0])
        if cell[1] == "$memwr_v2" or name not in large or name not in clocks:
            return cell[0]
        if "\\CLK_ENABLE 0\n" not in cell[0]:
            return cell[0]
        late = cell[0].replace("\\CLK_ENABLE 0\n", "\\CLK_ENABLE 1\n")
        late = late.replace("\\CLK_POLARITY 1\n", "\\CLK_POLARITY 0\n")
        changed_memories.add(name)
        return re.sub(r"connect \\CLK .*", lambda _: f"connect \\CLK {clocks[name]}", late)

    changed_memories: set[str] = set()
    text = _CELL.sub(changed, text)
    # yosys would rather take flip-flops for some of them

    def in_block_ram(memory: re.Match[str]) -> str:
        wanted = memory[3].removeprefix("\\") in changed_memories
        return '  attribute \\ram_style "block"\n' + memory[0] if wanted else memory[0]

    return _SIZE.sub(in_block_ram, text)


def _memory(cell: str) -> str:
    found = re.search(r'\\MEMID "\\\\(.*)"', cell)
    if found is None:
        raise ValueError(f"a memory's port without a memory: {cell!r}")
    return found[1]


def _connection(cell: str, pin: str) -> str:
    found = re.search(rf"connect \\{pin} (.*)", cell)
    if found is None:
        raise ValueError(f"a memory's port without {pin}: {cell!r}")
    return found[1]


class LostAddendError(UserError):
    """Yosys has lost what a multiplier adds."""


def _script(source: str, top: str, *, keeps: bool) -> str:
    # -dff takes five times as long for a hundredth of the logic cells
    synth = f"synth_ice40 -dsp -top {top}"
    steps = [
        f"{synth} -run begin:coarse",
        *([_KEEP_PRODUCTS] if keeps else []),
        f"{synth} -run coarse:map_ffs",
        _FEW_CONTROLS,
        f"{synth} -run map_ffs:",
    ]
    return "\n".join([*reading(source, top), *steps])


def check_addends(module: dict[str, Any]) -> None:
    """Raise LostAddendError where a multiplier adds what is not connected."""
    for name, cell in module["cells"].items():
        if cell["type"] != "SB_MAC16":
            continue
        for half, pin in (("TOP", "C"), ("BOT", "D")):
            adds = int(cell["parameters"][f"{half}ADDSUB_UPPERINPUT"], 2) == 1
            if adds and set(cell["connections"][pin]) <= {"x"}:
                raise LostAddendError(
                    f"{name}: yosys has lost what this multiplier adds, and the bitstream would be "
                    "wrong; use another weight word (--word-bits) or board, and please report it"
                )


def synthesize(rtlil: str, *, top: str, workdir: Path, progress: Progress = silent) -> Netlist:
    """Synthesize module ``top`` of RTLIL text; the result is kept below ``workdir``.

    Raises UserError when there is no Yosys, or when it failed; the line names the log.
    """

    def run(*, keeps: bool) -> Netlist:
        return run_yosys(
            Netlist,
            read_late(rtlil),
            top=top,
            workdir=workdir,
            scripts=lambda name: {"yosys": _script(name, top, keeps=keeps)},
            improve=check_addends,
            improvements="addends checked",
            progress=progress,
        )

    try:
        return run(keeps=False)
    except LostAddendError:
        return run(keeps=True)
