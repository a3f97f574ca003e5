# SPDX-License-Identifier: Apache-2.0
"""The Icepi Zero: a crystal of 50 MHz."""

from collections.abc import Callable
from typing import Any

from deltaloom.boards.icepi_zero import BOARDS


def test_pins(planned: Callable[..., Any]) -> None:
    plan = planned(*BOARDS)
    assert plan.sites == {
        "clk50_0": "M1",
        "uart_0__rx": "K16",
        "uart_0__tx": "K15",
        "button_0": "C4",
        "led_0": "E13",
        "led_1": "D14",
        "led_2": "E12",
    }
    assert 'FREQUENCY PORT "clk50_0__io" 50000000.0 HZ' in plan.lpf


def test_part() -> None:
    (board,) = BOARDS
    assert (board.name, board.device.name) == ("icepi_zero", "LFE5U-25F")
    assert (board.package, board.speed) == ("CABGA256", 6)
