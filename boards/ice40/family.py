# SPDX-License-Identifier: Apache-2.0
"""The iCE40 UltraPlus as the build flow sees it: see `boards.family.interface.Family`."""

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
from .pll import Ice40Pll, pll_settings
from .spram import SpramStore
from .synthesis import Netlist, synthesize

_PACKER = Packer(tool="icepack", arguments=("design.asc", "design.bin"), output="design.bin")


class Ice40:
    """Yosys (pyosys), nextpnr-ice40 and icepack; weights are in SPRAM, loaded by the host."""

    name = "ice40"
    constraints = ".pcf"
    window = 512
    keeps_weights = False
    margin = 1.3  # ECP5's estimate, with factors
    placer = "nextpnr-ice40"
    pace: Pace | None = None

    def tools(self, *, synth_only: bool) -> tuple[str, ...]:
        """The programs that a build runs."""
        return ("pyosys",) if synth_only else ("pyosys", self.placer, "icepack")

    def area(self, config: AcceleratorConfig) -> AreaEstimate:
        """ECP5's, with factors: see `area`."""
        return estimate(config)

    def store(self, config: AcceleratorConfig) -> SpramStore:
        """SPRAM."""
        return SpramStore(depth=config.weight_words, word_bits=config.word_bits)

    def fit(
        self, memories: Sequence[Memory], *, board: Board, others: Mapping[str, Device]
    ) -> None:
        """Nothing: how memories are mapped is known after synthesis, which takes a minute."""

    def clock_mhz(self, board: Board, wanted_mhz: float) -> float:
        """What the PLL makes of the board's crystal, within 0.1 % of what is wanted."""
        return pll_settings(board.clock_in_mhz, wanted_mhz).output_mhz

    def pll(self, board: Board, wanted_mhz: float, *, ahead_ns: float | None = None) -> Ice40Pll:
        """An SB_PLL40_CORE; none for the crystal's own rate."""
        if ahead_ns is not None:
            raise ValueError("ahead_ns: no board of this family tells of an SDRAM")
        return Ice40Pll(pll_settings(board.clock_in_mhz, wanted_mhz))

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
        """nextpnr-ice40, then icepack. LUTs are nextpnr's logic cells."""
        options = [f"--{board.device.nextpnr}", "--package", board.package.lower()]
        options += ["--pcf", "design.pcf", "--asc", "design.asc"]
        layout = lay_out(
            netlist,
            placer=self.placer,
            options=options,
            freq_mhz=clock_mhz,
            workdir=workdir,
            files={"design.pcf": constraints},
            packer=_PACKER,
            seed=seed,
            progress=progress,
        )
        usage = layout.timing.usage
        return layout.placed(
            luts=usage["ICESTORM_LC"],
            ffs=netlist.resources(board.device).ffs,
            brams=usage["ICESTORM_RAM"],
            dsps=usage["ICESTORM_DSP"],
            sprams=usage["ICESTORM_SPRAM"],
        )
