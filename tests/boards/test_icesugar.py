# SPDX-License-Identifier: Apache-2.0
"""The iCESugar: amaranth-boards' platform, a light of three colours, no button."""

from collections.abc import Callable
from typing import Any

from deltaloom.boards.icesugar import BOARDS


def test_pins(planned: Callable[..., Any]) -> None:
    plan = planned(*BOARDS)
    assert plan.sites == {
        "clk12_0": "35",
        "uart_0__rx": "4",
        "uart_0__tx": "6",
        "led_g_0": "41",
        "led_b_0": "39",
        "led_r_0": "40",
    }
    assert "set_frequency clk12_0__io 12.0" in plan.constraints
