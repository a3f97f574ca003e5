# SPDX-License-Identifier: Apache-2.0
"""The interface of an FPGA family: all that the build flow asks, so that it names none.

A family is a package beside `ecp5` with a class like `ecp5.family.Ecp5`, entered in
`flow.families.FAMILIES`; its device table and its boards' files come with it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from amaranth.hdl import Elaboratable, Signal

from ...hw.config import AcceleratorConfig
from ...hw.estimates.area import AreaEstimate
from ..board import Board, Device
from ..tools.process import Progress
from .memory import Memory
from .netlist import SynthesizedDesign
from .results import Pace, Placed


class Pll(Protocol):
    """A component that makes one clock from another.

    Members
    -------
    clk_in: in, 1 bit: the crystal's clock
    clk_out: out, 1 bit: the clock for a domain
    clk_ahead: out, 1 bit: one of the same rate for what is beside the FPGA, where it is asked for
    locked: out, 1 bit: the clock is steady; asynchronous
    """

    clk_in: Signal
    clk_out: Signal
    clk_ahead: Signal
    locked: Signal

    @property
    def output_mhz(self) -> float:
        """The rate that comes out."""

    def elaborate(self, platform: Any) -> Elaboratable:
        """As Amaranth asks."""


class Family(Protocol):
    """What an FPGA family's tools and estimates do. All of it raises UserError."""

    @property
    def name(self) -> str:
        """As `Board.family` has it."""

    @property
    def constraints(self) -> str:
        """How the file of pins and clocks ends, among the files of Amaranth's build plan."""

    @property
    def window(self) -> int:
        """Bytes of the serial link's buffers."""

    @property
    def keeps_weights(self) -> bool:
        """Whether the bitstream holds the network's weights; otherwise the host loads them."""

    @property
    def margin(self) -> float:
        """How much over what is there an estimate may be and the design fit all the same."""

    @property
    def pace(self) -> Pace | None:
        """How long its tools take; None: not known."""

    @property
    def placer(self) -> str:
        """The program, of `tools`, that places and routes."""

    def tools(self, *, synth_only: bool) -> tuple[str, ...]:
        """Names, for `tools.toolchain.require`, of the programs that a build runs."""

    def area(self, config: AcceleratorConfig) -> AreaEstimate:
        """What the accelerator takes, estimated without building it."""

    def store(self, config: AcceleratorConfig) -> Any:
        """Where the weights live, with the ports of `BlockRamStore`; None: in block RAM."""

    def fit(
        self, memories: Sequence[Memory], *, board: Board, others: Mapping[str, Device]
    ) -> None:
        """Refuse a design whose memories do not fit; the error names which of `others` would do."""

    def clock_mhz(self, board: Board, wanted_mhz: float) -> float:
        """The rate nearest to the wanted one that `pll` can make, which may be a bit beside it."""

    def pll(self, board: Board, wanted_mhz: float, *, ahead_ns: float | None = None) -> Pll:
        """The clock's source: from the board's crystal, within its speed grade's limits.

        ahead_ns: by how much `clk_ahead` is ahead; None: nothing uses it.
        """

    def synthesize(
        self, rtlil: str, *, top: str, workdir: Path, progress: Progress
    ) -> SynthesizedDesign:
        """RTLIL to a netlist, kept below `workdir`; what `place_and_route` takes."""

    def place_and_route(
        self,
        netlist: Any,
        *,
        board: Board,
        constraints: str,
        clock_mhz: float,
        seed: int,
        workdir: Path,
        progress: Progress,
    ) -> Placed:
        """Netlist to bitstream (placed, routed, packed), kept below `workdir`.

        A clock that is not reached is a result and no error.
        """
