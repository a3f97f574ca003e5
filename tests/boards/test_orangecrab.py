# SPDX-License-Identifier: Apache-2.0
"""The OrangeCrab: a crystal of 48 MHz, and a serial line that its platform lacks."""

from collections.abc import Callable
from typing import Any

import pytest

from deltaloom.boards.orangecrab import BOARDS


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_pins(board: Any, planned: Callable[..., Any]) -> None:
    plan = planned(board)
    assert plan.sites == {
        "clk_0": "A9",
        "uart_0__rx": "N17",  # header pin 0
        "uart_0__tx": "M18",  # header pin 1
        "button_0": "J17",
        "rgb_led_0__g": "M3",
        "rgb_led_0__b": "J3",
        "rgb_led_0__r": "K4",
    }
    assert 'FREQUENCY PORT "clk_0__io" 48000000.0 HZ' in plan.lpf
    assert plan.pin("uart_0__rx") == "IO_TYPE=LVCMOS33 PULLMODE=UP"  # idle when not connected


def test_sizes() -> None:
    assert [(b.name, b.device.name, b.device.nextpnr) for b in BOARDS] == [
        ("orangecrab_25f", "LFE5U-25F", "25k"),
        ("orangecrab_85f", "LFE5U-85F", "85k"),
    ]
    assert {(b.package, b.speed) for b in BOARDS} == {("CSFBGA285", 8)}
