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

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..tools.process import (
    Progress,
    digest,
    failed,
    fresh_folder,
    moved,
    run_tool,
    silent,
    stage_watcher,
)
from ..tools.toolchain import require
from .netlist import IMPROVEMENTS, improve

MAPPERS = ("abc9", "abc")
"""LUT mappers, the preferred one first."""

MULTIPLEXERS = Path(__file__).parent / "multiplexers.v"

_STAGES = (
    ("Executing HIERARCHY pass", "synthesis: reading the design"),
    ("Executing MEMORY_LIBMAP pass", "synthesis: mapping memories"),
    ("Executing SIMPLEMAP pass", "synthesis: mapping flip-flops"),
    ("Executing ABC9 pass", "synthesis: mapping LUTs (abc9)"),
    ("Executing ABC pass", "synthesis: mapping LUTs (abc)"),
    ("Executing AUTONAME pass", "synthesis: naming cells"),
    ("Executing JSON backend", "synthesis: writing the netlist"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Netlist:
    """A synthesized design.

    ``luts`` is what nextpnr prints as "Total LUT4s": LUT4 + 2 a carry cell (CCU2C) + 6 a
    distributed memory (TRELLIS_DPR16X4: four for the data, two for the write port). Its
    TRELLIS_COMB after packing is some percent more, for the ends of carry chains.
    """

    path: Path
    log: Path
    top: str
    mapper: str
    cells: dict[str, int]
    cached: bool = False

    @property
    def luts(self) -> int:
        """4-input lookup tables."""
        return (
            self.cells.get("LUT4", 0)
            + 2 * self.cells.get("CCU2C", 0)
            + 6 * self.cells.get("TRELLIS_DPR16X4", 0)
        )

    @property
    def ffs(self) -> int:
        """Flip-flops."""
        return self.cells.get("TRELLIS_FF", 0)

    @property
    def dsps(self) -> int:
        """18x18 multipliers."""
        return self.cells.get("MULT18X18D", 0)

    @property
    def brams(self) -> int:
        """18-kbit block RAMs."""
        return self.cells.get("DP16KD", 0) + self.cells.get("PDPW16KD", 0)


def _script(source: str, top: str, mapper: str, options: tuple[str, ...]) -> str:
    """The Yosys script; file names are relative to the folder that it runs in."""
    read = f"read_rtlil {source}" if source.endswith(".il") else f"read_verilog -sv {source}"
    synth = " ".join(("synth_ecp5", "-top", top, *options))
    map_luts = {
        "abc9": [f"{synth} -run map_luts:"],
        "abc": ["abc -lut 4:7", "clean", f"{synth} -run map_cells:"],
    }
    # without -purge, abc9 stops at an assertion (rtlil.cc: GetSize) on the whole accelerator
    # our memories never depend on a word that is read while it is written (parts/memory.py), which
    # Amaranth's RTLIL cannot say: without this, yosys builds a bypass around each block RAM
    relax = (
        "setparam -set COLLISION_X_MASK 1'1 "
        "t:$memrd_v2 r:CLK_ENABLE=1 %i r:TRANSPARENCY_MASK=1'0 %i"
    )
    relaxed = ["hierarchy -top " + top, relax] if source.endswith(".il") else []
    # where it is cheaper than what abc makes of it (the costs are yosys' own)
    multiplexers = ["muxcover -mux4 -mux8", f"techmap -map {MULTIPLEXERS.name}"]
    steps = [*relaxed, f"{synth} -run begin:map_luts", *multiplexers, "opt_clean -purge"]
    steps += map_luts[mapper]
    return "\n".join([read, *steps, "write_json netlist.json", ""])


def _finish(folder: Path, top: str) -> dict[str, int]:
    """Improve the netlist that Yosys has written; its cells by type."""
    path = folder / "netlist.json"
    design = json.loads(path.read_text("utf-8"))
    module = design["modules"][top]
    improve(module)
    path.write_text(json.dumps(design), "utf-8")
    counts = Counter(cell["type"] for cell in module["cells"].values())
    return {k: n for k, n in sorted(counts.items()) if not k.startswith("$")}  # no $scopeinfo


def synthesize(
    source: str | Path,
    *,
    top: str,
    workdir: Path,
    family: str = "ecp5",
    options: tuple[str, ...] = (),
    mappers: tuple[str, ...] = MAPPERS,
    progress: Progress = silent,
) -> Netlist:
    """Synthesize module ``top`` for ``family``; the result is kept below ``workdir``.

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
    if family != "ecp5":
        raise ValueError(f"family must be 'ecp5', not {family!r}")
    if not mappers or not set(mappers) <= set(MAPPERS):
        raise ValueError(f"mappers must be one or more of {MAPPERS}, not {mappers!r}")
    tool = require("pyosys")
    text = source.read_text("utf-8") if isinstance(source, Path) else source
    name = "design.v" if isinstance(source, Path) and source.suffix != ".il" else "design.il"
    scripts = {mapper: _script(name, top, mapper, options) for mapper in mappers}
    multiplexers = MULTIPLEXERS.read_text("utf-8")
    recipe = [top, list(scripts.items()), tool.version, IMPROVEMENTS, multiplexers]
    first = workdir / f"synth-{digest(text, recipe)}"
    if (first / "done.json").exists():
        done = json.loads((first / "done.json").read_text("utf-8"))
        return Netlist(
            path=first / "netlist.json",
            log=first / done["log"],
            top=top,
            mapper=done["mapper"],
            cells=done["cells"],
            cached=True,
        )

    with fresh_folder(first) as folder:
        (folder / name).write_text(text, "utf-8")
        (folder / MULTIPLEXERS.name).write_text(multiplexers, "utf-8")
        for mapper in mappers:
            log = folder / f"yosys-{mapper}.log"
            (folder / f"{mapper}.ys").write_text(scripts[mapper], "utf-8")
            code = run_tool(
                [*tool.command, f"{mapper}.ys"],
                log=log,
                environment=tool.environment,
                on_line=stage_watcher(_STAGES, progress),
                cwd=folder,
            )
            # a mapper that aborts has been seen to leave exit code 0 or no netlist: check both
            if code == 0 and (folder / "netlist.json").exists():
                break
            if "Executing ABC" not in log.read_text("utf-8", errors="replace"):
                mapper = mappers[-1]  # it never came to the mapper: another one changes nothing
            if mapper == mappers[-1]:
                raise failed("yosys", code, log, shown=moved(first, log.name))
            progress(f"synthesis: {mapper} failed, trying the next mapper")
        progress("synthesis: improving the netlist")
        cells = _finish(folder, top)
        done = {"mapper": mapper, "log": log.name, "cells": cells}
        (folder / "done.json").write_text(json.dumps(done), "utf-8")
    return Netlist(
        path=first / "netlist.json",
        log=first / log.name,
        top=top,
        mapper=mapper,
        cells=cells,
    )
