# SPDX-License-Identifier: Apache-2.0
"""The iCESugar-Pro of Muse Lab: an ECP5, in spite of the name.

The published pin lists agree on the three pins of the light, not on their colours.
"""

from .board import AmaranthBoards, Board, ExternalMemory, Pin, SerialPort
from .ecp5.chips import DEVICES

BOARDS = (
    Board(
        name="icesugar_pro",
        title="Muse Lab iCESugar-Pro",
        series="icesugar_pro",
        family="ecp5",
        device=DEVICES["LFE5U-25F"],
        package="CABGA256",
        speed=6,
        platform=AmaranthBoards("icesugar_pro", "ICESugarProPlatform"),
        clock="clk25",
        clock_in_mhz=25.0,
        clock_mhz=90.0,
        baud=115_200,
        serial=SerialPort(rx="A9", tx="B9", link="USB (iCELink)", most_baud=115_200),
        lights=(Pin("rgb_led", 0, "g"), Pin("rgb_led", 0, "b"), Pin("rgb_led", 0, "r")),
        memories=(ExternalMemory(kind="SDRAM", megabytes=32, bits=16, chip="sdram_16mx16"),),
        program="icesprog",
    ),
)
