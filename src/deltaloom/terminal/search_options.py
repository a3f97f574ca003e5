# SPDX-License-Identifier: Apache-2.0
"""The options of `deltaloom search` that say how to search, for what, and what varies."""

import argparse
import os
from pathlib import Path
from typing import Any

from ..golden.errors import UserError

METHODS = ("sensitivity", "nsga2", "random")
OBJECTIVES = (
    "error, nmse (of the outputs to the float model's, in dB), size (kB), bit-operations (M), "
    "eliminated (operations, percent), cycles, latency (us), energy (nJ, in cells), luts, "
    "flip-flops, multipliers, block-rams, silago-speedup, silago-true-speedup, silago-energy (uJ), "
    "bitfusion-speedup, bitfusion-true-speedup, or FILE.py:FUNCTION"
)
WIDTHS = "2,4,8,16"
NETWORK, SCHEME = "network.safetensors", "scheme.toml"
BEACONS = "beacons"
BEACON_DEFAULTS = {"errors": "1,15", "distance": "5", "epochs": "5"}
"""Of `--beacon-NAME`."""
FRONT, REPORT, LOG = "front.json", "report.html", "evaluations.jsonl"


def add_search(parser: argparse.ArgumentParser) -> None:
    """How to search, for what, and what to pick."""
    parser.add_argument(
        "--method",
        dest="strategy",
        choices=METHODS,
        default=METHODS[0],
        help="sensitivity: each gene alone first, the front if effects added up, then what a "
        "surrogate names; nsga2: pymoo's NSGA-II as in the MOHAQ paper; random",
    )
    parser.add_argument(
        "--objective",
        action="append",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help=f"two or three of {OBJECTIVES}; may be repeated (default: error and size, and of a "
        "network error and eliminated)",
    )
    parser.add_argument(
        "--limit",
        action="append",
        metavar="NAME=VALUE",
        default=argparse.SUPPRESS,
        help="what a value may be at most, or, where more is better, at least, in its unit, such "
        "as error=24 or size=200; may be repeated (default: none)",
    )
    parser.add_argument(
        "--board",
        metavar="NAME",
        default="",
        help="the accelerator must fit this board, by the area estimate",
    )
    parser.add_argument(
        "--evaluations", type=int, metavar="N", default=630, help="candidates that are measured"
    )
    parser.add_argument("--seed", type=int, metavar="N", default=1, help="of all that is random")
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        default=os.cpu_count() or 1,
        help="processes; the result is the same for any number",
    )
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        default=argparse.SUPPRESS,
        help="evaluate on a Dask cluster instead, such as tcp://host:8786 (default: none)",
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument(
        "--pick",
        type=int,
        metavar="N",
        default=argparse.SUPPRESS,
        help=f"write the network of solution N of the front, {NETWORK}, and its {SCHEME} where it "
        "was quantized for it (default: none)",
    )
    chosen.add_argument("--knee", action="store_true", help="the same of the front's knee")


def add_beacons(parser: argparse.ArgumentParser) -> None:
    """Training of a few candidates."""
    group = parser.add_argument_group("beacons (the MOHAQ paper's; need PyTorch)")
    group.add_argument(
        "--beacons",
        type=Path,
        metavar="TRAIN",
        default=argparse.SUPPRESS,
        help="train some candidates on this data, with labels or targets, .npz, and judge others "
        "by the nearest, too (default: nothing is trained)",
    )
    for name, metavar, what in (
        ("errors", "LOW,HIGH", "points over float's error, of candidates that they help"),
        ("distance", "D", "of weight bits, doublings over all paths: farther is not near"),
        ("epochs", "N", "passes over TRAIN for each, at most"),
    ):
        group.add_argument(
            f"--beacon-{name}",
            metavar=metavar,
            default=argparse.SUPPRESS,
            help=f"{what} (default: {BEACON_DEFAULTS[name]})",
        )


def add_genes(parser: argparse.ArgumentParser) -> None:
    """What varies."""
    for what in ("weights", "activations"):
        parser.add_argument(
            f"--{what}",
            metavar="BITS",
            default=argparse.SUPPRESS,
            help=f"widths of {what} to try (default: {WIDTHS}; a network's are fixed)",
        )
    parser.add_argument(
        "--thresholds",
        metavar="N,N,..",
        default=argparse.SUPPRESS,
        help="delta thresholds to try, in 8-bit codes; of other widths the same part of the range "
        "(default: 0; of a network 0,2,4,6,8,12,16,24,32,48)",
    )
    parser.add_argument(
        "--share",
        choices=("path", "layer"),
        default="path",
        help="bits and thresholds for each path, or one for all paths of a layer",
    )
    parser.add_argument(
        "--tied", action="store_true", help="activations have the bits of the weights"
    )
    parser.add_argument(
        "--vary",
        action="append",
        metavar="NAME=V,V,..",
        default=argparse.SUPPRESS,
        help="let another option vary, too: skip=none,all lanes=multiplier,shift_add or "
        "word-bits=128,256; may be repeated (default: none)",
    )


def read_beacons(args: argparse.Namespace) -> dict[str, str] | None:
    """The options of beacons by name, as texts; None where there are none.

    Raises UserError where one is given without `--beacons`.
    """
    if "beacons" in args:
        return {
            name: getattr(args, f"beacon_{name}", default)
            for name, default in BEACON_DEFAULTS.items()
        }
    for name in BEACON_DEFAULTS:
        if f"beacon_{name}" in args:
            raise UserError(f"--beacon-{name}: is for --beacons TRAIN; give both, or none")
    return None


def read_limit(word: str) -> tuple[str, float]:
    """A value's name and limit, from "NAME=VALUE"."""
    name, _, number = word.rpartition("=")
    try:
        return name, float(number)
    except ValueError as error:
        raise UserError(f"--limit {word!r}: expected NAME=VALUE, such as size=200") from error


def read_setting(word: str) -> tuple[str, list[Any]]:
    """A gene of `genes.SETTINGS`, from "NAME=V,V"."""
    name, _, values = word.partition("=")
    known = {"skip": ("none", "all", "part"), "lanes": ("multiplier", "shift_add")}
    if name in ("word-bits", "word_bits"):
        return "word_bits", read_numbers(f"--vary {name}", values)
    words = values.split(",")
    if name not in known or not set(words) <= set(known[name]):
        raise UserError(
            f"--vary {word!r}: expected skip=, lanes= or word-bits= with values, such as "
            "skip=none,all"
        )
    return name, words


def read_numbers(option: str, words: str) -> list[int]:
    """Whole numbers from "N,N,.."."""
    try:
        return [int(word) for word in words.split(",")]
    except ValueError as error:
        raise UserError(f"{option} {words!r}: expected whole numbers, such as 0,8,16") from error
