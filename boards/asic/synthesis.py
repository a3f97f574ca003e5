# SPDX-License-Identifier: Apache-2.0
"""Synthesis to standard cells with Yosys: RTLIL in, a JSON netlist of the library's cells out.

The components of the accelerator (its direct parts, and those of its core) stay modules, so that
area and energy are known by component; constants and unused signals pass their borders all the same
(`opt_hier`). Registers have no initial value: on a chip a reset brings them to it.

Measured with Yosys 0.70 and osu018 on an IndRNN of 3 units (30,000 cells, 4 memories as macros;
clock by OpenSTA before placement):

| abc's commands between `strash` and `buffer; upsize; dnsize` | um^2      | Fmax      | CPU  |
|--------------------------------------------------------------|-----------|-----------|------|
| its own: `&fraig; scorr; dc2; dretime; &dch; &nf`            | 1,298,838 | 148.6 MHz | 21 s |
| `dc2; &dch; &nf`                                             | 1,294,444 | 146.7 MHz | 14 s |
| `&dch; &nf`                                                  | 1,336,032 | 212.8 MHz | 13 s |
| `&nf` (`MAPPING`)                                            | 1,380,081 | 220.6 MHz | 12 s |

What restructures the logic undoes the fast carries that Yosys made, and may take apart the gate by
which a reset is the last to decide, so that a simulation from X never gets out of X.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil  # type: ignore[attr-defined]  # the stubs lack it

from ...golden.errors import UserError
from ...hw.accelerator import Accelerator
from ...hw.bus.axi import flat_ports
from ...hw.config import AcceleratorConfig
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
from .clock_gates import BLACK_BOX, BOX, GATE_BITS, find_gate
from .library import Library
from .macros import Macro, MacroPlatform, black_boxes
from .stillness import REVISION, STILL_BITS, add_enables

TOP = "deltaloom"
CORE = f"{TOP}.core"
NETLIST = "netlist.json"
FLIP_FLOPS = "-cell $_DFF_P_ x -cell $_DFFE_PP_ x -cell $_SDFF_PP?_ x -cell $_SDFFE_PP?P_ x"
"""Those that enables are added to."""
GATES = "gates.json"
"""The design of single-bit cells in front of the mapping, to which enables are added."""
MAPPING = "+strash;&get,-n;&nf;&put"
SIZING = ";buffer;upsize;dnsize"
"""abc's commands: the mapping, and for libraries with delays what sizes and buffers."""

