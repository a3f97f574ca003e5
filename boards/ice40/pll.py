# SPDX-License-Identifier: Apache-2.0
"""The iCE40's PLL and its dividers, within the limits of its data sheet (FPGA-DS-02008)."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Instance, Module

from ...golden.errors import UserError
from ..family.pll import OneClock

_VCO_MHZ = (533.0, 1066.0)
_DETECTOR_MHZ = (10.0, 133.0)
_FILTERS = (17.0, 26.0, 44.0, 66.0, 101.0)
"""FILTER_RANGE is 1 for a phase detector below the first rate, 2 below the second, .."""
_TOLERANCE = 1e-3  # of the wanted rate


@dataclass(frozen=True, kw_only=True, slots=True)
class PllSettings:
    """Dividers: output = input / (divr + 1) * (divf + 1) / 2**divq; divq 0: no PLL at all.

    The oscillator runs at output * 2**divq.
    """

    input_mhz: float
    divr: int = 0
    divf: int = 0
    divq: int = 0

    @property
    def output_mhz(self) -> float:
        """The clock that comes out."""
        return self.detector_mhz * (self.divf + 1) / (1 << self.divq)

    @property
    def detector_mhz(self) -> float:
        """The rate at which phases are compared."""
        return self.input_mhz / (self.divr + 1)

    @property
    def filter_range(self) -> int:
        """The loop filter's setting."""
        return 1 + sum(self.detector_mhz >= limit for limit in _FILTERS)


def pll_settings(input_mhz: float, output_mhz: float) -> PllSettings:
    """Dividers for ``output_mhz``; none where the crystal has that rate.

    Raises UserError when nothing comes within 0.1 %, with the nearest rate that exists.
    """
    plain = PllSettings(input_mhz=input_mhz)
    if output_mhz == input_mhz:
        return plain
    found = [plain]
    for divr in range(16):
        for divf in range(64):
            for divq in range(1, 7):
                one = PllSettings(input_mhz=input_mhz, divr=divr, divf=divf, divq=divq)
                vco = one.output_mhz * (1 << divq)
                if (
                    _DETECTOR_MHZ[0] <= one.detector_mhz <= _DETECTOR_MHZ[1]
                    and _VCO_MHZ[0] <= vco <= _VCO_MHZ[1]
                ):
                    found.append(one)
    best = min(found, key=lambda one: abs(one.output_mhz - output_mhz))
    if abs(best.output_mhz - output_mhz) <= _TOLERANCE * output_mhz:
        return best
    raise UserError(
        f"clock {output_mhz:g} MHz: the PLL cannot make it from {input_mhz:g} MHz "
        f"within {_TOLERANCE:.1%}: use {best.output_mhz:g}"
    )


class Ice40Pll(OneClock):
    """One clock from another; a wire where both are the same.

    Parameters
    ----------
    settings
        The dividers, see `pll_settings`.
    """

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        settings = self.settings
        if settings.divq == 0:
            m.d.comb += [self.clk_out.eq(self.clk_in), self.locked.eq(1)]
            return m
        m.submodules.pll = Instance(
            "SB_PLL40_CORE",
            p_FEEDBACK_PATH="SIMPLE",
            p_PLLOUT_SELECT="GENCLK",
            p_DIVR=settings.divr,
            p_DIVF=settings.divf,
            p_DIVQ=settings.divq,
            p_FILTER_RANGE=settings.filter_range,
            i_REFERENCECLK=self.clk_in,
            i_RESETB=1,
            i_BYPASS=0,
            o_PLLOUTGLOBAL=self.clk_out,
            o_LOCK=self.locked,
        )
        return m
