# SPDX-License-Identifier: Apache-2.0
"""The iCEBreaker: amaranth-boards' platform, a USB serial port, two lights and a button."""

from collections.abc import Callable
from typing import Any

from deltaloom.boards.icebreaker import BOARDS


def test_pins(planned: Callable[..., Any]) -> None:
    plan = planned(*BOARDS)
    assert plan.sites == {
        "clk12_0": "35",
        "uart_0__rx": "6",
        "uart_0__tx": "9",
        "button_0": "10",
        "led_g_0": "37",
        "led_r_0": "11",
    }
    assert "set_frequency clk12_0__io 12.0" in plan.constraints


def test_lights_and_button_are_active_low() -> None:
    (board,) = BOARDS
    for pin in (*board.lights, board.reset):
        (one,) = board.platform().lookup(pin.resource, pin.number).ios
        assert one.invert
