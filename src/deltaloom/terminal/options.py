# SPDX-License-Identifier: Apache-2.0
"""Options that several verbs have, each declared once."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..golden.evaluation.metrics import Metric

METRICS = "frame, phone, sequence-last, sequence-mean, nmse, cross-entropy, perplexity"


def add_data(parser: argparse.ArgumentParser, what: str) -> None:
    """`--data`, required; `what`: what the verb takes the sequences for."""
    parser.add_argument(
        "--data",
        type=Path,
        metavar="D",
        required=True,
        default=argparse.SUPPRESS,
        help=f"{what}, .npz or .npy",
    )


def add_network(parser: argparse.ArgumentParser) -> None:
    """The quantized network, the first argument."""
    parser.add_argument(
        "network", type=Path, metavar="NET", help="network that `deltaloom quantize` wrote"
    )


def add_metrics(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """`--metric` and `--fold`; several: `--metric` may be repeated."""
    parser.add_argument(
        "--metric",
        action="append" if several else "store",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help=f"what the error is: {METRICS}, or FILE.py:FUNCTION, called with the data set and "
        "the outputs; " + ("may be repeated; " if several else "") + "(default: that of the "
        "data's task, frame or nmse)",
    )
    parser.add_argument(
        "--fold",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="for the phone error, lines LABEL SCORED_AS, or LABEL alone to leave it out "
        "(default: every label is a phone)",
    )


def read_metrics(args: argparse.Namespace) -> "tuple[Metric, ...]":
    """The metrics that `--metric` and `--fold` name, none where neither is given."""
    from ..golden.errors import UserError
    from ..golden.evaluation.metrics import find_metric, read_fold

    chosen = getattr(args, "metric", [])
    names = [chosen] if isinstance(chosen, str) else chosen
    fold = read_fold(args.fold) if "fold" in args else None
    if fold is not None and "phone" not in names:
        raise UserError("--fold: only for --metric phone; give both")
    return tuple(find_metric(name, fold if name == "phone" else None) for name in names)
