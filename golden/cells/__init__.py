# SPDX-License-Identifier: Apache-2.0
"""The kinds of cells: each one a description in a file of its own; docs/cells.md."""

from . import (
    elman,
    fast_grnn,
    gru,
    gru_norm,
    ind_rnn,
    janet,
    layer_norm,
    ligru,
    ligru_norm,
    linear,
    lstm,
    lstm_norm,
    min_gru,
    min_lstm,
    qrnn,
    sru,
)
from .cell import Cell, describe
from .registry import CELLS, load_cells, register
from .stages import Stage
from .state import Numbers, State

__all__ = [
    "CELLS",
    "ONE",
    "Q3_12",
    "Cell",
    "Numbers",
    "Stage",
    "State",
    "describe",
    "load_cells",
    "register",
]

Q3_12 = 3
"""Exponent of the pre-activations that enter sigmoid and tanh."""
ONE = 1 << 15
"""1 in Q0.15."""

_FILES = (
    *(lstm, gru, ligru, sru, elman, min_gru, min_lstm, janet, ind_rnn, fast_grnn, qrnn),
    *(linear, layer_norm, lstm_norm, gru_norm, ligru_norm),
)

for _file in _FILES:
    for _cell in vars(_file).values():
        if isinstance(_cell, Cell):
            register(_cell)
