# SPDX-License-Identifier: Apache-2.0
"""The OrangeCrab r0.2 in two sizes: a Feather without a USB serial port.

The serial line is on the Feather header's pins 0 (RX) and 1 (TX), for an adapter of 3.3 V; the
names of those pins are amaranth-boards' and LiteX-Boards'. The button resets.
"""

from dataclasses import dataclass
from typing import Any

from .board import AmaranthBoards, Board, ExternalMemory, Pin, SerialPort
from .ecp5.chips import DEVICES


@dataclass(frozen=True, slots=True)
class _WithSerial:
    """Makes amaranth-boards' platform, and adds the serial line that it lacks."""

    size: str

    def __call__(self) -> Any:
        from amaranth.build import Attrs
        from amaranth_boards.resources import UARTResource

        attrs = Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP")
        serial = UARTResource(0, rx="0", tx="1", conn=("io", 0), attrs=attrs)
        name = f"OrangeCrabR0_2_{self.size}Platform"
        platform = AmaranthBoards("orangecrab_r0_2", name)()
        platform.add_resources([serial])
        return platform


BOARDS = tuple(
    Board(
        name=f"orangecrab_{size.lower()}",
        title=f"OrangeCrab r0.2 {size}",
        series="orangecrab",
        family="ecp5",
        device=DEVICES[f"LFE5U-{size}"],
        package="CSFBGA285",
        speed=8,
        platform=_WithSerial(size),
        clock="clk",
        clock_in_mhz=48.0,
        clock_mhz=96.0,
        baud=1_000_000,
        serial=SerialPort(
            rx="N17", tx="M18", link="header pins 0 (RX) and 1 (TX), 3.3 V", most_baud=3_000_000
        ),
        lights=(Pin("rgb_led", 0, "g"), Pin("rgb_led", 0, "b"), Pin("rgb_led", 0, "r")),
        reset=Pin("button"),
        memories=(ExternalMemory(kind="DDR3", megabytes=128, bits=16),),
        program="dfu-util -a 0 -D",
    )
    for size in ("25F", "85F")
)
