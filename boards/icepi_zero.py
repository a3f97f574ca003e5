# SPDX-License-Identifier: Apache-2.0
"""The Icepi Zero v1.3. Its first button resets."""

from .board import AmaranthBoards, Board, ExternalMemory, Pin, SerialPort
from .ecp5.chips import DEVICES

BOARDS = (
    Board(
        name="icepi_zero",
        title="Icepi Zero v1.3",
        series="icepi_zero",
        family="ecp5",
        device=DEVICES["LFE5U-25F"],
        package="CABGA256",
        speed=6,
        platform=AmaranthBoards("icepi_zero", "IcepiZero1_3Platform"),
        clock="clk50",
        clock_in_mhz=50.0,
        clock_mhz=90.0,
        baud=1_000_000,
        serial=SerialPort(rx="K16", tx="K15", link="USB (FT231X)", most_baud=3_000_000),
        lights=(Pin("led", 0), Pin("led", 1), Pin("led", 2)),
        reset=Pin("button", 0),
        memories=(ExternalMemory(kind="SDRAM", megabytes=32, bits=16, chip="sdram_16mx16"),),
        program="openFPGALoader -b icepi-zero",
    ),
)
