# SPDX-License-Identifier: Apache-2.0
"""`deltaloom board-sim`: a board as a program, behind a pseudo-terminal."""

import argparse
from dataclasses import asdict
from pathlib import Path

from ..golden.errors import UserError
from ..terminal.document import write_document
from ..terminal.progress import stage_lines


class BoardSim:
    """Simulates a build's board until it is interrupted; hosts open its port like a board's."""

    help = "simulate the board of a build in Verilator, behind a pseudo-terminal"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.description = (
            "Runs the board's top level, serial line included, in Verilator, and prints the port "
            "that a host opens in place of the board's. Ends with Ctrl-C. See docs/host.md."
        )
        parser.add_argument(
            "build",
            type=Path,
            metavar="BUILD",
            help="folder of a `deltaloom build`; --simulated is enough",
        )
        parser.add_argument(
            "--clocks-per-bit",
            type=int,
            metavar="N",
            default=8,
            help="clock cycles of a bit on the serial line, 8 or more; a board's own are its clock "
            "divided by its baud rate, and slower to simulate",
        )
        parser.add_argument(
            "--noise",
            type=float,
            metavar="P",
            default=0.0,
            help="chance, 0 to below 1, that a byte on the line is lost, doubled, swapped or "
            "changed",
        )
        parser.add_argument("--seed", type=int, default=1, help="seed of the noise")

    def run(self, args: argparse.Namespace) -> None:
        from ..sim.board.build import SimulatedBoard, build_board

        if args.clocks_per_bit < 8:
            raise UserError(
                f"--clocks-per-bit: {args.clocks_per_bit} is not possible, it must be at least 8"
            )
        with stage_lines() as progress:
            program = build_board(args.build, clocks_per_bit=args.clocks_per_bit, progress=progress)
        board = SimulatedBoard(program, noise=args.noise, seed=args.seed)
        try:
            print(board.port, flush=True)
            board.wait()
        except KeyboardInterrupt:
            pass
        finally:
            figures = board.close()
        if figures is None:
            raise UserError("the simulated board ended by itself; what it said is above")
        print(
            f"{figures.cycles:,} cycles; {figures.to_board:,} bytes to the board, "
            f"{figures.from_board:,} from it, {figures.damaged:,} of them damaged"
        )
        write_document(args, {"port": board.port, **asdict(figures)})
