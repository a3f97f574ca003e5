# SPDX-License-Identifier: Apache-2.0
"""Whether an accelerator fits the boards, by its family's area estimate: nothing is elaborated."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from ...golden.errors import UserError
from ...hw.config import AcceleratorConfig
from ...hw.estimates.area import AreaEstimate
from ..board import Board
from ..registry import BOARDS
from .families import family_of


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardFit:
    """An accelerator on a board, by estimate, without what the board's own top adds.

    Members
    -------
    board: its name.
    luts, block_rams, multipliers, sprams: (used, there).
    memory: whether the board has the memory that the weights are in.
    """

    board: str
    luts: tuple[int, int]
    block_rams: tuple[int, int]
    multipliers: tuple[int, int]
    sprams: tuple[int, int] = (0, 0)
    memory: bool = True

    @property
    def resources(self) -> Mapping[str, tuple[int, int]]:
        """(used, there) by what it is."""
        return {
            "LUT4s": self.luts,
            "block RAMs": self.block_rams,
            "multipliers": self.multipliers,
            **({"SPRAMs": self.sprams} if self.sprams[1] else {}),
        }

    @property
    def fits(self) -> bool:
        """Whether there is enough of everything."""
        return self.memory and all(used <= there for used, there in self.resources.values())


def fit_boards(config: AcceleratorConfig) -> tuple[BoardFit, ...]:
    """The accelerator on each board, in their order."""
    areas = {board.family: family_of(board).area(config) for board in BOARDS.values()}
    return tuple(_fit(config, board, areas[board.family]) for board in BOARDS.values())


def fit_board(config: AcceleratorConfig, board: Board) -> BoardFit:
    """The accelerator on one board."""
    return _fit(config, board, family_of(board).area(config))


def _fit(config: AcceleratorConfig, board: Board, area: AreaEstimate) -> BoardFit:
    device = board.device
    return BoardFit(
        board=board.name,
        luts=(area.luts, device.luts),
        block_rams=(area.block_rams, device.brams),
        multipliers=(area.multipliers, device.dsps),
        sprams=(area.sprams, device.sprams),
        memory=not config.sdram or config.weight_memory == board.sdram,
    )


def check_fit(config: AcceleratorConfig, board: Board) -> None:
    """UserError, at once, where the estimate is sure that the board is too small."""
    fits = fit_boards(config)
    own = next(fit for fit in fits if fit.board == board.name)
    for what, (used, there) in own.resources.items():
        if used <= family_of(board).margin * there:
            continue
        larger = min((fit for fit in fits if fit.fits), key=partial(_there, what), default=None)
        way = (
            "quantize to fewer bits, use fewer units"
            if what in ("block RAMs", "SPRAMs")
            else "use narrower weight words (--word-bits)"
        )
        if what == "LUT4s" and not config.hardwired:
            way += ", put the network into the logic (--hardwired)"
        beside = "" if larger is None else f" or build for {larger.board}"
        raise UserError(
            f"{board.name}: the accelerator takes about {used:,} {what}, there are {there:,}: "
            f"{way}{beside}"
        )


def _there(what: str, fit: BoardFit) -> tuple[int, int]:
    """How much of a resource a board has, none where its family has no such; then its LUTs."""
    return fit.resources.get(what, (0, 0))[1], fit.luts[1]
