# SPDX-License-Identifier: Apache-2.0
"""Gowin's devices as the build flow sees them: see `boards.family.interface.Family`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...hw.config import AcceleratorConfig
from ...hw.estimates.area import AreaEstimate
from ..board import Board, Device
from ..family.memory import Memory
from ..family.results import Pace, Placed
from ..nextpnr.layout import Packer, lay_out
from ..tools.process import Progress
from .area import estimate
from .pll import GowinPll, pll_settings
from .synthesis import Netlist, lut_places, synthesize


class Gowin:
    """Yosys (pyosys), nextpnr-himbaechel-gowin and gowin_pack."""

    name = "gowin"
    constraints = ".cst"
    window = 2048
    keeps_weights = True
    margin = 1.3  # ECP5's estimate, with factors
    placer = "nextpnr-himbaechel-gowin"
    pace: Pace | None = None

    def tools(self, *, synth_only: bool) -> tuple[str, ...]:
        """The programs that a build runs."""
        return ("pyosys",) if synth_only else ("pyosys", self.placer, "gowin_pack")

    def area(self, config: AcceleratorConfig) -> AreaEstimate:
        """ECP5's, with factors: see `area`."""
        return estimate(config)

    def store(self, config: AcceleratorConfig) -> None:
        """Block RAM."""

    def fit(
        self, memories: Sequence[Memory], *, board: Board, others: Mapping[str, Device]
    ) -> None:
        """Nothing: how memories are mapped is known after synthesis, which takes a minute."""

    def clock_mhz(self, board: Board, wanted_mhz: float) -> float:
        """What the PLL makes of the board's crystal, within 0.1 % of what is wanted."""
        return pll_settings(board.device.name, board.clock_in_mhz, wanted_mhz).output_mhz

    def pll(self, board: Board, wanted_mhz: float, *, ahead_ns: float | None = None) -> GowinPll:
        """An rPLL."""
        settings = pll_settings(board.device.name, board.clock_in_mhz, wanted_mhz)
        return GowinPll(settings, ahead_ns=ahead_ns)

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
        """nextpnr-himbaechel-gowin, then gowin_pack."""
        die = board.device.nextpnr
        layout = lay_out(
            netlist,
            placer=self.placer,
            options=[
                *("--device", board.package, "--vopt", f"family={die}"),
                *("--vopt", "cst=design.cst", "--write", "placed.json"),
            ],
            freq_mhz=clock_mhz,
            workdir=workdir,
            files={"design.cst": constraints},
            packer=Packer(
                tool="gowin_pack",
                arguments=(
                    *("-d", die, "-o", "design.fs", "--sspi_as_gpio", "--mspi_as_gpio"),
                    "placed.json",
                ),
                output="design.fs",
            ),
            seed=seed,
            progress=progress,
        )
        usage, used = layout.timing.usage, netlist.resources(board.device)
        return layout.placed(
            luts=lut_places(usage), ffs=usage["DFF"], brams=used.brams, dsps=used.dsps
        )
