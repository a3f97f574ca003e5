# SPDX-License-Identifier: Apache-2.0
"""The options of verbs that take a float model, to quantize it, or a network that is quantized."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ..golden.errors import UserError
from .console import print_warning
from .scheme_options import INTEGER_LSTM

if TYPE_CHECKING:
    from ..golden.data import Dataset
    from ..golden.evaluation.networks import AnyFloat, AnyNetwork


def add_model_or_network(parser: argparse.ArgumentParser) -> None:
    """The first argument, and `--model` of a network."""
    parser.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help="float model that `deltaloom import` wrote, or a network of either kind, whose "
        "thresholds alone vary",
    )
    parser.add_argument(
        "--model",
        dest="beside",
        type=Path,
        metavar="MODEL",
        default=argparse.SUPPRESS,
        help="the float model to compare a network with (default: none)",
    )


def add_calibration(parser: argparse.ArgumentParser) -> None:
    """`--data`, which a float model needs; `read_calibration` reads it."""
    parser.add_argument(
        "--data",
        type=Path,
        metavar="D",
        default=argparse.SUPPRESS,
        help="typical sequences to calibrate on, .npz or .npy; labels are not needed; for a float "
        "model, which needs it (default: none)",
    )


def read_calibration(args: argparse.Namespace) -> "Dataset":
    """What to calibrate a float model on. Raises UserError where it is missing."""
    from ..golden.data import Dataset

    if "data" not in args:
        raise UserError(
            f"--data: is missing; {args.model} is a float model, name sequences to calibrate on"
        )
    return Dataset.load(args.data)


def read_reference(args: argparse.Namespace, name: str = "model") -> "AnyFloat | None":
    """The float model that `--model` names, the argument `name`; None without one.

    Raises UserError where the file holds anything else.
    """
    from ..golden.evaluation.networks import check_float, load_float

    if name not in args:
        return None
    file = getattr(args, name)
    check_float("--model", file)
    return load_float(file)


def warn_of_pair(network: "AnyNetwork", model: "AnyFloat | None") -> None:
    """Print a warning where the network's layers are not the model's.

    Raises UserError where the inputs or the outputs are not even as many.
    """
    from ..golden.evaluation.pairs import check_pair, pair_warnings

    if model is not None:
        check_pair(network, model)
        for line in pair_warnings(network, model):
            print_warning(line)


def refuse_reference(args: argparse.Namespace) -> None:
    """Raise UserError for `--model` beside a float model."""
    if "beside" in args:
        raise UserError(f"--model: {args.model} is a float model itself; leave it out")


def refuse_calibration(args: argparse.Namespace, *names: str) -> None:
    """Raise UserError for options of what is quantized already; names: of arguments."""
    for name in names:
        if name in args:
            refuse_quantized(args, f"--{name}")


def refuse_quantized(args: argparse.Namespace, option: str) -> NoReturn:
    """Raise UserError: an option of what is quantized already."""
    raise UserError(f"{option}: {args.model} is quantized already; leave it out")


def refuse_float_network(args: argparse.Namespace, name: str) -> NoReturn:
    """Raise UserError: an option that a float LSTM network has not."""
    raise UserError(
        f"{name}: {args.model} holds a float LSTM network, which no cell covers; give --scheme "
        f"{INTEGER_LSTM} alone"
    )
