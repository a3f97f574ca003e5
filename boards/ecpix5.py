# SPDX-License-Identifier: Apache-2.0
"""The ECPIX-5 of LambdaConcept in two sizes.

Its reset button is on another pin in each revision of the board, so none is used.
"""

from .board import AmaranthBoards, Board, ExternalMemory, Pin, SerialPort
from .ecp5.chips import DEVICES

BOARDS = tuple(
    Board(
        name=f"ecpix5_{size}f",
        title=f"LambdaConcept ECPIX-5 {size}F",
        series="ecpix5",
        family="ecp5",
        device=DEVICES[f"LFE5UM5G-{size}F"],
        package="CABGA554",
        speed=8,
        platform=AmaranthBoards("ecpix5", f"ECPIX5{size}Platform"),
        clock="clk100",
        clock_in_mhz=100.0,
        clock_mhz=100.0,
        baud=1_000_000,
        serial=SerialPort(
            rx="R26", tx="R24", link="USB (FT2232H or FT4232H)", most_baud=12_000_000
        ),
        lights=(Pin("rgb_led", 0, "g"), Pin("rgb_led", 0, "b"), Pin("rgb_led", 0, "r")),
        memories=(ExternalMemory(kind="DDR3", megabytes=512, bits=16),),
        program="openFPGALoader -b ecpix5",
    )
    for size in ("45", "85")
)
