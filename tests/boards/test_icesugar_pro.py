# SPDX-License-Identifier: Apache-2.0
"""The iCESugar-Pro: its pins and part."""

from collections.abc import Callable
from typing import Any

from deltaloom.boards.icesugar_pro import BOARDS


def test_pins(planned: Callable[..., Any]) -> None:
    plan = planned(*BOARDS)
    sites = plan.sites
    assert {sites.pop(f"rgb_led_0__{colour}") for colour in "rgb"} == {"A11", "A12", "B11"}
    assert sites == {"clk25_0": "P6", "uart_0__rx": "A9", "uart_0__tx": "B9"}
    assert 'FREQUENCY PORT "clk25_0__io" 25000000.0 HZ' in plan.lpf


def test_part() -> None:
    (board,) = BOARDS
    assert (board.name, board.device.name) == ("icesugar_pro", "LFE5U-25F")
    assert (board.package, board.speed) == ("CABGA256", 6)
