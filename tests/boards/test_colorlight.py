# SPDX-License-Identifier: Apache-2.0
"""The Colorlight modules: a platform of ours, one light, no button."""

from collections.abc import Callable
from typing import Any

import pytest

from deltaloom.boards.colorlight import BOARDS


@pytest.mark.parametrize(("board", "light"), list(zip(BOARDS, ("U16", "L2"), strict=True)))
def test_pins(board: Any, light: str, planned: Callable[..., Any]) -> None:
    plan = planned(board)
    assert plan.sites == {
        "clk25_0": "P3",
        "uart_0__rx": "H18",
        "uart_0__tx": "J17",
        "led_0": light,
    }
    assert 'FREQUENCY PORT "clk25_0__io" 25000000.0 HZ' in plan.lpf
    assert {plan.pin(name) for name in plan.sites} == {"IO_TYPE=LVCMOS33"}


def test_the_light_is_active_low() -> None:
    for board in BOARDS:
        (light,) = board.platform().lookup("led", 0).ios
        assert light.invert


def test_parts() -> None:
    assert [(b.name, b.device.name, b.package, b.speed) for b in BOARDS] == [
        ("colorlight_i5", "LFE5U-25F", "CABGA381", 6),
        ("colorlight_i9", "LFE5U-45F", "CABGA381", 6),
    ]
