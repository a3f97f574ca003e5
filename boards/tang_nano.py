# SPDX-License-Identifier: Apache-2.0
"""The Tang Nano 9K and 20K of Sipeed: Gowin devices with memory in the package.

amaranth-boards has the 9K. The 20K's pins are those of LiteX-Boards. Both have
a USB serial port (BL702, BL616). The 20K's SDRAM has no pins (`gowin.in_package`).
"""

from typing import Any

from .board import AmaranthBoards, Board, ExternalMemory, Pin, SerialPort
from .gowin.chips import DEVICES


def _nano_20k() -> Any:
    """Makes the 20K's platform."""
    from amaranth.build import Attrs, Clock, Pins, Resource
    from amaranth.vendor import GowinPlatform
    from amaranth_boards.resources import LEDResources, UARTResource

    from .gowin.in_package import InPackageSdram

    standard = Attrs(IO_TYPE="LVCMOS33")
    members = {
        "part": "GW2AR-LV18QN88C8/I7",
        "family": "GW2AR-18C",
        "default_clk": "clk27",
        "resources": [
            Resource("clk27", 0, Pins("4", dir="i"), Clock(27e6), standard),
            *LEDResources(pins="15 16 17 18 19 20", invert=True, attrs=standard),
            UARTResource(0, rx="70", tx="69", attrs=standard),
        ],
        "connectors": [],
    }
    return type("TangNano20K", (InPackageSdram, GowinPlatform), members)()


_LIGHTS = (Pin("led", 0), Pin("led", 1), Pin("led", 2))

BOARDS = (
    Board(
        name="tang_nano_9k",
        title="Sipeed Tang Nano 9K",
        series="tang_nano",
        family="gowin",
        device=DEVICES["GW1NR-9C"],
        package="GW1NR-LV9QN88PC6/I5",
        speed=6,
        platform=AmaranthBoards("tang_nano_9k", "TangNano9kPlatform"),
        clock="clk27",
        clock_in_mhz=27.0,
        clock_mhz=27.0,
        baud=115_200,
        serial=SerialPort(rx="18", tx="17", link="USB (BL702)", most_baud=115_200),
        lights=_LIGHTS,
        reset=Pin("button", 0),
        program="openFPGALoader -b tangnano9k",
        suffix=".fs",
    ),
    Board(
        name="tang_nano_20k",
        title="Sipeed Tang Nano 20K",
        series="tang_nano",
        family="gowin",
        device=DEVICES["GW2AR-18C"],
        package="GW2AR-LV18QN88C8/I7",
        speed=8,
        platform=_nano_20k,
        clock="clk27",
        clock_in_mhz=27.0,
        clock_mhz=54.0,
        baud=115_200,
        serial=SerialPort(rx="70", tx="69", link="USB (BL616)", most_baud=115_200),
        lights=_LIGHTS,
        memories=(ExternalMemory(kind="SDRAM", megabytes=8, bits=32, chip="sdram_2mx32"),),
        program="openFPGALoader -b tangnano20k",
        suffix=".fs",
    ),
)
