# SPDX-License-Identifier: Apache-2.0
"""The options that say how to quantize, for the verbs that do."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..golden.errors import UserError
from .options import add_metrics

if TYPE_CHECKING:
    from ..golden.quantization.scheme import Scheme

WIDTHS = range(2, 17)
AUTO = "auto"
"""The scheme whose bits are found."""
INTEGER_LSTM = "integer-lstm"
"""The scheme that is a recipe of its own, `golden.integer_lstm.recipe`."""
SKIP = (
    "recurrent layers whose candidate gate (LSTM g, GRU n, LiGRU a) keeps a recurrent path of "
    "16/16 bits: none, all, or the first half of them, rounded up"
)
DELTA_MODE = (
    "what an element that fires sends: the difference to what it sent before, or the signed power "
    "of two nearest to that, one term for shift_add lanes; the rest stays for later steps, so that "
    "threshold 0 is no longer lossless"
)
CODES = (
    "activation codes about 0, or from the lowest to the highest value, with a zero point; auto: "
    "the latter up to 4 bits"
)
ROUNDING = (
    "each weight to its nearest code, that with the bias corrected by what products are off on "
    "average, or so that a path's errors cancel on the data; auto: the last up to 4 bits, else the "
    "first"
)
INPUT_SCALE = (
    "a scale for each input feature; auto: where their ranges differ 8 times or more and the "
    "products lose less"
)
CHOICES = {
    "granularity": (("row", "tensor"), "one weight scale per row, or one per gate matrix", "row"),
    "activation-range": (
        ("all", "median"),
        "the range is for the values of all sequences together, or the median of each one's",
        "all",
    ),
    "activation-codes": (("auto", "symmetric", "asymmetric"), CODES, "auto"),
    "rounding": (("auto", "nearest", "corrected", "gptq"), ROUNDING, "auto"),
    "delta-mode": (("exact", "power_of_two"), DELTA_MODE, "exact"),
    "input-scale": (
        ("auto", "none", "feature"),
        INPUT_SCALE,
        "auto",
    ),
    "skip": (
        ("none", "all", "part"),
        SKIP,
        "none; presets: all",
    ),
}
CLIPPING = "mmse (least squared error), paper (the same by a histogram), max or percentile:P"


def add_scheme(parser: argparse.ArgumentParser) -> None:
    """All of them."""
    parser.add_argument(
        "--scheme",
        metavar="NAME|FILE.toml",
        default=argparse.SUPPRESS,
        help="bits of all paths by name, 16-bit, 8-bit, 4-bit or M1 to M8 of the paper, or a file "
        "of settings, see docs/quantization.md, or auto: the smallest bits of each path that keep "
        "--target-error; other options come on top; or integer-lstm, the integer-only LSTM that "
        "LiteRT runs, see docs/integer-lstm.md (default: none)",
    )
    add_target(parser)
    add_bits(parser)
    add_method(parser)
    parser.add_argument(
        "--path",
        action="append",
        metavar="NAME=W/A",
        default=argparse.SUPPRESS,
        help="weight and activation bits of one path, such as lstm.1.h=4/8, or of some of its "
        "gates, lstm.1.h.g=16/16, which become a path of their own; may be repeated "
        "(default: --weight-bits/--activation-bits)",
    )


def add_target(parser: argparse.ArgumentParser) -> None:
    """What `--scheme auto` has to keep, and on what data."""
    parser.add_argument(
        "--target-error",
        type=float,
        metavar="X",
        default=argparse.SUPPRESS,
        help="for --scheme auto. From 0 on: the error allowed over the float model's, in points of "
        "the metric, with labels or targets. Below 0: the most NMSE against the float model's "
        "outputs in dB, such as -30, for which no labels are needed (default: none)",
    )
    parser.add_argument(
        "--tune-data",
        type=Path,
        metavar="T",
        default=argparse.SUPPRESS,
        help="sequences that the error of --scheme auto is taken on, .npz or .npy (default: those "
        "of --data)",
    )
    add_metrics(parser)


def add_bits(parser: argparse.ArgumentParser) -> None:
    """One width for all weights, one for all activations."""
    for what, help in (
        ("weight", "bits of a weight"),
        ("activation", "bits of what enters a matrix-vector product"),
    ):
        parser.add_argument(
            f"--{what}-bits",
            type=int,
            choices=WIDTHS,
            metavar="2..16",
            default=argparse.SUPPRESS,
            help=f"{help}; the hardware has 2, 4, 8 and 16 (default: 8)",
        )


def add_method(parser: argparse.ArgumentParser, name: str = "--method") -> None:
    """How values are cut and rounded; name: of the option that sets all of it."""
    parser.add_argument(
        name,
        dest="method",
        choices=("auto", "paper", "row", "gptq"),
        default=argparse.SUPPRESS,
        help="all of the following but --skip at once: what measured best for the bits, as the "
        "paper does, a scale per row, or that and GPTQ rounding (default: auto)",
    )
    for rule, what, default in (
        ("clipping", "weights", "mmse"),
        ("activation-clipping", "activations", "as --clipping"),
    ):
        parser.add_argument(
            f"--{rule}",
            metavar="RULE",
            default=argparse.SUPPRESS,
            help=f"where {what} are cut: {CLIPPING} (default: {default})",
        )
    for choice, (choices, help, default) in CHOICES.items():
        parser.add_argument(
            f"--{choice}",
            choices=choices,
            default=argparse.SUPPRESS,
            help=f"{help} (default: {default})",
        )


def refuse_options(args: argparse.Namespace, scheme: str) -> None:
    """Raise UserError where an option is given besides a scheme that has none."""
    refuse_method(args, scheme)
    names = ("weight-bits", "activation-bits", "path", "target-error", "tune-data")
    for name in (*names, "metric", "fold"):
        if name.replace("-", "_") in args:
            raise UserError(f"--{name}: --scheme {scheme} settles it; leave it out")


def refuse_method(args: argparse.Namespace, scheme: str) -> None:
    """Raise UserError where one of `add_method` is given besides a scheme that has none."""
    for option in method_options(args):
        raise UserError(f"{option}: --scheme {scheme} settles it; leave it out")


def method_options(args: argparse.Namespace) -> list[str]:
    """Those of `add_method` that are given."""
    names = ("method", "clipping", "activation-clipping", *CHOICES)
    return [f"--{name}" for name in names if name.replace("-", "_") in args]


def read_options(args: argparse.Namespace, scheme: str = "") -> "Scheme":
    """The scheme that the options describe; scheme: the name of one, in place of `--scheme`."""
    from ..golden.quantization.presets import method, read_scheme
    from ..golden.quantization.scheme import Scheme

    names = ("weight-bits", "activation-bits", "clipping", "activation-clipping", *CHOICES)
    fields = [name.replace("-", "_") for name in names]
    given: dict[str, Any] = dict(method(args.method)) if "method" in args else {}
    given.update({name: getattr(args, name) for name in fields if name in args})
    if "path" in args:
        given["overrides"] = dict(map(_read_bits, args.path))
    name = scheme or getattr(args, "scheme", AUTO)
    return Scheme(**given) if name == AUTO else read_scheme(name, **given)


def read_widths(option: str, words: str) -> list[int]:
    """Numbers of bits, rising, from words such as "2-16" or "2,4,8"."""
    widths: set[int] = set()
    for word in words.split(","):
        first, dash, last = word.partition("-")
        if not first.isdecimal() or not (last if dash else first).isdecimal():
            raise UserError(f"{option} {words!r}: expected widths such as 2-16, 8 or 2,4,8")
        widths.update(range(int(first), int(last or first) + 1))
    if not widths or not widths <= {*WIDTHS}:
        raise UserError(
            f"{option} {words!r}: widths must be within {WIDTHS[0]}..{WIDTHS[-1]}, at least one"
        )
    return sorted(widths)


def read_target(args: argparse.Namespace) -> float | None:
    """What `--scheme auto` has to keep; None for any other scheme.

    Raises UserError for options that do not go together.
    """
    if getattr(args, "scheme", None) != AUTO:
        for name in ("target_error", "tune_data", "metric", "fold"):
            if name in args:
                option = f"--{name.replace('_', '-')}"
                raise UserError(f"{option}: only for --scheme {AUTO}; leave it out, or give that")
        return None
    for name in ("weight_bits", "activation_bits"):
        if name in args:
            raise UserError(
                f"--{name.replace('_', '-')}: --scheme {AUTO} finds the bits; leave one of them "
                "out, or give single paths theirs by --path"
            )
    if "target_error" not in args:
        raise UserError(
            f"--scheme {AUTO}: needs --target-error X: points over the float model's error, such "
            "as 0.5, or dB of NMSE to it, such as -30"
        )
    return float(args.target_error)


def _read_bits(word: str) -> tuple[str, tuple[int, int]]:
    """A path's name, and its weight and activation bits, from "NAME=W/A"."""
    from ..golden.quantization.presets import parse_bits

    name, _, numbers = word.rpartition("=")
    bits = parse_bits(numbers)
    if not name or bits is None:
        raise UserError(f"--path {word!r}: expected NAME=W/A, such as lstm.1.h=4/8")
    return name, bits
