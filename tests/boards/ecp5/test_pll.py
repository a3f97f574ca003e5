# SPDX-License-Identifier: Apache-2.0
"""The PLL's dividers: every crystal of our boards, and what is refused."""

import pytest
from amaranth.hdl import Fragment

from deltaloom.boards.ecp5.pll import Ecp5Pll, pll_settings
from deltaloom.golden.errors import UserError


@pytest.mark.parametrize("clock", [25.0, 40.0, 50.0, 80.0, 90.0, 100.0, 120.0, 125.0, 150.0])
def test_pll_makes_usual_clocks_exactly(clock: float) -> None:
    settings = pll_settings(25.0, clock)
    assert settings.output_mhz == pytest.approx(clock, rel=1e-9)
    assert 400 <= settings.vco_mhz <= 800
    assert settings.input_mhz / settings.ref_div >= 3.125


def test_pll_dividers_of_100_mhz() -> None:
    """What ecppll chooses."""
    settings = pll_settings(25.0, 100.0)
    assert (settings.ref_div, settings.feedback_div, settings.output_div) == (1, 4, 6)
    assert settings.vco_mhz == 600.0


@pytest.mark.parametrize(
    ("clock", "advice"),
    [(48.0, "use 46.875"), (101.9, "use 103.125"), (1000.0, "use 3.125 to 400")],
)
def test_pll_says_what_it_could_make(clock: float, advice: str) -> None:
    with pytest.raises(UserError, match=f"clock .* the PLL cannot make it .*: {advice}"):
        pll_settings(25.0, clock)


@pytest.mark.parametrize("crystal", [25.0, 48.0, 50.0, 100.0])
@pytest.mark.parametrize("clock", [60.0, 80.0, 90.0, 100.0, 120.0, 150.0])
def test_dividers_stay_within_the_limits_from_any_crystal(crystal: float, clock: float) -> None:
    settings = pll_settings(crystal, clock, speed=6)
    assert settings.output_mhz == pytest.approx(clock, rel=1e-3)
    assert settings.output_mhz == crystal / settings.ref_div * settings.feedback_div
    assert 400 <= settings.vco_mhz <= 800
    assert crystal / settings.ref_div >= 3.125
    for divider in (settings.ref_div, settings.feedback_div, settings.output_div):
        assert 1 <= divider <= 128


@pytest.mark.parametrize(("speed", "limit"), [(6, 257), (7, 303), (8, 370)])
def test_the_speed_grade_limits_the_clock(speed: int, limit: int) -> None:
    assert pll_settings(25.0, 250.0, speed=speed).output_mhz == pytest.approx(250.0)
    with pytest.raises(
        UserError, match=f"clock 375 MHz: .* speed grade {speed} carries at most {limit} MHz"
    ):
        pll_settings(25.0, 375.0, speed=speed)


def test_a_crystal_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"input_mhz must be 8 to 400, not 5\.0"):
        pll_settings(5.0, 100.0)


def test_the_component_knows_its_rate() -> None:
    pll = Ecp5Pll(pll_settings(48.0, 120.0))
    assert pll.output_mhz == pytest.approx(120.0)
    Fragment.get(pll, None)
