# SPDX-License-Identifier: Apache-2.0
"""Opens the accelerator of a build, on a serial port or on a simulated board."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..boards.flow.design import BoardDesign
from ..golden.errors import UserError
from ..golden.evaluation.networks import AnyNetwork
from ..sim.board.build import SimulatedBoard, build_board
from .board_driver import BoardDriver
from .device import LinkedDevice
from .lines import SerialLine

PATIENCE, SIMULATED_PATIENCE = 5.0, 120.0
"""Seconds of silence until a board counts as gone; simulated ones are slow on busy machines."""
SIMULATED_BAUD = 1_000_000
"""What a pseudo-terminal is told; it has no rate."""


def open_board(
    port: str,
    folder: Path,
    network: AnyNetwork | None,
    *,
    baud: int | None,
    patience: float | None,
    noise: float,
    progress: Callable[[str], None],
) -> tuple[BoardDriver, Callable[[], None]]:
    """The driver, and what ends all that was started for it; see `Accelerator.open`."""
    design = BoardDesign.load(folder)
    runs = network or BoardDesign.network(folder)
    if port != "sim":
        if noise:
            raise UserError("noise: only for a simulated board; leave it out")
        rate = baud or design.baud
        seconds = PATIENCE if patience is None else patience

        def connect() -> LinkedDevice:
            return _linked(port, rate, seconds)

        return BoardDriver(connect, design, runs, progress), lambda: None
    board = SimulatedBoard(build_board(folder, progress=progress), noise=noise)
    seconds = SIMULATED_PATIENCE if patience is None else patience

    def release() -> None:
        with suppress(ValueError):  # it was closed before
            board.close()

    try:
        driver = BoardDriver(
            lambda: _linked(board.port, SIMULATED_BAUD, seconds), design, runs, progress
        )
    except BaseException:
        release()
        raise
    return driver, release


def _linked(port: str, baud: int, patience: float) -> LinkedDevice:
    """A device on a serial port, which is closed again where it does not answer."""
    line = SerialLine(port, baud, patience=patience)
    try:
        return LinkedDevice(line, patience=patience, baud=baud)
    except BaseException:
        line.close()
        raise
