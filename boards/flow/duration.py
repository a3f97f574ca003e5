# SPDX-License-Identifier: Apache-2.0
"""How long a build takes, said beforehand from its size.

`SYNTHESIS` and `PLACE_AND_ROUTE` are processor seconds a LUT of the area estimate, of builds with
pyosys 0.70 and YoWASP's nextpnr 0.11 ("How long a build takes" in docs/area.md). A native nextpnr
is several times as fast; what it takes is not estimated.
"""

from dataclasses import dataclass

from ..board import Board
from ..tools.toolchain import Tool, require
from .families import family_of

SYNTHESIS = 0.010
PLACE_AND_ROUTE = 0.034
PLACERS = ("nextpnr",)
"""How the names of programs that place and route begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Duration:
    """An estimate, of a processor core that has nothing else to do.

    Members
    -------
    synthesis: seconds.
    place_and_route: seconds; None where it is not estimated, 0 where it is not done.
    placer: the program that does it, None where it is not done.
    """

    synthesis: float
    place_and_route: float | None
    placer: Tool | None

    def __str__(self) -> str:
        parts = f"synthesis {_minutes(self.synthesis)}"
        if self.placer is None:
            return f"estimated time on an idle core: {parts}"
        how = f"{self.placer.name} {self.placer.version}"
        if self.place_and_route is None:
            return (
                f"estimated time on an idle core: {parts}, place and route some minutes "
                f"({how}, native)"
            )
        return (
            f"estimated time on an idle core: {_minutes(self.synthesis + self.place_and_route)}: "
            f"{parts}, place and route {_minutes(self.place_and_route)} ({how} in WebAssembly; a "
            "native one on PATH would be used and takes less)"
        )


def estimate_duration(luts: int, board: Board, *, synth_only: bool) -> Duration:
    """Of a design of so many LUTs, by estimate.

    Raises UserError where a program is missing.
    """
    names = family_of(board).tools(synth_only=synth_only)
    placers = [require(name) for name in names if name.startswith(PLACERS)]
    placer = placers[0] if placers else None
    place: float | None = 0.0
    if placer is not None:
        place = PLACE_AND_ROUTE * luts if placer.webassembly else None
    return Duration(synthesis=SYNTHESIS * luts, place_and_route=place, placer=placer)


def _minutes(seconds: float) -> str:
    """In words, no finer than an estimate is."""
    if seconds < 90:
        return f"{max(10, round(seconds / 10) * 10):.0f} s"
    return f"{seconds / 60:.0f} min"
