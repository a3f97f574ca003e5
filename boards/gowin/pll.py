# SPDX-License-Identifier: Apache-2.0
"""Gowin's rPLL and its dividers, within the limits of the data sheets (DS117, DS226; UG286)."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Instance, Module

from ...golden.errors import UserError
from ..family.pll import OneClock

_OUT_DIVIDERS = (2, 4, 8, *range(16, 129, 16))
_VCO_MHZ = {"GW1NR-9C": (400.0, 1200.0), "GW2AR-18C": (500.0, 1250.0)}
_LEAST_DETECTOR_MHZ = 3.0
_TOLERANCE = 1e-3  # of the wanted rate
_STEPS = 16
"""Phases of the second output: it lags by a multiple of 22.5 degrees."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PllSettings:
    """Dividers: output = input * feedback_div / ref_div; the oscillator: output * output_div."""

    device: str
    input_mhz: float
    ref_div: int
    feedback_div: int
    output_div: int

    @property
    def output_mhz(self) -> float:
        """The clock that comes out."""
        return self.input_mhz * self.feedback_div / self.ref_div


def pll_settings(device: str, input_mhz: float, output_mhz: float) -> PllSettings:
    """Dividers for ``output_mhz``, of the exact ones those that compare phases most often.

    Raises UserError when nothing comes within 0.1 %, with the nearest rate that exists.
    """
    low, high = _VCO_MHZ[device]
    found = [
        PllSettings(
            device=device, input_mhz=input_mhz, ref_div=ref, feedback_div=feedback, output_div=out
        )
        for ref in range(1, 65)
        if input_mhz / ref >= _LEAST_DETECTOR_MHZ
        for feedback in range(1, 65)
        for out in _OUT_DIVIDERS
        if low <= input_mhz * feedback / ref * out <= high
    ]
    best = min(found, key=lambda one: (round(abs(one.output_mhz - output_mhz), 9), one.ref_div))
    if abs(best.output_mhz - output_mhz) <= _TOLERANCE * output_mhz:
        return best
    raise UserError(
        f"clock {output_mhz:g} MHz: the PLL cannot make it from {input_mhz:g} MHz "
        f"within {_TOLERANCE:.1%}: use {best.output_mhz:g}"
    )


class GowinPll(OneClock):
    """One clock from another.

    Parameters
    ----------
    settings
        The dividers, see `pll_settings`.
    ahead_ns
        By how much `clk_ahead` is ahead of `clk_out`, to a sixteenth of the period; None: it is
        not made.
    """

    def __init__(self, settings: PllSettings, *, ahead_ns: float | None = None) -> None:
        super().__init__(settings)
        self._ahead_ns = ahead_ns

    @property
    def second_output(self) -> dict[str, Any]:
        """Phase and port of the output that is ahead, which lags by the rest of a period.

        The port is there only where it is used: nextpnr would look for a way for its clock.
        """
        if self._ahead_ns is None:
            return {"p_PSDA_SEL": f"{0:04b}"}
        ahead = round(_STEPS * self._ahead_ns * self.settings.output_mhz / 1000)
        return {"p_PSDA_SEL": f"{-ahead % _STEPS:04b}", "o_CLKOUTP": self.clk_ahead}

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        settings = self.settings
        m.submodules.pll = Instance(
            "rPLL",
            p_DEVICE=settings.device,
            p_FCLKIN=f"{settings.input_mhz:g}",
            p_IDIV_SEL=settings.ref_div - 1,
            p_FBDIV_SEL=settings.feedback_div - 1,
            p_ODIV_SEL=settings.output_div,
            p_DYN_IDIV_SEL="false",
            p_DYN_FBDIV_SEL="false",
            p_DYN_ODIV_SEL="false",
            p_DYN_DA_EN="false",
            # high for half a period, whatever the phase
            p_DUTYDA_SEL="1000",
            **self.second_output,
            p_CLKFB_SEL="internal",
            p_CLKOUT_BYPASS="false",
            p_CLKOUTP_BYPASS="false",
            p_CLKOUTD_BYPASS="false",
            i_CLKIN=self.clk_in,
            i_CLKFB=0,
            i_RESET=0,
            i_RESET_P=0,
            i_FBDSEL=0,
            i_IDSEL=0,
            i_ODSEL=0,
            i_PSDA=0,
            i_DUTYDA=0,
            i_FDLY=0,
            o_CLKOUT=self.clk_out,
            o_LOCK=self.locked,
        )
        return m
