# SPDX-License-Identifier: Apache-2.0
"""`deltaloom features`: what comes before a network, run on raw data, makes its data set."""

import argparse
from pathlib import Path

from ..terminal.document import write_document
from ..terminal.outputs import check_output


class Features:
    """Runs the `before.onnx` that `deltaloom import` cut off, one sequence at a time."""

    help = "run what import cut off in front of a network on raw data, to make a data set"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "front",
            type=Path,
            metavar="BEFORE",
            help="before.onnx, as `deltaloom import` writes it next to the model",
        )
        parser.add_argument(
            "--data",
            type=Path,
            metavar="D",
            required=True,
            default=argparse.SUPPRESS,
            help="raw sequences as a data set, .npz or .npy; labels, targets and names are kept",
        )
        parser.add_argument(
            "-o",
            "--output",
            type=Path,
            metavar="FILE",
            required=True,
            default=argparse.SUPPRESS,
            help="data set to write, .npz",
        )

    def run(self, args: argparse.Namespace) -> None:
        from ..golden.data import Dataset
        from ..golden.importers.onnx.front import run_front

        check_output(args.output, args.data, args.front)
        made = run_front(args.front, Dataset.load(args.data))
        made.save(args.output)
        print(f"{len(made)} sequences, {made.frames:,} frames of {made.inputs} -> {args.output}")
        figures = {"sequences": len(made), "frames": made.frames, "inputs": made.inputs}
        write_document(args, {**figures, "output": args.output})
