# SPDX-License-Identifier: Apache-2.0
"""Synthesis with Yosys: RTLIL or Verilog in, a JSON netlist and its cell counts out.

Measured with Yosys 0.70 on eight 8-bit multiply lanes with 24-bit sums (nextpnr, 25k, grade 6):

| LUT mapper             | LUT4s | Fmax      |
|------------------------|-------|-----------|
| abc9 (`synth_ecp5`)    | 635   | 130.8 MHz |
| abc9, `-nowidelut`     | 654   | 130.4 MHz |
| abc9, `-dff`           | 634   | 130.5 MHz |
| abc                    | 657   | 133.2 MHz |
| abc9, `-noccu2`        | 1162  | 127.0 MHz |

So abc9 is the default for its area; the clocks differ by less than another seed makes. On a whole
accelerator (16 lanes, LSTM of 64 units) it takes 10,010 LUT4s where abc takes 10,415. abc9 has
aborted on designs with many multipliers, so a run that it breaks is repeated with plain abc.
(This Yosys accepts `-abc9` and `-noabc9` and ignores both, so abc is called by hand.)
"""

from dataclasses import dataclass
from pathlib import Path

from ..family.netlist import SynthesizedDesign
from ..nextpnr.yosys import reading, run_yosys
from ..tools.process import Progress, silent
from .netlist import IMPROVEMENTS, improve

MAPPERS = ("abc9", "abc")
"""LUT mappers, the preferred one first."""

MULTIPLEXERS = Path(__file__).parent / "multiplexers.v"


@dataclass(frozen=True, kw_only=True, slots=True)
class Netlist(SynthesizedDesign):
    """A synthesized design.

    ``luts`` is what nextpnr prints as "Total LUT4s": LUT4 + 2 a carry cell (CCU2C) + 6 a
    distributed memory (TRELLIS_DPR16X4: four for the data, two for the write port). Its
    TRELLIS_COMB after packing is some percent more, for the ends of carry chains.
    """

    @property
    def luts(self) -> int:
        """4-input lookup tables."""
        return self.count("LUT4") + 2 * self.count("CCU2C") + 6 * self.count("TRELLIS_DPR16X4")

    @property
    def ffs(self) -> int:
        """Flip-flops."""
        return self.count("TRELLIS_FF")

    @property
    def dsps(self) -> int:
        """18x18 multipliers."""
        return self.count("MULT18X18D")

    @property
    def brams(self) -> int:
        """18-kbit block RAMs."""
        return self.count("DP16KD", "PDPW16KD")


def _script(source: str, top: str, mapper: str, options: tuple[str, ...]) -> str:
    """The Yosys script; file names are relative to the folder that it runs in."""
    synth = " ".join(("synth_ecp5", "-top", top, *options))
    map_luts = {
        "abc9": [f"{synth} -run map_luts:"],
        "abc": ["abc -lut 4:7", "clean", f"{synth} -run map_cells:"],
    }
    # without -purge, abc9 stops at an assertion (rtlil.cc: GetSize) on the whole accelerator
    # where it is cheaper than what abc makes of it (the costs are yosys' own)
    multiplexers = ["muxcover -mux4 -mux8", f"techmap -map {MULTIPLEXERS.name}"]
    steps = [f"{synth} -run begin:map_luts", *multiplexers, "opt_clean -purge"]
    return "\n".join([*reading(source, top), *steps, *map_luts[mapper]])


def synthesize(
    source: str | Path,
    *,
    top: str,
    workdir: Path,
    options: tuple[str, ...] = (),
    mappers: tuple[str, ...] = MAPPERS,
    progress: Progress = silent,
) -> Netlist:
    """Synthesize module ``top``; the result is kept below ``workdir``.

    Parameters
    ----------
    source
        RTLIL text, or a file: RTLIL (``.il``) or Verilog.
    options
        Added to ``synth_ecp5``, such as ``"-nodsp"``.
    mappers
        LUT mappers to try, in this order; the next one is tried when one fails.

    Raises
    ------
    UserError
        No Yosys, or it failed with every mapper; the line names the log.
    """
    if not mappers or not set(mappers) <= set(MAPPERS):
        raise ValueError(f"mappers must be one or more of {MAPPERS}, not {mappers!r}")
    return run_yosys(
        Netlist,
        source,
        top=top,
        workdir=workdir,
        scripts=lambda name: {mapper: _script(name, top, mapper, options) for mapper in mappers},
        files={MULTIPLEXERS.name: MULTIPLEXERS.read_text("utf-8")},
        improve=improve,
        improvements=IMPROVEMENTS,
        progress=progress,
    )
