# SPDX-License-Identifier: Apache-2.0
"""The ECP5's PLL and its dividers, within the limits of its data sheet (FPGA-DS-02012)."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Instance, Module

from ...golden.errors import UserError
from ..family.pll import OneClock

_INPUT_MHZ = (8.0, 400.0)
_VCO_MHZ = (400.0, 800.0)
_DETECTOR_MHZ = (3.125, 400.0)
_CLOCK_TREE_MHZ = {6: 257.0, 7: 303.0, 8: 370.0}  # primary clocks, by speed grade
_MAX_DIVIDER = 128
_TOLERANCE = 1e-3  # of the wanted rate
_VCO_AIM_MHZ = 600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PllSettings:
    """Dividers of an EHXPLLL with feedback from its output.

    output = input / ref_div * feedback_div; VCO = output * output_div.
    """

    input_mhz: float
    ref_div: int
    feedback_div: int
    output_div: int

    @property
    def output_mhz(self) -> float:
        """The clock that comes out."""
        return self.input_mhz / self.ref_div * self.feedback_div

    @property
    def vco_mhz(self) -> float:
        """The oscillator's rate."""
        return self.output_mhz * self.output_div


def _candidates(input_mhz: float, output_mhz: float) -> list[tuple[float, float, PllSettings]]:
    """(error, distance of the VCO from its middle, settings) of all that the PLL can do."""
    found = []
    for ref in range(1, _MAX_DIVIDER + 1):
        detector = input_mhz / ref
        feedback = round(output_mhz / detector)
        if detector < _DETECTOR_MHZ[0] or not 1 <= feedback <= _MAX_DIVIDER:
            continue
        for out in range(1, _MAX_DIVIDER + 1):
            settings = PllSettings(
                input_mhz=input_mhz, ref_div=ref, feedback_div=feedback, output_div=out
            )
            if _VCO_MHZ[0] <= settings.vco_mhz <= _VCO_MHZ[1]:
                error = abs(settings.output_mhz - output_mhz)
                found.append((error, abs(settings.vco_mhz - _VCO_AIM_MHZ), settings))
    return found


def pll_settings(input_mhz: float, output_mhz: float, *, speed: int | None = None) -> PllSettings:
    """Dividers for ``output_mhz``; among exact ones those with the VCO nearest to 600 MHz.

    ``speed``: the part's speed grade; its clock tree's limit then holds besides the PLL's own.

    Raises UserError when nothing comes within 0.1 %, with the nearest rates that exist.
    """
    if not _INPUT_MHZ[0] <= input_mhz <= _INPUT_MHZ[1]:
        low, high = _INPUT_MHZ
        raise ValueError(f"input_mhz must be {low:g} to {high:g}, not {input_mhz!r}")
    if speed is not None and output_mhz > _CLOCK_TREE_MHZ[speed]:
        raise UserError(
            f"clock {output_mhz:g} MHz: the clock tree of speed grade {speed} carries at most "
            f"{_CLOCK_TREE_MHZ[speed]:g} MHz: use a slower clock"
        )
    found = _candidates(input_mhz, output_mhz)
    if found:
        error, _, best = min(found, key=lambda entry: (round(entry[0], 9), entry[1]))
        if error <= _TOLERANCE * output_mhz:
            return best
    way = f"use {_VCO_MHZ[0] / _MAX_DIVIDER:g} to {_VCO_MHZ[1] / 2:g}"
    if found:
        way = f"use {min(found, key=lambda entry: entry[0])[2].output_mhz:g}"
    raise UserError(
        f"clock {output_mhz:g} MHz: the PLL cannot make it from {input_mhz:g} MHz "
        f"within {_TOLERANCE:.1%}: {way}"
    )


class Ecp5Pll(OneClock):
    """One clock from another.

    Parameters
    ----------
    settings
        The dividers, see `pll_settings`.
    ahead_ns
        By how much `clk_ahead` is ahead of `clk_out`, to an eighth of the oscillator's period;
        None: it is not made.
    """

    def __init__(self, settings: PllSettings, *, ahead_ns: float | None = None) -> None:
        super().__init__(settings)
        self._ahead_ns = ahead_ns

    @property
    def second_output(self) -> dict[str, Any]:
        """Parameters and port of the output that is ahead, which lags by the rest of a period."""
        if self._ahead_ns is None:
            return {}
        divider = self.settings.output_div
        eighths = round(8e-3 * self._ahead_ns * self.settings.vco_mhz) % (8 * divider)
        cycles, phase = divmod(8 * divider - eighths, 8)
        return {
            "a_FREQUENCY_PIN_CLKOS": f"{self.settings.output_mhz:g}",
            "p_CLKOS_ENABLE": "ENABLED",
            "p_CLKOS_DIV": divider,
            "p_CLKOS_CPHASE": divider // 2 + cycles,
            "p_CLKOS_FPHASE": phase,
            "o_CLKOS": self.clk_ahead,
        }

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        settings = self.settings
        m.submodules.pll = Instance(
            "EHXPLLL",
            # what nextpnr derives the output's constraint from, and the analog part's settings
            a_FREQUENCY_PIN_CLKI=f"{settings.input_mhz:g}",
            a_FREQUENCY_PIN_CLKOP=f"{settings.output_mhz:g}",
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            p_PLLRST_ENA="DISABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA",
            p_OUTDIVIDER_MUXB="DIVB",
            p_OUTDIVIDER_MUXC="DIVC",
            p_OUTDIVIDER_MUXD="DIVD",
            p_CLKI_DIV=settings.ref_div,
            p_CLKFB_DIV=settings.feedback_div,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=settings.output_div,
            p_CLKOP_CPHASE=settings.output_div // 2,
            p_CLKOP_FPHASE=0,
            p_FEEDBK_PATH="CLKOP",
            **self.second_output,
            i_RST=0,
            i_STDBY=0,
            i_CLKI=self.clk_in,
            i_CLKFB=self.clk_out,
            i_PHASESEL0=0,
            i_PHASESEL1=0,
            i_PHASEDIR=1,
            i_PHASESTEP=1,
            i_PHASELOADREG=1,
            i_PLLWAKESYNC=0,
            i_ENCLKOP=0,
            o_CLKOP=self.clk_out,
            o_LOCK=self.locked,
        )
        return m
