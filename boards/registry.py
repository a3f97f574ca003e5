# SPDX-License-Identifier: Apache-2.0
"""Finds the boards: every module beside this one is a board file, with its `BOARDS`.

Importing it imports no Amaranth. `python -m deltaloom.boards.registry` prints the table of
docs/boards.md.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..golden.errors import UserError
from .board import Board

_NO_BOARDS = ("board", "registry")


def _found() -> Iterator[Board]:
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if not module.ispkg and module.name not in _NO_BOARDS:
            yield from importlib.import_module(f"{__package__}.{module.name}").BOARDS


BOARDS: Mapping[str, Board] = {board.name: board for board in _found()}
"""Boards by name, in the order of the names of their files."""


def find_board(name: str) -> Board:
    """The board called ``name``; UserError with all names where there is none."""
    if name not in BOARDS:
        raise UserError(f"board {name!r} is unknown: use one of {', '.join(BOARDS)}")
    return BOARDS[name]


_HEADINGS = (
    "`--board`",
    "board",
    "FPGA",
    "LUTs",
    "block RAMs",
    "multipliers",
    "crystal, clock",
    "serial line (RX, TX)",
    "memory",
    "load FILE",
)


def _row(board: Board) -> tuple[str, ...]:
    device, serial = board.device, board.serial
    return (
        f"`{board.name}`",
        board.title,
        _part(board),
        f"{device.luts:,}",
        f"{device.brams}",
        f"{device.dsps}",
        f"{board.clock_in_mhz:g}, {board.clock_mhz:g} MHz",
        f"{serial.rx}, {serial.tx}: {serial.link}, {board.baud:,} baud",
        "; ".join(f"{m.megabytes} MB {m.kind}, {m.bits} bits" for m in board.memories) or "-",
        f"`{board.program} FILE`",
    )


def _part(board: Board) -> str:
    """The FPGA: device, speed grade where there are several, package."""
    if board.package.startswith("GW"):  # the whole part
        return board.package
    speed = f"-{board.speed}" if board.speed else ""
    return f"{board.device.name}{speed} {board.package}"


def facts_table() -> str:
    """All boards as a Markdown table, which docs/boards.md holds."""
    rows = [_HEADINGS, tuple("---" for _ in _HEADINGS), *map(_row, BOARDS.values())]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    print(facts_table(), end="")
