# SPDX-License-Identifier: Apache-2.0
"""The FPGA families that boards are built for."""

from collections.abc import Mapping

from ..board import Board
from ..ecp5.family import Ecp5
from ..family.interface import Family
from ..gowin.family import Gowin
from ..ice40.family import Ice40

_FAMILIES: tuple[Family, ...] = (Ecp5(), Ice40(), Gowin())
FAMILIES: Mapping[str, Family] = {family.name: family for family in _FAMILIES}
"""Families by the name that boards have."""


def family_of(board: Board) -> Family:
    """The family that builds for ``board``."""
    return FAMILIES[board.family]
