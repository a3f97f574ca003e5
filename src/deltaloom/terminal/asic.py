# SPDX-License-Identifier: Apache-2.0
"""The options of `deltaloom build --asic`, and the work behind them."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..golden.errors import UserError
from ..golden.writing import check_folder, together, write_text
from .console import stdout
from .document import write_document
from .estimates import dense_cycles
from .outputs import report_file, write_report
from .phases import phase_lines

if TYPE_CHECKING:
    from ..boards.asic.report import AsicReport

REPORT = "report.json"
NOT_MET = 1
"""Exit code of a build that is complete but does not reach its clock."""
OF_BOARDS = (
    *("board", "weight_memory", "on_chip_weights", "hardwired"),
    *("synth_only", "simulated", "baud", "seed"),
)
"""Options of the other kind. They have no default, so that they are there only where given."""
OF_ASICS = (
    "liberty", "node", "cell_models", "macros", "macro_bits", "gate_bits", "data", "frames",
    "report",
)  # fmt: skip
FRAMES = 40


def add_asic_options(parser: argparse.ArgumentParser) -> None:
    """`--asic` and what belongs to it."""
    group = parser.add_argument_group("standard cells, see docs/asic.md")
    group.add_argument(
        "--asic",
        action="store_true",
        default=argparse.SUPPRESS,
        help="map to the cells of --liberty instead of a board: netlist, SDC, timing, energy",
    )
    group.add_argument(
        "--liberty",
        metavar="LIB",
        default=argparse.SUPPRESS,
        help="the library: osu018, osu035, osu050, sky130 (area only), or a Liberty file",
    )
    group.add_argument(
        "--node",
        type=float,
        metavar="NM",
        default=argparse.SUPPRESS,
        help="feature size of the process in nm, for the memories' model (default: the library's; "
        "a file needs it)",
    )
    group.add_argument(
        "--cell-models",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="the cells' Verilog (default: the library's, or as the Liberty file's functions say)",
    )
    group.add_argument(
        "--macros",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="Liberty file of memories with the macros' names and ports: their area, energy and "
        "delay (default: a model)",
    )
    group.add_argument(
        "--macro-bits",
        type=int,
        metavar="B",
        default=argparse.SUPPRESS,
        help="memories of more bits are macros, the others flip-flops (default: 2048)",
    )
    group.add_argument(
        "--gate-bits",
        type=int,
        metavar="N",
        default=argparse.SUPPRESS,
        help="N or more flip-flops that hold together get a clock gate; 0: none do (default: 4)",
    )
    group.add_argument(
        "--data",
        type=Path,
        metavar="D",
        default=argparse.SUPPRESS,
        help="sequences to simulate the netlist with, .npz or .npy: every word against golden, "
        "energy by what switches (default: no simulation)",
    )
    group.add_argument(
        "--frames",
        type=int,
        metavar="N",
        default=argparse.SUPPRESS,
        help=f"frames of D, from its first sequences (default: {FRAMES})",
    )
    group.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="write tables and charts to this HTML file, or to none (default: report.html in DIR)",
    )


def check_asic_options(args: argparse.Namespace) -> bool:
    """Whether this is a build for standard cells; UserError for options of the other kind."""
    asic = "asic" in args
    for name in OF_BOARDS if asic else OF_ASICS:
        if name in args:
            option = "--" + name.replace("_", "-")
            way = "leave it out, or --asic" if asic else "add --asic, or leave it out"
            raise UserError(f"{option}: is not of this kind of build; {way}")
    if asic and "liberty" not in args:
        from ..boards.asic.libraries import LIBRARIES

        raise UserError(
            f"--liberty: is missing; name {', '.join(LIBRARIES)} or a Liberty file for --asic"
        )
    return asic


def build_asic(args: argparse.Namespace, clock_mhz: float | None, cycles: float | None) -> None:
    """The build and its report; SystemExit(1) where the clock is not reached."""
    from rich.markup import escape

    from ..boards.asic.build import CLOCK_MHZ, SDC, VERILOG, build_cells, check_tools
    from ..boards.asic.clock_gates import GATE_BITS
    from ..boards.asic.libraries import find_technology
    from ..boards.asic.macro_library import read_macros
    from ..boards.asic.macros import MACRO_BITS
    from ..boards.asic.report import AsicReport
    from ..golden.data import Dataset
    from ..golden.evaluation.networks import load_network
    from ..hw.compiler.fit import derive_config
    from ..sim.frames import choose_frames
    from ..sim.gates.run import check_tools as check_simulator
    from ..sim.gates.run import simulate_gates

    check_folder("-o", args.output)
    args.output.mkdir(parents=True, exist_ok=True)
    page: Path | None = args.output / "report.html"
    if "report" in args:
        page = report_file(args, None, args.output / REPORT)
    technology = find_technology(
        args.liberty,
        workdir=args.output,
        node=getattr(args, "node", None),
        models=getattr(args, "cell_models", None),
    )
    macros = read_macros(args.macros) if "macros" in args else None
    check_tools(technology)
    data: Path | None = getattr(args, "data", None)
    if data is not None:
        check_simulator()
    network = load_network(args.network)
    config = derive_config(
        network,
        word_bits=getattr(args, "word_bits", None),
        lane_kind=args.lanes,
        frames=args.longest,
    )
    frames = None
    if data is not None:
        frames = choose_frames(network, Dataset.load(data), getattr(args, "frames", FRAMES))
    macro_bits = getattr(args, "macro_bits", MACRO_BITS)
    run = None
    with phase_lines() as progress:
        build = build_cells(
            config,
            technology,
            folder=args.output,
            clock_mhz=clock_mhz or CLOCK_MHZ,
            macro_bits=macro_bits,
            gate_bits=getattr(args, "gate_bits", GATE_BITS),
            macros=macros,
            progress=progress,
        )
        if frames is not None:
            progress(f"simulation: {sum(map(len, frames))} frames of the netlist in icarus")
            run = simulate_gates(build, network, frames)
    report = AsicReport.of(
        build,
        macro_bits=macro_bits,
        activity=None if run is None else run.activity,
        words=None if run is None else run.words,
        cycles_per_step=cycles or dense_cycles(network, config),
    )
    with together():
        write_text(report.to_json(), args.output / REPORT)
        if page is not None:
            write_report(page, "build --asic", report.sections(), args.network)
    console = stdout()
    console.print(report.table())
    if run is None and cycles is None:
        print("Cycles and frames a second are those of frames in which every element changes.")
    for name in (VERILOG, SDC, REPORT):
        console.print(f"-> {escape(str(args.output / name))}", soft_wrap=True)
    files = [args.output / name for name in (VERILOG, SDC, REPORT)]
    write_document(args, json.loads(report.to_json()) | {"files": files})
    _check_clock(report)


def _check_clock(report: "AsicReport") -> None:
    if report.timing_met is False and report.fmax_mhz is not None:
        slower = int(report.fmax_mhz)
        print(f"The clock of {report.clock_mhz:g} MHz is not reached: take --clock {slower}.")
        raise SystemExit(NOT_MET)
