# SPDX-License-Identifier: Apache-2.0
"""Gowin's PLL: dividers against the data sheets' limits, and the phase of its second output."""

import gc

import pytest

from deltaloom.boards.gowin.pll import GowinPll, pll_settings
from deltaloom.golden.errors import UserError

LIMITS = {"GW1NR-9C": (400, 1200), "GW2AR-18C": (500, 1250)}


@pytest.mark.parametrize("device", LIMITS)
@pytest.mark.parametrize("mhz", [13.5, 27.0, 30.0, 40.5, 54.0, 67.5, 81.0])
def test_dividers_are_within_limits(device: str, mhz: float) -> None:
    found = pll_settings(device, 27.0, mhz)
    assert found.output_mhz == pytest.approx(mhz, rel=1e-3)
    low, high = LIMITS[device]
    assert low <= found.output_mhz * found.output_div <= high
    assert 27.0 / found.ref_div >= 3 and found.output_div in (2, 4, 8, *range(16, 129, 16))
    assert 1 <= found.ref_div <= 64 and 1 <= found.feedback_div <= 64


def test_a_rate_that_cannot_be_made() -> None:
    with pytest.raises(UserError, match=r"clock 2000 MHz: the PLL cannot make .* use 594"):
        pll_settings("GW1NR-9C", 27.0, 2000.0)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("mhz", [27.0, 54.0, 81.0])
def test_the_second_output_is_ahead(mhz: float) -> None:
    """It lags by what is left of a period, to half a step of 22.5 degrees."""
    period = 1000.0 / mhz
    for ahead in (0.0, 1.0, 3.0, 9.0, period - 0.1, period + 2.0):
        second = GowinPll(pll_settings("GW2AR-18C", 27.0, mhz), ahead_ns=ahead).second_output
        lag = int(second["p_PSDA_SEL"], 2) * 22.5 / 360 * period
        error = (-lag - ahead + period / 2) % period - period / 2
        assert len(second["p_PSDA_SEL"]) == 4 and "o_CLKOUTP" in second
        assert abs(error) <= period / 32 + 1e-9
    gc.collect()


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_no_second_output_unless_asked_for() -> None:
    second = GowinPll(pll_settings("GW2AR-18C", 27.0, 54.0)).second_output
    assert second == {"p_PSDA_SEL": "0000"}
    gc.collect()
