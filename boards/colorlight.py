# SPDX-License-Identifier: Apache-2.0
"""The Colorlight i5 v7.0 and i9 v7.2, modules of LED walls, on the extension board of Muse Lab.

The serial line is the extension board's USB port (DAPLink). amaranth-boards has neither module;
their pins are published by github.com/wuxx/Colorlight-FPGA-Projects and by LiteX-Boards, which
agree (but for the order of the SDRAM's data lines, which makes no difference). The two modules
differ in their FPGA and in the light's pin. The SDRAM's clock enable, chip select and byte masks
are tied on the module.
"""

from dataclasses import dataclass
from typing import Any

from .board import Board, ExternalMemory, Pin, SerialPort
from .ecp5.chips import DEVICES

_SERIAL = SerialPort(
    rx="H18", tx="J17", link="USB of the extension board (DAPLink)", most_baud=115_200
)


_SDRAM = {
    **{"clk": "B9", "we_n": "A10", "cas_n": "A9", "ras_n": "B10", "ba": "B11 C8"},
    "a": "B13 C14 A16 A17 B16 B15 A14 A13 A12 A11 B12",
    "dq": "B6 A5 A6 A7 C7 B8 B5 A8 D8 D7 E8 D6 C6 D5 E7 C5 "
    "C10 D9 E11 D11 C11 D12 E9 C12 E14 C15 E13 D15 E12 B17 D14 D13",
}


@dataclass(frozen=True, slots=True)
class _Module:
    """Makes the platform of a module with this device and its one light at this site."""

    fpga: str
    light: str

    def __call__(self) -> Any:
        from amaranth.build import Attrs, Clock, Pins, Resource
        from amaranth.vendor import LatticeECP5Platform
        from amaranth_boards.resources import LEDResources, SDRAMResource, UARTResource

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
                SDRAMResource(0, **_SDRAM, attrs=Attrs(IO_TYPE="LVCMOS33", SLEWRATE="FAST")),
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
        memories=(ExternalMemory(kind="SDRAM", megabytes=8, bits=32, chip="sdram_2mx32"),),
        program=f"openFPGALoader -b colorlight-{name}",
    )
    for name, version, fpga, light in (
        ("i5", "v7.0", "LFE5U-25F", "U16"),
        ("i9", "v7.2", "LFE5U-45F", "L2"),
    )
)
