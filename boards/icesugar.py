# SPDX-License-Identifier: Apache-2.0
"""The iCESugar v1.5 of Muse Lab: an iCE40 UltraPlus with a USB debugger (iCELink)."""

from .board import AmaranthBoards, Board, Pin, SerialPort
from .ice40.chips import DEVICES

BOARDS = (
    Board(
        name="icesugar",
        title="Muse Lab iCESugar v1.5",
        series="icesugar",
        family="ice40",
        device=DEVICES["iCE40UP5K"],
        package="SG48",
        speed=0,
        platform=AmaranthBoards("icesugar", "ICESugarPlatform"),
        clock="clk12",
        clock_in_mhz=12.0,
        clock_mhz=12.0,
        baud=115_200,
        serial=SerialPort(rx="4", tx="6", link="USB (iCELink)", most_baud=115_200),
        lights=(Pin("led_g"), Pin("led_b"), Pin("led_r")),
        program="icesprog",
        suffix=".bin",
    ),
)
