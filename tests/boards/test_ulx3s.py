# SPDX-License-Identifier: Apache-2.0
"""Every ULX3S variant elaborates with pins, PLL and bridge."""

from collections.abc import Callable
from typing import Any

import pytest

from deltaloom.boards.flow.build import check_rates, memories_in, prepare
from deltaloom.boards.registry import BOARDS
from deltaloom.boards.ulx3s import BOARDS as VARIANTS
from deltaloom.boards.ulx3s import ulx3s_12f
from deltaloom.golden.errors import UserError
from deltaloom.sim.testing.loopback import Loopback


@pytest.mark.parametrize("name", [board.name for board in VARIANTS])
def test_variant_elaborates_with_its_pins(name: str, planned: Callable[..., Any]) -> None:
    plan = planned(BOARDS[name])
    assert plan.sites == {
        "clk25_0": "G2",
        "uart_0__rx": "M1",
        "uart_0__tx": "L4",
        "button_fire_0": "R1",
        "led_0": "B2",
        "led_1": "C2",
        "led_2": "C1",
    }
    assert 'FREQUENCY PORT "clk25_0__io" 25000000.0 HZ' in plan.lpf
    assert plan.rtlil.count("cell \\EHXPLLL") == 1


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


def test_the_links_buffers_are_in_block_ram() -> None:
    rtlil, _ = prepare(Loopback(), ulx3s_12f, clock_mhz=100.0, baud=10**6)
    found = {memory.name: memory for memory in memories_in(rtlil)}
    for name in ("receiver", "sender"):
        window = found[f"top.bridge.link.{name}.buffer"]
        assert (window.depth, window.width, window.read_ports) == (2048, 8, 1)
        assert not window.asynchronous


def test_baud_rate_is_checked_against_the_clock() -> None:
    check_rates(ulx3s_12f, clock_mhz=100.0, baud=12_500_000)
    with pytest.raises(UserError, match="baud must be at most clock_hz / 8 = 12500000, not 20"):
        check_rates(ulx3s_12f, clock_mhz=100.0, baud=20_000_000)
