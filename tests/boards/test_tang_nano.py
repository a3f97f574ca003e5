# SPDX-License-Identifier: Apache-2.0
"""The Tang Nanos: amaranth-boards' platform of the 9K and one of ours of the 20K."""

from collections.abc import Callable
from typing import Any

import pytest

from deltaloom.boards.tang_nano import BOARDS

PINS = (
    {
        "clk27_0": "52",
        "uart_0__rx": "18",
        "uart_0__tx": "17",
        "button_0": "3",
        "led_0": "10",
        "led_1": "11",
        "led_2": "13",
    },
    {
        "clk27_0": "4",
        "uart_0__rx": "70",
        "uart_0__tx": "69",
        "led_0": "15",
        "led_1": "16",
        "led_2": "17",
    },
)


@pytest.mark.parametrize(("board", "pins"), list(zip(BOARDS, PINS, strict=True)))
def test_pins(board: Any, pins: dict[str, str], planned: Callable[..., Any]) -> None:
    assert planned(board).sites == pins


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_every_pin_has_its_level(board: Any, planned: Callable[..., Any]) -> None:
    plan = planned(board)
    for pin in plan.sites:
        assert f'IO_PORT "{pin}__io" IO_TYPE=LVCMOS33;' in plan.constraints
