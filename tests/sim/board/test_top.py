# SPDX-License-Identifier: Apache-2.0
"""The simulated top level elaborates for every board, with the ports that the program drives."""

import pytest
from amaranth.back import rtlil

from deltaloom.boards.board import Board
from deltaloom.boards.registry import BOARDS
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.accelerator import Accelerator
from deltaloom.hw.bus.axi import flat_ports
from deltaloom.hw.compiler.fit import derive_config
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


def test_the_memory_is_beside_a_design_with_weights_in_it() -> None:
    config = derive_config(make_network([("gru", 6)], 3), weight_memory="sdram_16mx16")
    board = BOARDS["ulx3s_85f"]
    top = SimulatedTop(
        Accelerator(config), board=board, clock_mhz=90.0, clocks_per_bit=8, numbers=(1, 0)
    )
    text = rtlil.convert(top, name="top", ports=flat_ports(top), emit_src=False)
    assert text.count("cell \\sdram_pads") == 1
    assert "IFS1P3DX" not in text
