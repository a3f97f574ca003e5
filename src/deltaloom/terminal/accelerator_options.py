# SPDX-License-Identifier: Apache-2.0
"""The options that say what accelerator a network gets, for the verbs that make one."""

import argparse


def add_word_bits(parser: argparse.ArgumentParser) -> None:
    """The option --word-bits, the same in every verb that makes an accelerator."""
    parser.add_argument(
        "--word-bits",
        type=int,
        metavar="W",
        default=256,
        help="bits of a weight word, one of which is read every cycle; "
        "W / weight bits products are done at once",
    )


def add_longest(parser: argparse.ArgumentParser) -> None:
    """The option --longest, the same in every verb that makes an accelerator to be used."""
    parser.add_argument(
        "--longest",
        type=int,
        metavar="N",
        default=128,
        help="frames of the longest sequence; only a network with backward layers must keep them",
    )


def add_hardwired(parser: argparse.ArgumentParser) -> None:
    """The option --hardwired, the same in every verb that makes an accelerator for one network."""
    parser.add_argument(
        "--hardwired",
        action="store_true",
        help="put the network into the logic, all but its weights and thresholds, and leave out "
        "the counters: smaller, and no other network can be loaded",
    )


def add_lanes(parser: argparse.ArgumentParser) -> None:
    """The option --lanes, the same in every verb that makes an accelerator."""
    parser.add_argument(
        "--lanes",
        choices=("multiplier", "shift_add"),
        default="multiplier",
        help="what a lane does per cycle: a product, or one power of two of a delta, without "
        "multipliers; see docs/lanes.md",
    )
