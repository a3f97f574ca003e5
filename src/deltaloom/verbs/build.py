# SPDX-License-Identifier: Apache-2.0
"""`deltaloom build`: a quantized network in; a bitstream or standard cells out, and figures."""

import argparse
import json
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..golden.errors import UserError
from ..golden.writing import check_folder, replacing, together, write_text
from ..terminal.accelerator_options import (
    add_hardwired,
    add_lanes,
    add_longest,
    add_weight_memory,
    memory_options,
)
from ..terminal.asic import add_asic_options, build_asic, check_asic_options
from ..terminal.boards import boards_json, print_boards
from ..terminal.console import stdout
from ..terminal.document import write_document
from ..terminal.estimates import dense_cycles
from ..terminal.options import add_network
from ..terminal.phases import phase_lines
from ..terminal.tables import print_table

if TYPE_CHECKING:
    from ..boards.board import Board
    from ..boards.flow.report import BuildReport
    from ..hw.config import AcceleratorConfig

REPORT = "report.json"
BOARD = "ulx3s_85f"
SEED = 1
NOT_MET = 1
"""Exit code of a build that is complete but does not reach its clock."""


class Build:
    """Synthesis, place and route, and the bitstream, with the network's image in it."""

    help = "build a board's bitstream, or standard cells, and report area, clock and latency"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        from ..boards.registry import BOARDS

        parser.description = (
            "Builds the accelerator of NET for a board, with the network in the bitstream where "
            "weights are in block RAM and for the host to load where they are in SPRAM (iCE40) or "
            "SDRAM, or with --asic in standard cells, without a network: one is loaded over the "
            "bus. The results are kept in DIR: what is there already is not built again. Exit code "
            f"{NOT_MET} where the clock was not reached."
        )
        add_network(parser)
        parser.add_argument(
            "--board",
            default=argparse.SUPPRESS,
            metavar="BOARD",
            help=f"board to build for: {', '.join(BOARDS)}; see docs/boards.md (default: {BOARD})",
        )
        parser.add_argument(
            "-o",
            "--output",
            type=Path,
            metavar="DIR",
            required=True,
            default=argparse.SUPPRESS,
            help=f"folder for the bitstream, {REPORT}, logs and intermediate results",
        )
        add_weight_memory(parser, clock=False)
        add_longest(parser)
        add_lanes(parser)
        add_hardwired(parser)
        parser.add_argument(
            "--synth-only",
            action="store_true",
            default=argparse.SUPPRESS,
            help="area only: no place and route, no bitstream (default: all)",
        )
        parser.add_argument(
            "--simulated",
            action="store_true",
            default=argparse.SUPPRESS,
            help="only what a simulated board needs, no synthesis: DIR is for `deltaloom board-sim`"
            " and `deltaloom run --port sim` (default: all)",
        )
        parser.add_argument(
            "--baud",
            type=int,
            metavar="B",
            default=argparse.SUPPRESS,
            help="bits a second of the serial line (default: the board's)",
        )
        parser.add_argument(
            "--clock",
            type=float,
            metavar="MHZ",
            default=argparse.SUPPRESS,
            help="the accelerator's clock in MHz (default: the board's; in cells 100)",
        )
        parser.add_argument(
            "--seed",
            type=int,
            default=argparse.SUPPRESS,
            help=f"placement seed; another one moves the clock a bit (default: {SEED})",
        )
        parser.add_argument(
            "--cycles-per-step",
            type=float,
            metavar="C",
            default=argparse.SUPPRESS,
            help="clock cycles of a frame, as `deltaloom simulate` measures them, for the "
            "report's latency (default: as estimated where every element changes, or none)",
        )
        add_asic_options(parser)

    def run(self, args: argparse.Namespace) -> None:
        from rich.markup import escape

        from ..boards.flow.build import build, check_line, check_rates, check_tools, clock_of
        from ..boards.flow.design import BoardDesign
        from ..boards.flow.fits import check_fit
        from ..boards.registry import find_board
        from ..golden.evaluation.networks import load_network
        from ..hw.compiler.fit import derive_config

        clock, cycles = _positive(args, "clock"), _positive(args, "cycles_per_step")
        if check_asic_options(args):
            build_asic(args, clock, cycles)
            return
        check_folder("-o", args.output)
        board = find_board(getattr(args, "board", BOARD))
        baud: int | None = getattr(args, "baud", None)
        check_line(board, baud or board.baud)
        check_rates(board, clock_mhz=clock or board.clock_mhz, baud=baud or board.baud)
        if "simulated" not in args:
            check_tools(board, synth_only="synth_only" in args)
        network = load_network(args.network)
        config = derive_config(
            network,
            lane_kind=args.lanes,
            frames=args.longest,
            **memory_options(args, board, clock_of(board, clock)),
        )
        if "hardwired" in args:
            config = replace(config, hardwired=True, counted=False)
        if "simulated" in args:
            design = BoardDesign.of(network, config, board, clock_mhz=clock, baud=baud)
            design.save(args.output, network)
            print(f"-> {args.output}: for `deltaloom board-sim` and `deltaloom run --port sim`")
            write_document(args, {"output": args.output, "board": board.name})
            return
        estimates = _print_estimates(config, board, synth_only="synth_only" in args)
        check_fit(config, board)
        with phase_lines() as progress:
            report = build(
                network,
                board.name,
                workdir=args.output,
                config=config,
                clock_mhz=clock,
                baud=baud,
                seed=getattr(args, "seed", SEED),
                synth_only="synth_only" in args,
                cycles_per_step=cycles or dense_cycles(network, config),
                progress=progress,
            )
        with together():
            if report.bitstream is not None:
                file = args.output / f"{report.board}{board.suffix}"
                with replacing(file) as temporary:
                    shutil.copyfile(report.bitstream, temporary)
                report = replace(report, bitstream=file)
            write_text(report.to_json(), args.output / REPORT)
        console = stdout()
        print_table(report.table())
        if cycles is None and report.cycles_per_step is not None:
            print(
                "Cycles and latency are the most: those of a frame in which every element changes. "
                "--cycles-per-step takes what evaluate or simulate give for your data."
            )
        for file in (report.bitstream, args.output / REPORT):
            if file is not None:
                console.print(f"-> {escape(str(file))}", soft_wrap=True)
        if report.bitstream is not None:
            print(f"load it: deltaloom flash {args.output}  ({board.program} {report.bitstream})")
        write_document(args, json.loads(report.to_json()) | {"estimates": estimates})
        _check_clock(report)


