# SPDX-License-Identifier: Apache-2.0
"""Synthesis for Gowin with Yosys: RTLIL in, a JSON netlist and its cell counts out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..family.netlist import SynthesizedDesign
from ..family.results import Usage
from ..nextpnr.yosys import reading, run_yosys
from ..tools.process import Progress, silent

LUT_RAM_LUTS = 8
"""LUTs that a distributed memory of 16 words of 4 bits (RAM16SDP4) takes the place of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Netlist(SynthesizedDesign):
    """A synthesized design."""

    @property
    def luts(self) -> int:
        """Places of 4-input LUTs: LUTs, adder bits and distributed memories."""
        logic = self.count("LUT1", "LUT2", "LUT3", "LUT4", "ALU")
        return logic + LUT_RAM_LUTS * self.count("RAM16SDP4")

    @property
    def ffs(self) -> int:
        """Flip-flops."""
        return sum(n for name, n in self.cells.items() if name.startswith("DFF"))

    @property
    def dsps(self) -> int:
        """18x18 multipliers; two of 9x9 are one."""
        wide = self.count("MULT18X18") + 2 * self.count("MULT36X36")
        return wide + -(-self.count("MULT9X9") // 2)

    @property
    def brams(self) -> int:
        """18-kbit block RAMs."""
        return self.count("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B", "pROM", "pROMX9")


def lut_places(usage: Mapping[str, Usage]) -> Usage:
    """The same of a placed design: LUTs that pass a signal on are there, too.

    usage: nextpnr's, by its names.
    """
    memories = LUT_RAM_LUTS * usage["RAM16SDP4"].used
    return Usage(usage["LUT4"].used + usage["ALU"].used + memories, usage["LUT4"].available)


def _script(source: str, top: str) -> str:
    return "\n".join([*reading(source, top), f"synth_gowin -noiopads -top {top}"])


def synthesize(rtlil: str, *, top: str, workdir: Path, progress: Progress = silent) -> Netlist:
    """Synthesize module ``top`` of RTLIL text; the result is kept below ``workdir``.

    Raises UserError when there is no Yosys, or when it failed; the line names the log.
    """
    return run_yosys(
        Netlist,
        rtlil,
        top=top,
        workdir=workdir,
        scripts=lambda name: {"yosys": _script(name, top)},
        progress=progress,
    )
