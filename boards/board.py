# SPDX-License-Identifier: Apache-2.0
"""What is known of an FPGA board, as plain facts: reading them imports no Amaranth.

A board is one file beside this one, with a tuple `BOARDS`; `registry` finds it. See
docs/howto/add-a-board.md.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """An FPGA and what it has.

    Parameters
    ----------
    name
        The vendor's, such as LFE5U-85F.
    nextpnr
        nextpnr's name for it; the family's package knows what that is for.
    luts, ffs, brams, dsps
        4-input LUTs, flip-flops, block RAMs and multipliers. How large a block RAM or a multiplier
        is, is the family's: 18 kbit and 18x18 on an ECP5.
    sprams
        Large memories without initial contents, where the family has them.
    """

    name: str
    nextpnr: str
    luts: int
    ffs: int
    brams: int
    dsps: int
    sprams: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ExternalMemory:
    """A memory beside the FPGA.

    Parameters
    ----------
    kind
        "SDRAM" (single data rate), "DDR3" or "HyperRAM".
    megabytes
        Its size; a board that is sold with several has the smallest here.
    bits
        Data lines.
    chip
        A name of `hw.sdram_chips.CHIPS`: weights can be in it, and the platform has
        a resource ``sdram`` 0, or ``in_package_sdram`` where the chip is in the FPGA's package.
        "": no design uses it.
    """

    kind: str
    megabytes: int
    bits: int
    chip: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SerialPort:
    """The pins of the serial line, seen from the FPGA, and what is at its other end.

    Parameters
    ----------
    rx, tx
        Sites of the FPGA's input and output. The platform's resource ``uart`` 0 is what is built
        with; a test compares the two.
    link
        How a computer reaches it, such as "USB (FT231X)".
    most_baud
        Bits a second that the chip at the other end does, or the most that is known of it.
    """

    rx: str
    tx: str
    link: str
    most_baud: int


@dataclass(frozen=True, slots=True)
class Pin:
    """One pin of a platform's resource: the resource's name and number, and the part of several.

    Whether it is active low is the platform's knowledge.
    """

    resource: str
    number: int = 0
    part: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """An FPGA board.

    Parameters
    ----------
    name, title
        What `--board` takes; what the maker calls it.
    series
        Name that boards share which differ in their FPGA alone.
    family
        Which FPGA family's tools build for it: a name of `flow.families.FAMILIES`.
    device, package, speed
        The FPGA: resources; package, or the whole part, as nextpnr calls it; speed grade, 0 where
        there is one only.
    platform
        Makes the Amaranth platform with the pins; called when something is built.
    clock, clock_in_mhz
        The platform's resource with the crystal's clock, and its rate: what the PLL starts from.
    clock_mhz, baud
        The accelerator's clock and the serial line's bits a second, unless others are asked for.
    serial
        Where the host is connected.
    lights
        Up to three, in this order: heartbeat, a frame is under way, the serial link has a fault.
    reset
        A button that resets, if there is one to spare.
    memories
        What is beside the FPGA.
    program
        The command that loads a bitstream; the file's name follows it.
    suffix
        Of the bitstream's file, from which that command knows what it is.
    """

    name: str
    title: str
    series: str
    family: str
    device: Device
    package: str
    speed: int
    platform: Callable[[], Any]
    clock: str
    clock_in_mhz: float
    clock_mhz: float
    baud: int
    serial: SerialPort
    lights: tuple[Pin, ...] = ()
    reset: Pin | None = None
    memories: tuple[ExternalMemory, ...] = ()
    program: str
    suffix: str = ".bit"

    @property
    def sdram(self) -> str:
        """The SDRAM that weights can be in, a name of `hw.sdram_chips.CHIPS`; "": there is none."""
        return next((memory.chip for memory in self.memories if memory.chip), "")


@dataclass(frozen=True, slots=True)
class AmaranthBoards:
    """Makes a platform of the package amaranth-boards, which is imported only then.

    Parameters
    ----------
    module, platform
        Such as "ulx3s" and "ULX3S_85F_Platform".
    """

    module: str
    platform: str

    def __call__(self) -> Any:
        return getattr(importlib.import_module(f"amaranth_boards.{self.module}"), self.platform)()