def _print_estimates(
    config: "AcceleratorConfig", board: "Board", *, synth_only: bool
) -> dict[str, Any]:
    """What is known before anything is built, and how long that will take; as plain data, too."""
    from ..boards.flow.duration import estimate_duration
    from ..boards.flow.families import family_of
    from ..boards.flow.fits import fit_boards

    area, fits = family_of(board).area(config), fit_boards(config)
    duration = estimate_duration(area.luts, board, synth_only=synth_only)
    print(
        f"estimated without the serial bridge: {area.luts:,} LUTs, {area.flip_flops:,} "
        f"flip-flops, {area.block_rams:,} block RAMs, {area.multipliers:,} multipliers",
    )
    print_boards(fits)
    print(duration)
    sys.stdout.flush()
    names = ("luts", "flip_flops", "block_rams", "multipliers")
    return {
        **{name: getattr(area, name) for name in names},
        "boards": boards_json(fits),
        "synthesis_seconds": duration.synthesis,
        "place_and_route_seconds": duration.place_and_route,
    }


def _positive(args: argparse.Namespace, name: str) -> float | None:
    value: float | None = getattr(args, name, None)
    if value is not None and not (math.isfinite(value) and value > 0):
        what = name.replace("_", " ")
        raise UserError(f"{what}: {value!r} is not possible, it must be a number above 0")
    return value


def _check_clock(report: "BuildReport") -> None:
    if report.timing_met is False and report.fmax_mhz is not None:
        slower = math.floor(report.fmax_mhz)
        print(
            f"The clock of {report.clock_mhz:g} MHz is not reached: build with "
            f"--clock {slower}, or try another --seed."
        )
        raise SystemExit(NOT_MET)
