# SPDX-License-Identifier: Apache-2.0
"""How long a build takes, said beforehand from its size and its family's pace."""

from dataclasses import dataclass

from ..board import Board
from ..tools.toolchain import Tool, require
from .families import family_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Duration:
    """An estimate, of a processor core that has nothing else to do.

    Members
    -------
    synthesis: seconds; None where it is not estimated.
    place_and_route: the same; 0 where it is not done.
    placer: the program that does it, None where it is not done.
    """

    synthesis: float | None
    place_and_route: float | None
    placer: Tool | None

    def __str__(self) -> str:
        if self.synthesis is None:
            return "how long it takes is not estimated for this family"
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
    family = family_of(board)
    names = family.tools(synth_only=synth_only)
    placer = require(family.placer) if family.placer in names else None
    place: float | None = 0.0
    if placer is not None:
        paced = family.pace if placer.webassembly else None
        place = paced.place_and_route * luts if paced else None
    synthesis = family.pace.synthesis * luts if family.pace else None
    return Duration(synthesis=synthesis, place_and_route=place, placer=placer)


def _minutes(seconds: float) -> str:
    """In words, no finer than an estimate is."""
    if seconds < 90:
        return f"{max(10, round(seconds / 10) * 10):.0f} s"
    return f"{seconds / 60:.0f} min"
