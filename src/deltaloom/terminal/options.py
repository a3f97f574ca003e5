# SPDX-License-Identifier: Apache-2.0
"""Options that several verbs have, each declared once."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..golden.errors import UserError

if TYPE_CHECKING:
    from ..golden.evaluation.metrics import Metric
    from ..golden.evaluation.networks import N

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


def add_model(parser: argparse.ArgumentParser) -> None:
    """The float model, the first argument."""
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="float model that `deltaloom import` wrote"
    )


def add_thresholds(parser: argparse.ArgumentParser) -> None:
    """`--threshold`, which may be repeated; `read_thresholds` reads it."""
    parser.add_argument(
        "--threshold",
        action="append",
        metavar="N|PATH=N",
        default=argparse.SUPPRESS,
        help="delta threshold of all paths, or of one, in activation codes; may be repeated, "
        "the last one counts (default: as in NET)",
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
    from ..golden.evaluation.metrics import find_metric, read_fold

    chosen = getattr(args, "metric", [])
    names = [chosen] if isinstance(chosen, str) else chosen
    fold = read_fold(args.fold) if "fold" in args else None
    if fold is not None and "phone" not in names:
        raise UserError("--fold: only for --metric phone; give both")
    return tuple(find_metric(name, fold if name == "phone" else None) for name in names)


def set_thresholds(network: "N", words: list[str]) -> "N":
    """The network with thresholds from words "N" (all paths) or "PATH=N", in this order."""
    from ..golden.evaluation.thresholds import uniform_thresholds

    for word in words:
        name, equals, number = word.rpartition("=")
        try:
            value = int(number)
        except ValueError as error:
            raise UserError(
                f"threshold {word!r}: {number!r} is not a whole number; give N or PATH=N"
            ) from error
        if equals:
            network = cast("N", network.with_thresholds({name: value}))
        else:
            network = uniform_thresholds(network, value)
    return network
