# SPDX-License-Identifier: Apache-2.0
"""Costs of the accelerator that `deltaloom generate` would write, from the exact cycle model, the
area model and the energy model; and whether it fits a board.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ..boards.flow.fits import fit_board
from ..boards.registry import find_board
from ..golden.evaluation.networks import AnyNetwork
from ..hw.compiler.fit import derive_config
from ..hw.compiler.plan import Plan
from ..hw.config import AcceleratorConfig
from ..hw.estimates.area import AreaEstimate, estimate_area
from ..hw.estimates.cycles import estimate_plan
from ..hw.estimates.energy import estimate_energy
from .cost import NETWORK, RUN
from .options import Options
from .work import Events, Found

if TYPE_CHECKING:
    from collections.abc import Sequence


def accelerator(network: AnyNetwork, found: Found) -> AcceleratorConfig:
    """The smallest accelerator that holds the network, with the candidate's settings."""
    options: Options = found.options
    settings = found.choice.settings
    return derive_config(
        network,
        word_bits=settings.get("word_bits", options.word_bits),
        lane_kind=settings.get("lanes", options.lanes),
        frames=options.longest,
    )


class Cycles:
    """Clock cycles of an average frame, with the events of the first frames that were run."""

    title, unit, more, needs = "cycles", "a frame", False, RUN

    def __call__(self, found: Found) -> float:
        plan = Plan.of(found.network, accelerator(found.network, found))
        return estimate_plan(plan, _first(found.events, found.options.steps)).cycles_per_step


class Latency(Cycles):
    """The same as time, at the options' clock."""

    title, unit = "latency", "us"

    def __call__(self, found: Found) -> float:
        options: Options = found.options
        return super().__call__(found) / options.clock_mhz


class Energy:
    """Energy of an average frame in standard cells, with the same events."""

    title, unit, more, needs = "energy", "nJ a frame", False, RUN

    def __call__(self, found: Found) -> float:
        plan = Plan.of(found.network, accelerator(found.network, found))
        return 1e9 * estimate_energy(plan, _first(found.events, found.options.steps)).total


@dataclass(frozen=True, slots=True)
class AreaCost:
    """A number of the area estimate for ECP5, buses included; read: which."""

    title: str
    read: Callable[[AreaEstimate], int]
    unit: str = ""
    more: bool = False
    needs: int = NETWORK

    def __call__(self, found: Found) -> float:
        return float(self.read(_area(accelerator(found.network, found))))


@lru_cache(maxsize=64)
def _area(config: AcceleratorConfig) -> AreaEstimate:
    return estimate_area(config)


def _first(events: "Sequence[Events]", steps: int) -> "list[Events]":
    """The events of the first so many steps."""
    kept: list[Events] = []
    for each in events:
        if steps <= 0:
            break
        kept.append({name: fired[:steps] for name, fired in each.items()})
        steps -= len(next(iter(each.values())))
    return [each for each in kept if len(next(iter(each.values())))]


def overuse(found: Found, board_name: str) -> float:
    """The largest part of a board's resource that the accelerator takes, less 1: above 0, too much.

    Resources are those of `BoardFit`; what the board's own top adds is left out.
    """
    fit = fit_board(accelerator(found.network, found), find_board(board_name))
    return max(used / there for used, there in fit.resources.values()) - 1


SILICON_COSTS: Mapping[str, Cycles | Energy | AreaCost] = {
    "cycles": Cycles(),
    "latency": Latency(),
    "energy": Energy(),
    "luts": AreaCost("LUTs", lambda area: area.luts),
    "flip-flops": AreaCost("flip-flops", lambda area: area.flip_flops),
    "multipliers": AreaCost("multipliers", lambda area: area.multipliers),
    "block-rams": AreaCost("block RAMs", lambda area: area.block_rams),
}
