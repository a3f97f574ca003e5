# SPDX-License-Identifier: Apache-2.0
"""From an accelerator to standard cells: the netlist and all that belongs to it, and its timing."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from ...golden.errors import UserError
from ...golden.writing import write_text
from ...hw.config import AcceleratorConfig
from ..tools.process import Progress, failed, run_tool, silent
from ..tools.toolchain import require
from .clock_gates import GATE_BITS
from .clock_tree import ClockTree, clock_tree
from .energy import EnergyModel, name_of
from .libraries import Technology
from .macro_library import MacroLibrary
from .macros import MACRO_BITS, Macro, MacroModel, liberty, models
from .netlist import Netlist, PartArea, areas, read_netlist
from .synthesis import TOP, synthesize
from .timing import CLOCK, Timing, analyse, sdc

CLOCK_MHZ = 100.0
VERILOG, SDC = f"{TOP}.v", f"{TOP}.sdc"
CELLS, CELL_MODELS = "cells.lib", "cells.v"
MACROS, MACRO_MODELS = "macros.lib", "macros.v"
GIVEN_MACROS = "given_macros.lib"
"""A copy of the user's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AsicBuild:
    """A mapped accelerator.

    Members
    -------
    folder: the files are in it: netlist, SDC, the cells' and the macros' Liberty and Verilog.
    areas: of each component.
    tree: what of the netlist is on the clock, with its gates.
    timing: None for a library that is for area only.
    """

    folder: Path
    technology: Technology
    config: AcceleratorConfig
    clock_mhz: float
    netlist: Netlist
    macros: tuple[Macro, ...]
    model: MacroModel
    areas: dict[str, PartArea]
    tree: ClockTree
    timing: Timing | None

    @property
    def period_ns(self) -> float:
        """Of the clock that was asked for."""
        return 1000 / self.clock_mhz

    @property
    def sources(self) -> tuple[str, ...]:
        """The files of a simulation, in the folder."""
        return (VERILOG, CELL_MODELS, *([MACRO_MODELS] if self.macros else []))

    @property
    def macro_paths(self) -> tuple[str, ...]:
        """Each macro in the netlist, PATH.INSTANCE."""
        kinds = {macro.name for macro in self.macros}
        return tuple(
            name_of(self.netlist.path(module), instance.name)
            for module, instance in self.netlist.cells()
            if instance.kind in kinds
        )

    def energy(self) -> EnergyModel:
        """What switching costs in it."""
        if self.timing is None:
            raise ValueError("an area-only library has no energies")
        return EnergyModel(
            self.netlist,
            self.technology.library,
            slews=self.timing.slews,
            macros=self.macros,
            model=self.model,
            tree=self.tree,
        )


def check_tools(technology: Technology) -> None:
    """UserError when a program that the build runs is missing."""
    for tool in ("pyosys", *(["opensta"] if technology.library.timed else [])):
        require(tool)


def build_cells(
    config: AcceleratorConfig,
    technology: Technology,
    *,
    folder: Path,
    clock_mhz: float = CLOCK_MHZ,
    macro_bits: int = MACRO_BITS,
    gate_bits: int = GATE_BITS,
    macros: MacroLibrary | None = None,
    progress: Progress = silent,
) -> AsicBuild:
    """Map the accelerator to the library's cells, and find the clock that it reaches.

    Parameters
    ----------
    folder
        Where the results go, and what is kept: the same again costs next to nothing.
    macro_bits
        A memory of more bits, and of 16 words or more, is a macro; others are flip-flops.
    gate_bits
        So many flip-flops that hold together, or more, get a clock gate; 0: none do.
    macros
        Memories that it has are as it says, the others as the model does.

    Raises
    ------
    UserError
        A tool is missing or failed, or the library lacks cells. A missed clock is no error.
    """
    check_tools(technology)
    if macro_bits < 1:
        raise UserError(f"macro-bits: {macro_bits} is not possible, it must be at least 1")
    if gate_bits < 0:
        raise UserError(f"gate-bits: {gate_bits} is not possible, it must be at least 0")
    library, period_ns = technology.library, 1000 / clock_mhz
    folder.mkdir(parents=True, exist_ok=True)
    done = synthesize(
        config,
        library,
        macro_bits=macro_bits,
        gate_bits=gate_bits,
        workdir=folder,
        progress=progress,
    )
    known = macros.cells if macros else {}
    model = MacroModel(node=technology.node, voltage=library.voltage, known=known)
    netlist = read_netlist(done.netlist, library)
    tree = clock_tree(netlist, library, CLOCK)
    write_text(netlist.verilog(), folder / VERILOG)
    write_text(sdc(netlist, library, period_ns, tree), folder / SDC)
    write_text(library.source.read_text("utf-8", errors="replace"), folder / CELLS)
    if done.macros:
        write_text(liberty(done.macros, model, library), folder / MACROS)
        write_text(models(done.macros), folder / MACRO_MODELS)
    _cell_models(technology, folder)
    timing = None
    if library.timed:
        files = {"cells": CELLS, "netlist": VERILOG, "sdc": SDC}
        files["macros"] = MACROS if any(m.name not in known for m in done.macros) else ""
        if macros is not None:
            write_text(macros.file.read_text("utf-8", errors="replace"), folder / GIVEN_MACROS)
            files["given"] = GIVEN_MACROS
        timing = analyse(
            netlist, library, folder, files=files, period_ns=period_ns, progress=progress
        )
    return AsicBuild(
        folder=folder,
        technology=technology,
        config=config,
        clock_mhz=clock_mhz,
        netlist=netlist,
        macros=done.macros,
        model=model,
        areas=areas(netlist, library, {m.name: model.area(m) for m in done.macros}, tree.gated),
        tree=tree,
        timing=timing,
    )


def _cell_models(technology: Technology, folder: Path) -> None:
    """The cells' Verilog: their own, or what Yosys makes of the functions in the Liberty file."""
    if technology.models is not None:
        try:
            shutil.copyfile(technology.models, folder / CELL_MODELS)
        except OSError as error:
            raise UserError(
                f"{technology.models}: {error.strerror}; name the cells' Verilog"
            ) from error
        return
    tool, log = require("pyosys"), folder / "cells.log"
    script = f"read_liberty {CELLS}\nproc\nwrite_verilog -noattr {CELL_MODELS}\n"
    (folder / "cells.ys").write_text(script, "utf-8")
    log.unlink(missing_ok=True)
    code = run_tool(
        [*tool.command, "cells.ys"],
        log=log,
        environment=tool.environment,
        on_line=lambda line: None,
        cwd=folder,
    )
    if code or not (folder / CELL_MODELS).exists():
        raise failed("yosys", code, log, shown=log)
