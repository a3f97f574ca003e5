# SPDX-License-Identifier: Apache-2.0
"""One small network's bitstream for a board of every kind: LUTs, clock, frames a second, and what
else fits. Writes the table to `build/bench/boards.md`.

Results are kept by what went into them: a run that was interrupted goes on.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from figures import REPORT, Figure

from deltaloom.boards.board import Board
from deltaloom.boards.flow.build import build
from deltaloom.boards.flow.families import family_of
from deltaloom.boards.flow.fits import fit_board
from deltaloom.boards.flow.report import BuildReport
from deltaloom.boards.registry import BOARDS
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.terminal.estimates import dense_cycles

COMMAND = "make bench-fpga ARGS=boards"
NAMES = (
    *("tang_nano_9k", "tang_nano_20k", "icebreaker", "icesugar", "ulx3s_12f", "icepi_zero"),
    *("icesugar_pro", "colorlight_i5", "orangecrab_25f", "colorlight_i9", "ecpix5_45f"),
    "ulx3s_85f",
)
INPUTS, UNITS, BITS = 40, 64, 4
"""A LiGRU that takes a frame of 40 features every 10 ms."""
WORD_BITS = 4
"""One lane, and the network in the logic: the smallest board holds it, and all are placed soon."""
LARGEST = (16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512)

HEADINGS = (
    *("board", "LUTs", "flip-flops", "block RAMs", "multipliers", "SPRAMs", "clock, reached"),
    *("frames a second, all elements changing", "largest GRU by estimate"),
)


def figures(work: Path) -> Iterator[Figure]:
    """LUTs and clock of each board, and the table."""
    rows = []
    for name in NAMES:
        board = BOARDS[name]
        report, cycles = _build(board, work / "boards" / name)
        rows.append(_row(board, report, cycles))
        what = f"ligru {INPUTS} -> {UNITS} W{BITS}/A{BITS} on {name}"
        yield Figure(name=f"{what}: LUTs", value=report.luts.used, unit="", command=COMMAND)
        yield Figure(
            name=f"{what}: clock",
            value=round(report.fmax_mhz or 0, 1),
            unit="MHz",
            target=report.clock_mhz,
            command=COMMAND,
        )
        lines = [HEADINGS, tuple("---" for _ in HEADINGS), *rows]
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        table = "".join(f"| {' | '.join(row)} |\n" for row in lines)
        (REPORT.parent / "boards.md").write_text(table, "utf-8")


def _build(board: Board, work: Path) -> tuple[BuildReport, float]:
    """A bitstream, and the cycles of a frame."""
    layers = [("ligru", UNITS)]
    network = make_network(layers, INPUTS, weight_bits=BITS, activation_bits=BITS)
    config = derive_config(network, word_bits=WORD_BITS)
    config = replace(config, hardwired=True, counted=False)
    cycles = dense_cycles(network, config)
    return build(network, board, workdir=work, config=config), float(cycles or 0)


def _row(board: Board, report: BuildReport, cycles: float) -> tuple[str, ...]:
    usages = (report.luts, report.ffs, report.brams, report.dsps, report.sprams)
    cells = [f"{u.used:,} of {u.available:,}" if u.available else "-" for u in usages]
    clock = f"{report.clock_mhz:g}, {report.fmax_mhz or 0:.1f} MHz"
    return (
        f"`{board.name}`",
        *cells,
        clock,
        f"{report.clock_mhz * 1e6 / cycles:,.0f}" if cycles else "-",
        _largest(board),
    )


def _largest(board: Board) -> str:
    """The largest of some GRUs of 40 inputs and 8 bits that fits by the family's estimate."""
    best = "-"
    for units in LARGEST:
        network = make_network([("gru", units)], INPUTS)
        for word_bits in (8, 64):
            try:
                config = derive_config(network, word_bits=word_bits)
            except UserError:
                continue
            small = family_of(board).margin > 1.1
            config = replace(config, hardwired=small, counted=not small)
            if fit_board(config, board).fits:
                best = f"{units} units, {word_bits}-bit words"
    return best
