# SPDX-License-Identifier: Apache-2.0
"""The ECP5 as the build flow sees it: see `boards.family.interface.Family`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...hw.config import AcceleratorConfig
from ...hw.estimates.area import AreaEstimate, estimate_area
from ..board import Board, Device
from ..family.memory import Memory
from ..family.results import Pace, Placed
from ..tools.process import Progress
from .devices import fit
from .place_and_route import place_and_route
from .pll import Ecp5Pll, pll_settings
from .synthesis import Netlist, synthesize


class Ecp5:
    """Yosys (pyosys), nextpnr-ecp5 and ecppack."""

    name = "ecp5"
    constraints = ".lpf"
    window = 2048
    keeps_weights = True
    margin = 1.05  # LUTs are estimated to 5 %
    placer = "nextpnr-ecp5"
    pace = Pace(synthesis=0.010, place_and_route=0.034)  # docs/area.md, "How long a build takes"

    def tools(self, *, synth_only: bool) -> tuple[str, ...]:
        """The programs that a build runs."""
        return ("pyosys",) if synth_only else ("pyosys", self.placer, "ecppack")

    def area(self, config: AcceleratorConfig) -> AreaEstimate:
        """Fitted to what Yosys makes of some hundred accelerators, see `hw.estimates`."""
        return estimate_area(config)

    def store(self, config: AcceleratorConfig) -> None:
        """Block RAM."""

    def fit(
        self, memories: Sequence[Memory], *, board: Board, others: Mapping[str, Device]
    ) -> None:
        """Refuse what takes more block RAMs or LUTs than the device has."""
        fit(memories, device=board.device, name=board.name, others=others)

    def clock_mhz(self, board: Board, wanted_mhz: float) -> float:
        """What the board's crystal and speed grade allow, within 0.1 % of what is wanted."""
        return pll_settings(board.clock_in_mhz, wanted_mhz, speed=board.speed).output_mhz

    def pll(self, board: Board, wanted_mhz: float, *, ahead_ns: float | None = None) -> Ecp5Pll:
        """An EHXPLLL, fed back from its output."""
        settings = pll_settings(board.clock_in_mhz, wanted_mhz, speed=board.speed)
        return Ecp5Pll(settings, ahead_ns=ahead_ns)

    def synthesize(self, rtlil: str, *, top: str, workdir: Path, progress: Progress) -> Netlist:
        """See `synthesis`."""
        return synthesize(rtlil, top=top, workdir=workdir, progress=progress)

    def place_and_route(
        self,
        netlist: Netlist,
        *,
        board: Board,
        constraints: str,
        clock_mhz: float,
        seed: int,
        workdir: Path,
        progress: Progress,
    ) -> Placed:
        """See `place_and_route`; the bitstream is packed there, too."""
        layout = place_and_route(
            netlist,
            device=board.device.nextpnr,
            package=board.package,
            speed=board.speed,
            freq_mhz=clock_mhz,
            lpf=constraints,
            seed=seed,
            workdir=workdir,
            progress=progress,
        )
        usage = layout.timing.usage
        return layout.placed(
            luts=usage["TRELLIS_COMB"],
            ffs=usage["TRELLIS_FF"],
            brams=usage["DP16KD"],
            dsps=usage["MULT18X18D"],
        )
