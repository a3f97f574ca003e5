# SPDX-License-Identifier: Apache-2.0
"""What the families' PLLs have in common: their ports, and the rate that comes out."""

from typing import Any, Protocol

from amaranth.hdl import Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Dividers(Protocol):
    """A family's settings of its PLL."""

    @property
    def output_mhz(self) -> float:
        """The clock that comes out."""


class OneClock(wiring.Component):
    """One clock from another, as `interface.Pll` has it.

    Members
    -------
    clk_in: in, 1 bit: the input clock
    clk_out: out, 1 bit: the clock for a domain
    clk_ahead: out, 1 bit: a clock of the same rate for what is beside the FPGA; 0 where a family
        has none
    locked: out, 1 bit: the clock is steady; asynchronous
    """

    clk_in: Signal
    clk_out: Signal
    clk_ahead: Signal
    locked: Signal

    def __init__(self, settings: Dividers) -> None:
        self.settings: Any = settings
        super().__init__(
            {"clk_in": In(1), "clk_out": Out(1), "clk_ahead": Out(1), "locked": Out(1)}
        )

    @property
    def output_mhz(self) -> float:
        """The rate of `clk_out`."""
        return float(self.settings.output_mhz)
