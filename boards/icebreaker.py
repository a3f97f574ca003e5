# SPDX-License-Identifier: Apache-2.0
"""The iCEBreaker v1.0: an iCE40 UltraPlus with a USB serial port of two channels."""

from .board import AmaranthBoards, Board, Pin, SerialPort
from .ice40.chips import DEVICES

BOARDS = (
    Board(
        name="icebreaker",
        title="1BitSquared iCEBreaker v1.0",
        series="icebreaker",
        family="ice40",
        device=DEVICES["iCE40UP5K"],
        package="SG48",
        speed=0,
        platform=AmaranthBoards("icebreaker", "ICEBreakerPlatform"),
        clock="clk12",
        clock_in_mhz=12.0,
        clock_mhz=12.0,
        baud=1_000_000,
        serial=SerialPort(rx="6", tx="9", link="USB (FT2232H)", most_baud=3_000_000),
        lights=(Pin("led_g"), Pin("led_r")),
        reset=Pin("button", 0),
        program="openFPGALoader -b ice40_generic",
        suffix=".bin",
    ),
)
