# SPDX-License-Identifier: Apache-2.0
"""Every ULX3S variant elaborates with pins, PLL and bridge; the PLL's dividers."""

import re

import pytest

from deltaloom.boards.ecp5.pll import pll_settings
from deltaloom.boards.flow.build import memories_in, prepare
from deltaloom.boards.uart.loopback import Loopback
from deltaloom.boards.ulx3s import BOARDS, ulx3s_12f
from deltaloom.golden.errors import UserError


@pytest.mark.parametrize("name", BOARDS)
def test_variant_elaborates_with_its_pins(name: str) -> None:
    board = BOARDS[name]
    rtlil, lpf = prepare(Loopback(), board, clock_mhz=board.clock_mhz, baud=board.baud)
    sites = dict(re.findall(r'LOCATE COMP "(\w+)__io" SITE "(\w+)"', lpf))
    assert sites == {
        "clk25_0": "G2",
        "uart_0__rx": "M1",
        "uart_0__tx": "L4",
        "button_fire_0": "R1",
        "led_0": "B2",
        "led_1": "C2",
        "led_2": "C1",
    }
    assert 'FREQUENCY PORT "clk25_0__io" 25000000.0 HZ' in lpf
    assert rtlil.count("cell \\EHXPLLL") == 1


def test_rtlil_is_the_same_each_time() -> None:
    """Results are cached by it."""
    first, second = (prepare(Loopback(), ulx3s_12f, clock_mhz=100.0, baud=10**6) for _ in "ab")
    assert first == second


@pytest.mark.parametrize(
    ("name", "flag", "device"),
    [
        ("ulx3s_12f", "12k", "LFE5U-12F"),
        ("ulx3s_25f", "25k", "LFE5U-25F"),
        ("ulx3s_45f", "45k", "LFE5U-45F"),
        ("ulx3s_85f", "85k", "LFE5U-85F"),
    ],
)
def test_parts(name: str, flag: str, device: str) -> None:
    board = BOARDS[name]
    assert (board.device.nextpnr, board.device.name) == (flag, device)
    assert board.platform().device == device
    assert int(board.platform().speed) == board.speed == 6


def test_the_receive_buffer_is_in_block_ram() -> None:
    rtlil, _ = prepare(Loopback(), ulx3s_12f, clock_mhz=100.0, baud=10**6)
    found = {memory.name: memory for memory in memories_in(rtlil)}
    window = found["top.bridge.fifo.storage"]
    shape = (window.depth, window.width, window.read_ports)
    assert shape == (2047, 8, 1)  # and one in the output register
    assert not window.asynchronous
    assert found["top.bridge.commands.buffer"].asynchronous


def test_baud_rate_is_checked_against_the_clock() -> None:
    ulx3s_12f.check(clock_mhz=100.0, baud=12_500_000)
    with pytest.raises(UserError, match="baud must be at most clock_hz / 8 = 12500000, not 20"):
        ulx3s_12f.check(clock_mhz=100.0, baud=20_000_000)


@pytest.mark.parametrize("clock", [25.0, 40.0, 50.0, 80.0, 90.0, 100.0, 120.0, 125.0, 150.0])
def test_pll_makes_usual_clocks_exactly(clock: float) -> None:
    settings = pll_settings(25.0, clock)
    assert settings.output_mhz == pytest.approx(clock, rel=1e-9)
    assert 400 <= settings.vco_mhz <= 800
    assert settings.input_mhz / settings.ref_div >= 3.125


def test_pll_dividers_of_100_mhz() -> None:
    """What ecppll chooses."""
    settings = pll_settings(25.0, 100.0)
    assert (settings.ref_div, settings.feedback_div, settings.output_div) == (1, 4, 6)
    assert settings.vco_mhz == 600.0


@pytest.mark.parametrize(
    ("clock", "advice"),
    [(48.0, "use 46.875"), (101.9, "use 103.125"), (1000.0, "use 3.125 to 400")],
)
def test_pll_says_what_it_could_make(clock: float, advice: str) -> None:
    with pytest.raises(UserError, match=f"clock .* the PLL cannot make it .*: {advice}"):
        pll_settings(25.0, clock)
