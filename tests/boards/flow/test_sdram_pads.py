# SPDX-License-Identifier: Apache-2.0
"""An accelerator with its weights in the board's SDRAM: pins, PLL, and what is refused."""

import gc
import re
from dataclasses import replace

import pytest

from deltaloom.boards.ecp5.pll import Ecp5Pll, pll_settings
from deltaloom.boards.flow.build import build, check_memory, memories_in, prepare
from deltaloom.boards.flow.fits import fit_boards
from deltaloom.boards.flow.sdram_pads import sdram_ports
from deltaloom.boards.registry import BOARDS
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.accelerator import Accelerator
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.sdram_chips import CHIPS

UNUSED = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
NETWORK = make_network([("gru", 24)], 5, seed=1)
CONFIG = derive_config(NETWORK, weight_memory="sdram_16mx16")
WITH_CHIP = [board for board in BOARDS.values() if any(m.chip for m in board.memories)]


def test_boards_with_a_chip_are_those_whose_platform_has_it():
    series = {"ulx3s", "icepi_zero", "icesugar_pro", "colorlight", "tang_nano"}
    assert {board.series for board in WITH_CHIP} == series
    for board in WITH_CHIP:
        (memory,) = board.memories
        chip = CHIPS[board.sdram]
        ports = sdram_ports(board.platform())
        assert len(ports["dq"]) == memory.bits == chip.dq_bits
        assert len(ports["a"]) == chip.row_bits
        assert memory.megabytes << 23 == chip.bits


@pytest.mark.parametrize(
    "name", ["ulx3s_85f", pytest.param("icesugar_pro", marks=pytest.mark.slow)]
)
def test_pins_and_clocks(name):
    rtlil, constraints = prepare(Accelerator(CONFIG), BOARDS[name], clock_mhz=90.0, baud=115_200)
    assert rtlil.count("cell \\EHXPLLL") == 1
    assert re.search(r'parameter \\CLKOS_ENABLE "ENABLED"', rtlil)
    # 13 address lines, 2 banks, 16 of data, and cke, cs, ras, cas, we, dqm where there are pins.
    assert len(re.findall(r'LOCATE COMP "sdram_0__', constraints)) == 39
    assert rtlil.count("cell \\IFS1P3DX") == 16
    assert rtlil.count("cell \\ODDRX1F") == 1
    assert not [memory for memory in memories_in(rtlil) if ".store.bank_" in memory.name]


def test_a_module_with_32_data_lines():
    """Clock enable, chip select and byte masks have no pins; no pin is used twice."""
    board = BOARDS["colorlight_i5"]
    config = derive_config(NETWORK, weight_memory=board.sdram)
    rtlil, constraints = prepare(Accelerator(config), board, clock_mhz=90.0, baud=115_200)
    # 11 address lines, 2 banks, 32 of data, ras, cas, we and the clock.
    sites = re.findall(r'LOCATE COMP "sdram_0__.*" SITE "(\w+)"', constraints)
    assert len(sites) == len(set(sites)) == 49
    assert rtlil.count("cell \\IFS1P3DX") == 32 and rtlil.count("cell \\ODDRX1F") == 1


@UNUSED
def test_the_chips_clock_is_ahead():
    settings = pll_settings(25.0, 90.0)
    period = 8 * settings.output_div  # in eighths of the oscillator's period
    own = settings.output_div // 2
    for ahead in (0.0, 1.0, 3.0, 11.0):
        second = Ecp5Pll(settings, ahead_ns=ahead).second_output
        lag = 8 * (second["p_CLKOS_CPHASE"] - own) + second["p_CLKOS_FPHASE"]
        found = (period - lag) % period / 8 / settings.vco_mhz * 1000
        assert abs(found - ahead) <= 0.5 / 8 / settings.vco_mhz * 1000
    gc.collect()


@UNUSED
def test_what_is_not_possible(tmp_path):
    for board, config, message in (
        ("ecpix5_85f", CONFIG, "ecpix5.* has no SDRAM that designs use"),
        ("ulx3s_85f", replace(CONFIG, memory_clock_mhz=80.0), "must be the board's clock, 90"),
        ("ulx3s_85f", replace(CONFIG, weight_memory="sdram_2mx32"), "ulx3s_85f has sdram_16mx16"),
    ):
        name = board if board in BOARDS else next(n for n in BOARDS if n.startswith("ecpix5"))
        with pytest.raises(UserError, match=message):
            build(NETWORK, name, workdir=tmp_path / "none", config=config)
        with pytest.raises(UserError, match=message):
            check_memory(config, BOARDS[name], None)
    assert not (tmp_path / "none").exists()
    gc.collect()


def test_networks_that_do_not_fit_on_the_chip_fit_beside_it():
    """NSNet2's two GRU layers, and the largest that EdgeDRNN was measured with."""
    ulx3s = "ulx3s_85f"
    for units, inputs in ((400, 400), (768, 40)):
        network = make_network([("gru", units)] * 2, inputs, seed=1)
        on_chip, beside = (
            next(fit for fit in fit_boards(config) if fit.board == ulx3s)
            for config in (
                derive_config(network),
                derive_config(network, weight_memory="sdram_16mx16"),
            )
        )
        assert on_chip.block_rams[0] > 4 * on_chip.block_rams[1]
        assert beside.fits
