# SPDX-License-Identifier: Apache-2.0
"""The Colorlight i5 v7.0 and i9 v7.2, modules of LED walls, on the extension board of Muse Lab.

The serial line is the extension board's USB port (DAPLink). amaranth-boards has neither module;
their pins are published by github.com/wuxx/Colorlight-FPGA-Projects and by LiteX-Boards, which
agree. The two modules differ in their FPGA and in the light's pin.
"""

from dataclasses import dataclass
from typing import Any

from .board import Board, ExternalMemory, Pin, SerialPort
from .ecp5.chips import DEVICES

_SERIAL = SerialPort(
    rx="H18", tx="J17", link="USB of the extension board (DAPLink)", most_baud=115_200
)


@dataclass(frozen=True, slots=True)
class _Module:
    """Makes the platform of a module with this device and its one light at this site."""

    fpga: str
    light: str

    def __call__(self) -> Any:
        from amaranth.build import Attrs, Clock, Pins, Resource
        from amaranth.vendor import LatticeECP5Platform
        from amaranth_boards.resources import LEDResources, UARTResource

        standard = Attrs(IO_TYPE="LVCMOS33")
        members = {
            "device": self.fpga,
            "package": "BG381",
            "speed": "6",
            "default_clk": "clk25",
            "resources": [
                Resource("clk25", 0, Pins("P3", dir="i"), Clock(25e6), standard),
                UARTResource(0, rx=_SERIAL.rx, tx=_SERIAL.tx, attrs=standard),
                *LEDResources(pins=self.light, invert=True, attrs=standard),
            ],
            "connectors": [],
        }
        return type("Colorlight", (LatticeECP5Platform,), members)()


BOARDS = tuple(
    Board(
        name=f"colorlight_{name}",
        title=f"Colorlight {name} {version}",
        series="colorlight",
        family="ecp5",
        device=DEVICES[fpga],
        package="CABGA381",
        speed=6,
        platform=_Module(fpga, light),
        clock="clk25",
        clock_in_mhz=25.0,
        clock_mhz=90.0,
        baud=115_200,
        serial=_SERIAL,
        lights=(Pin("led"),),
        memories=(ExternalMemory(kind="SDRAM", megabytes=8, bits=32),),
        program=f"openFPGALoader -b colorlight-{name}",
    )
    for name, version, fpga, light in (
        ("i5", "v7.0", "LFE5U-25F", "U16"),
        ("i9", "v7.2", "LFE5U-45F", "L2"),
    )
)
