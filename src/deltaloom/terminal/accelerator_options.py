# SPDX-License-Identifier: Apache-2.0
"""The options that say what accelerator a network gets, for the verbs that make one."""

import argparse
from math import inf
from typing import TYPE_CHECKING, Any

from ..golden.errors import UserError
from ..hw.sdram_chips import BLOCK_RAM, CHIPS

if TYPE_CHECKING:
    from ..boards.board import Board

SDRAM = "sdram"
"""Of --weight-memory: the board's, or the most usual one where there is no board."""
WORD_BITS_HELP = (
    "bits of a weight word, one of which is read every cycle; W / weight bits products are done at "
    "once"
)


def add_weight_memory(parser: argparse.ArgumentParser, *, clock: bool) -> None:
    """The options --weight-memory and --on-chip-weights, and --word-bits with them; clock:
    --memory-clock, too.

    They are read by `memory_options`.
    """
    parser.add_argument(
        "--word-bits",
        type=int,
        metavar="W",
        default=argparse.SUPPRESS,
        help=f"{WORD_BITS_HELP} (default: 256, and two words of an SDRAM)",
    )
    parser.add_argument(
        "--weight-memory",
        choices=(BLOCK_RAM, SDRAM, *CHIPS),
        default=argparse.SUPPRESS,
        help="where the weights are: on the chip, or in an SDRAM beside it, of the kind that the "
        "board has or of the one that is named; see docs/boards.md (default: on the chip)",
    )
    parser.add_argument(
        "--on-chip-weights",
        type=int,
        metavar="BYTES",
        default=argparse.SUPPRESS,
        help="so many bytes of the weights, those of the first layers, are on the chip though the "
        "others are in an SDRAM (default: none)",
    )
    if clock:
        parser.add_argument(
            "--memory-clock",
            type=float,
            metavar="MHZ",
            default=argparse.SUPPRESS,
            help="the accelerator's clock, which turns the SDRAM's times into cycles (default: 90)",
        )


def memory_options(
    args: argparse.Namespace, board: "Board | None" = None, clock_mhz: float | None = None
) -> dict[str, Any]:
    """Options of `derive_config` for what `add_weight_memory` has read.

    clock_mhz: of the board; None: --memory-clock, where it is given.

    Raises UserError for a board without such an SDRAM, and for what is of no use without one.
    """
    memory: str = getattr(args, "weight_memory", BLOCK_RAM)
    options: dict[str, Any] = {"word_bits": getattr(args, "word_bits", None)}
    if "memory_clock" in args:
        clock_mhz = _memory_clock(args.memory_clock, memory)
    near = getattr(args, "on_chip_weights", 0)
    if near and memory == BLOCK_RAM:
        raise UserError(
            f"--on-chip-weights: {near} is not possible, all weights are on the chip; leave it "
            f"out, or add --weight-memory {SDRAM}"
        )
    if memory == BLOCK_RAM:
        return options
    options["near_bytes"] = near
    if board is not None:
        if not board.sdram or memory not in (SDRAM, board.sdram):
            what = f"SDRAM of kind {board.sdram}" if board.sdram else "no SDRAM that designs use"
            raise UserError(
                f"--weight-memory: {memory} is not possible, {board.name} has {what}; "
                "leave it out, or build for another board (docs/boards.md)"
            )
        memory = board.sdram
    options["weight_memory"] = next(iter(CHIPS)) if memory == SDRAM else memory
    return options if clock_mhz is None else {**options, "memory_clock_mhz": clock_mhz}


def _memory_clock(clock_mhz: float, memory: str) -> float:
    """What --memory-clock says; UserError where there is no use for it."""
    if memory == BLOCK_RAM:
        raise UserError(
            f"--memory-clock: {clock_mhz:g} is not possible, weights on the chip have none of "
            f"their own; leave it out, or add --weight-memory {SDRAM}"
        )
    if not 0 < clock_mhz < inf:
        raise UserError(
            f"--memory-clock: {clock_mhz:g} is not possible, it must be a number above 0"
        )
    return clock_mhz


def add_word_bits(parser: argparse.ArgumentParser) -> None:
    """The option --word-bits, the same in every verb that makes an accelerator."""
    parser.add_argument(
        "--word-bits",
        type=int,
        metavar="W",
        default=256,
        help=WORD_BITS_HELP,
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
        default=argparse.SUPPRESS,
        help="put the network into the logic, all but its weights and thresholds, and leave out "
        "the counters: smaller, and no other network can be loaded (default: in memories)",
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
