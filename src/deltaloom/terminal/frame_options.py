# SPDX-License-Identifier: Apache-2.0
"""The options that say which frames of the data an accelerator runs, for the verbs that do."""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..golden.arithmetic import Ints
    from ..golden.data import Dataset
    from ..golden.evaluation.networks import AnyNetwork


def add_frames(parser: argparse.ArgumentParser) -> None:
    """`--frames`, `--start` and `--sequences`; `read_frames` takes them."""
    parser.add_argument(
        "--frames",
        type=int,
        metavar="N",
        default=200,
        help="frames to run, all sequences together",
    )
    parser.add_argument(
        "--start", type=int, metavar="S", default=0, help="first sequence of D to take, from 0"
    )
    parser.add_argument(
        "--sequences",
        type=int,
        metavar="K",
        default=argparse.SUPPRESS,
        help="sequences to take frames from, of each at most N/K (default: of each at most N/2, "
        "from as many as it takes)",
    )


def read_frames(
    args: argparse.Namespace, network: "AnyNetwork", dataset: "Dataset"
) -> "list[Ints]":
    """The frames as the network's words."""
    from ..sim.frames import choose_frames

    sequences: int | None = getattr(args, "sequences", None)
    return choose_frames(network, dataset, args.frames, start=args.start, sequences=sequences)


def note_shortfall(args: argparse.Namespace, frames: "list[Ints]") -> None:
    """A line on stderr where `read_frames` found fewer than asked for; after all that may fail, so
    that an error is one line.
    """
    from ..sim.frames import shortfall

    line = shortfall(frames, args.frames, getattr(args, "sequences", None))
    if line:
        print(f"note: {line}", file=sys.stderr)