_STAGES = (
    ("Executing PROC pass", "synthesis: processes"),
    ("Executing MEMORY_MAP pass", "synthesis: small memories to flip-flops"),
    ("Executing TECHMAP pass", "synthesis: arithmetic to gates"),
    ("Executing CLOCKGATE pass", "synthesis: clock gates"),
    ("Executing DFFLIBMAP pass", "synthesis: mapping flip-flops"),
    ("Executing ABC pass", "synthesis: mapping gates (abc)"),
    ("Executing JSON backend", "synthesis: writing the netlist"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Synthesized:
    """What Yosys wrote: its JSON netlist, and the macros in it."""

    netlist: Path
    log: Path
    macros: tuple[Macro, ...]


def elaborate(config: AcceleratorConfig, *, macro_bits: int) -> tuple[str, tuple[Macro, ...]]:
    """The accelerator without an image, as RTLIL, and its macros."""
    accelerator = Accelerator(config)
    platform = MacroPlatform(macro_bits)
    text = rtlil.convert(
        accelerator, name=TOP, ports=flat_ports(accelerator), emit_src=False, platform=platform
    )
    return text, tuple(sorted(platform.macros))


def components(text: str) -> list[str]:
    """The modules that stay: the top's direct parts but the core, and the core's."""
    names = re.findall(r"^module \\(\S+)$", text, re.MULTILINE)
    direct = re.compile(rf"{re.escape(TOP)}(\.core)?\.[^.]+")
    return [name for name in names if direct.fullmatch(name) and name != CORE]


def synthesize(
    config: AcceleratorConfig,
    library: Library,
    *,
    macro_bits: int,
    gate_bits: int = GATE_BITS,
    workdir: Path,
    progress: Progress = silent,
) -> Synthesized:
    """Map the accelerator to the library's cells; the result is kept below `workdir`.

    Parameters
    ----------
    macro_bits
        A memory of more bits becomes a macro.
    gate_bits
        So many flip-flops that hold together, or more, get a clock gate; 0: none do.

    Raises
    ------
    UserError
        No Yosys, or it failed; the line names the log.
    """
    tool = require("pyosys")
    progress("elaborating the design")
    text, macros = elaborate(config, macro_bits=macro_bits)
    gate = find_gate(library) if gate_bits else None
    front, back = _scripts(components(text), library, gate_bits if gate else 0)
    constraints = _abc_constraints(library)
    boxes = black_boxes(macros) + (BLACK_BOX if gate else "")
    gates = gate.verilog if gate else ""
    liberty = library.source.read_text("utf-8", errors="replace")
    revision = f"{REVISION}" if gate else ""
    parts = text, front, back, constraints, boxes, gates, liberty, revision, tool.version
    done = workdir / f"asic-{digest(*parts)}"
    if not (done / NETLIST).exists():
        with fresh_folder(done) as folder:
            files = {
                "design.il": text,
                "macros.v": boxes,
                "gates.v": gates,
                "cells.lib": liberty,
                "abc.constr": constraints,
                "front.ys": front,
                "back.ys": back,
            }
            for name, content in files.items():
                (folder / name).write_text(content, "utf-8")
            log = folder / "yosys.log"
            for script, result in (("front.ys", GATES), ("back.ys", NETLIST)):
                code = run_tool(
                    [*tool.command, script],
                    log=log,
                    environment=tool.environment,
                    on_line=stage_watcher(_STAGES, progress),
                    cwd=folder,
                )
                if code or not (folder / result).exists():
                    raise failed("yosys", code, log, shown=moved(done, log.name))
                if gate and result == GATES:
                    progress("synthesis: enables of what is still")
                    design = json.loads((folder / GATES).read_text("utf-8"))
                    add_enables(
                        design, top=TOP, gate_bits=gate_bits, bits=max(gate_bits, STILL_BITS)
                    )
                    (folder / GATES).write_text(json.dumps(design), "utf-8")
            (folder / GATES).unlink()
    _check(done / NETLIST, library, macros)
    return Synthesized(netlist=done / NETLIST, log=done / "yosys.log", macros=macros)


def _scripts(parts: Sequence[str], library: Library, gate_bits: int) -> tuple[str, str]:
    """The Yosys scripts, up to single-bit cells and from there on; file names are relative to the
    folder that they run in."""
    plain = [f"dfflegalize {FLIP_FLOPS}", "opt_merge", "opt_clean -purge"]
    # A reset is a value at the input, and an enable, before the enables become gates.
    gating = [
        "dfflegalize -cell $_DFFE_PP_ x -cell $_DFF_P_ x",
        "opt_merge",
        "opt_clean -purge",
        f"clockgate -pos {BOX} ce:clk:gclk -min_net_size {gate_bits}",
    ]
    unused = " ".join(
        f"-dont_use {cell.name}" for cell in library.cells.values() if not cell.usable
    )
    mapping = MAPPING + SIZING if library.timed else MAPPING
    # Amaranth cannot say that no memory depends on a word that is read while it is written.
    relax = (
        "setparam -set COLLISION_X_MASK 1'1 "
        "t:$memrd_v2 r:CLK_ENABLE=1 %i r:TRANSPARENCY_MASK=1'0 %i"
    )
    front = [
        "read_rtlil design.il",
        "read_verilog -lib macros.v",
        f"hierarchy -top {TOP}",
        "setattr -unset init w:*",
        relax,
        *(f"setattr -mod -set keep_hierarchy 1 {part}" for part in parts),
        f"synth -top {TOP} -flatten -hieropt -run begin:fine",
        f"synth -top {TOP} -noabc -run fine:check",
        "setattr -unset init w:*",
        *(plain if gate_bits else []),
        f"write_json {GATES}",
    ]
    back = [
        f"read_json {GATES}",
        *(gating if gate_bits else []),
        f"dfflibmap {unused} -liberty cells.lib",
        "opt -purge",
        f"abc -script {mapping} {unused} -liberty cells.lib -constr abc.constr",
        "setundef -zero",
        *(["techmap -map gates.v"] if gate_bits else []),
        "opt_clean -purge",
        f"write_json {NETLIST}",
    ]
    return "\n".join(front) + "\n", "\n".join(back) + "\n"


def _abc_constraints(library: Library) -> str:
    """What drives the inputs and loads the outputs of what abc maps: the library's inverter."""
    inverter = library.smallest(1)
    load = next(pin for pin in inverter.pins.values() if pin.direction == "input").capacitance
    return f"set_driving_cell {inverter.name}\nset_load {4 * load * 1e15:.3f}\n"


def _check(netlist: Path, library: Library, macros: Sequence[Macro]) -> None:
    """UserError where something is left that the library has no cell for."""
    modules = json.loads(netlist.read_text("utf-8"))["modules"]
    known = {*library.cells, *modules, *(macro.name for macro in macros)}
    left = {
        cell["type"]
        for module in modules.values()
        for cell in module["cells"].values()
        if cell["type"] not in known and cell["type"] != "$scopeinfo"
    }
    if left:
        raise UserError(
            f"{library.source}: synthesis found no cells for {', '.join(sorted(left))}; "
            "take a library with flip-flops and a full set of gates"
        )
