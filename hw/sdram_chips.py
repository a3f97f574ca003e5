# SPDX-License-Identifier: Apache-2.0
"""Chips of single-data-rate SDRAM: geometry, and times in ns, which a clock turns into cycles.

This module imports no amaranth: boards name their chip by it.
"""

from dataclasses import dataclass
from math import ceil, floor

from ..golden.errors import UserError

BLOCK_RAM = "block_ram"
"""In a chip's place: weights are on the chip of the accelerator itself."""

MODE_CYCLES = 2
"""tMRD: from setting the mode to the next command."""

INIT_REFRESHES = 8
"""Refreshes before the mode is set, as JEDEC's and most chips' power-up sequence has it."""

LEAST_MHZ = 5.0
"""Where a refresh, some fourteen cycles of those between two, leaves most of them."""

MOST_BURST = 8
"""The longest burst that every chip has, besides a whole row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SdramChip:
    """A chip, or the slowest of several that stand for each other.

    Parameters
    ----------
    title: the chips it stands for
    dq_bits: data lines
    row_bits, column_bits, bank_bits: of an address
    rcd: ns from opening a row to reading or writing it (tRCD)
    rp: from closing a row to opening the bank's next (tRP)
    ras: from opening a row to closing it, at the least (tRAS)
    rc: from opening a row to opening the bank's next (tRC)
    rrd: from opening a row to opening one of another bank (tRRD)
    rfc: from a refresh to the next command (tRFC)
    wr: from the last word written to closing the row (tWR)
    refi: from one refresh to the next, on average (tREFI)
    power_up: from power to the first command
    fast_mhz: the highest clock with a CAS latency of 2; most_mhz: with one of 3
    """

    title: str
    dq_bits: int
    row_bits: int
    column_bits: int
    bank_bits: int = 2
    rcd: float
    rp: float
    ras: float
    rc: float
    rrd: float
    rfc: float
    wr: float
    refi: float
    power_up: float = 200_000.0
    fast_mhz: float = 100.0
    most_mhz: float

    @property
    def row_words(self) -> int:
        """Words of `dq_bits` bits in a row."""
        return 1 << self.column_bits

    @property
    def bits(self) -> int:
        """Bits of the whole chip."""
        return self.dq_bits << (self.row_bits + self.bank_bits + self.column_bits)

    def at(self, clock_mhz: float) -> "SdramTiming":
        """The times in cycles of a clock.

        Raises UserError for one that the chip does not reach, or with which refreshes take all.
        """
        if not LEAST_MHZ <= clock_mhz <= self.most_mhz:
            raise UserError(
                f"memory_clock_mhz: {clock_mhz:g} is not possible with {self.title}, it must be "
                f"{LEAST_MHZ:g} to {self.most_mhz:g}"
            )

        def cycles(ns: float) -> int:
            return max(1, ceil(ns * clock_mhz / 1000 - 1e-9))

        rp = cycles(self.rp)
        return SdramTiming(
            rcd=cycles(self.rcd),
            rp=rp,
            ras=max(cycles(self.ras), cycles(self.rc) - rp),
            rrd=cycles(self.rrd),
            rfc=cycles(self.rfc),
            wr=cycles(self.wr),
            refi=floor(self.refi * clock_mhz / 1000),
            power_up=cycles(self.power_up),
            cl=2 if clock_mhz <= self.fast_mhz else 3,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SdramTiming:
    """A chip's times in cycles; `SdramChip` explains them. cl: CAS latency.

    A row that was open for `ras` cycles and whose bank then rests for `rp` keeps tRC, too.
    """

    rcd: int
    rp: int
    ras: int
    rrd: int
    rfc: int
    wr: int
    refi: int
    power_up: int
    cl: int


CHIPS = {
    "sdram_16mx16": SdramChip(
        title="256 Mbit SDRAM with 16 data lines (IS42S16160, W9825G6KH, MT48LC16M16, AS4C16M16)",
        dq_bits=16,
        row_bits=13,
        column_bits=9,
        rcd=20.0,
        rp=20.0,
        ras=45.0,
        rc=67.5,
        rrd=15.0,
        rfc=70.0,
        wr=20.0,
        refi=64e6 / 8192,
        most_mhz=133.0,
    ),
    "sdram_2mx32": SdramChip(
        title="64 Mbit SDRAM with 32 data lines (EM638325, M12L64322A, GW2AR-18)",
        dq_bits=32,
        row_bits=11,
        column_bits=8,
        rcd=20.0,
        rp=20.0,
        ras=45.0,
        rc=67.5,
        rrd=15.0,
        rfc=70.0,
        wr=20.0,
        refi=64e6 / 4096,
        most_mhz=133.0,
    ),
}
"""By the name that a configuration has for them: the slowest of the speed grades that are sold."""
