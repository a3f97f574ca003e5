# SPDX-License-Identifier: Apache-2.0
"""The ECPIX-5: a crystal of 100 MHz, devices with transceivers, no button."""

from collections.abc import Callable
from typing import Any

import pytest

from deltaloom.boards.ecpix5 import BOARDS


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_pins(board: Any, planned: Callable[..., Any]) -> None:
    plan = planned(board)
    assert plan.sites == {
        "clk100_0": "K23",
        "uart_0__rx": "R26",
        "uart_0__tx": "R24",
        "rgb_led_0__g": "R21",
        "rgb_led_0__b": "T22",
        "rgb_led_0__r": "T23",
    }
    assert 'FREQUENCY PORT "clk100_0__io" 100000000.0 HZ' in plan.lpf


def test_sizes() -> None:
    assert [(b.name, b.device.name, b.device.nextpnr) for b in BOARDS] == [
        ("ecpix5_45f", "LFE5UM5G-45F", "um5g-45k"),
        ("ecpix5_85f", "LFE5UM5G-85F", "um5g-85k"),
    ]
    assert {(b.package, b.speed) for b in BOARDS} == {("CABGA554", 8)}
