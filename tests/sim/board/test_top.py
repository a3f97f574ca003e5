# SPDX-License-Identifier: Apache-2.0
"""The simulated top level elaborates for every board, with the ports that the program drives."""

import pytest
from amaranth.back import rtlil

from deltaloom.boards.board import Board
from deltaloom.boards.registry import BOARDS
from deltaloom.hw.bus.axi import flat_ports
from deltaloom.sim.board.top import SimulatedTop
from deltaloom.sim.testing.loopback import Loopback

ONE_OF_A_SERIES = {board.series: board for board in BOARDS.values()}.values()


@pytest.mark.parametrize("board", ONE_OF_A_SERIES, ids=lambda board: board.series)
def test_every_board_can_be_simulated(board: Board) -> None:
    top = SimulatedTop(
        Loopback(), board=board, clock_mhz=board.clock_mhz, clocks_per_bit=8, numbers=(1, 2)
    )
    text = rtlil.convert(top, name="top", ports=flat_ports(top), emit_src=False)
    assert "module \\top\n" in text
    assert not [line for line in text.splitlines() if "EHXPLLL" in line or "inout" in line]
