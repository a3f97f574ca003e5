# SPDX-License-Identifier: Apache-2.0
"""The ULX3S boards of Radiona, in four sizes. Button FIRE 1 resets."""

from .board import AmaranthBoards, Board, ExternalMemory, Pin, SerialPort
from .ecp5.chips import DEVICES

BOARDS = tuple(
    Board(
        name=f"ulx3s_{size.lower()}",
        title=f"Radiona ULX3S {size}",
        series="ulx3s",
        family="ecp5",
        device=DEVICES[f"LFE5U-{size}"],
        package="CABGA381",
        speed=6,
        platform=AmaranthBoards("ulx3s", f"ULX3S_{size}_Platform"),
        clock="clk25",
        clock_in_mhz=25.0,
        clock_mhz=90.0,  # a tenth less than the shipped networks reach (benchmarks/README.md)
        baud=1_000_000,
        serial=SerialPort(rx="M1", tx="L4", link="USB (FT231X)", most_baud=3_000_000),
        lights=(Pin("led", 0), Pin("led", 1), Pin("led", 2)),
        reset=Pin("button_fire"),
        memories=(ExternalMemory(kind="SDRAM", megabytes=32, bits=16, chip="sdram_16mx16"),),
        program="openFPGALoader -b ulx3s",
    )
    for size in ("12F", "25F", "45F", "85F")
)

ulx3s_12f, ulx3s_25f, ulx3s_45f, ulx3s_85f = BOARDS
