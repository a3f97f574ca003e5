# SPDX-License-Identifier: Apache-2.0
"""The kinds of cells: each one a description in a file of its own; docs/cells.md."""

from collections.abc import Mapping

from . import gru, ligru, linear, lstm, sru
from .cell import Cell
from .stages import Stage
from .state import Numbers, State

__all__ = ["CELLS", "ONE", "Q3_12", "Cell", "Numbers", "Stage", "State"]

Q3_12 = 3
"""Exponent of the pre-activations that enter sigmoid and tanh."""
ONE = 1 << 15
"""1 in Q0.15."""

_SHIPPED = (
    lstm.lstm,
    lstm.lstm_cifg,
    lstm.lstm_peephole,
    gru.gru,
    gru.gru_before,
    ligru.ligru,
    sru.sru,
    sru.sru4,
    sru.sru0,
    linear.linear,
)

CELLS: Mapping[str, Cell] = {cell.name: cell for cell in _SHIPPED}
"""Every cell that there is, by its kind."""
