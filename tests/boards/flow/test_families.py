# SPDX-License-Identifier: Apache-2.0
"""Every family's store of weights under a whole accelerator."""

from dataclasses import replace

import pytest
from amaranth.back import rtlil

from deltaloom.boards.flow.build import board_core
from deltaloom.boards.registry import BOARDS, find_board
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.bus.axi import flat_ports
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config

ONE_OF_EACH = sorted({board.family: name for name, board in BOARDS.items()}.values())


@pytest.mark.parametrize("hardwired", [False, True])
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_an_accelerator_elaborates_with_the_familys_store(name, hardwired):
    network = make_network([("gru", 3)], 2)
    config = replace(derive_config(network, word_bits=8), hardwired=hardwired)
    core = board_core(config, compile_network(network, config), find_board(name))
    text = rtlil.convert(core, name="top", ports=flat_ports(core), emit_src=False)
    assert "module \\top" in text
