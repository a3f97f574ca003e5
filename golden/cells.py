# SPDX-License-Identifier: Apache-2.0
"""What each kind of cell is: its gates, its state, and one step of it in integers and in floats.

A cell turns the gates' pre-activations into the next state, unit by unit; the matrix-vector
products before it belong to the layer's paths. To add a cell, add an entry to `CELLS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from . import activations
from .arithmetic import Ints, Reals, rshr, sat16

Q3_12 = 3
"""Exponent of the pre-activations that enter sigmoid and tanh."""


class State(NamedTuple):
    """A layer's state over units: c int16 Q(e_c).(15-e_c), h int16 Q(e_h).(15-e_h), or reals."""

    c: np.ndarray
    h: np.ndarray


@dataclass(frozen=True)
class Cell:
    """One kind of cell.

    gates: names of the pre-activations that the cell takes, in the order of its bias rows.
    sources: what its paths may read; "h" makes the layer recurrent.
    step: (p by gate, state before, e_c) -> state after, on int16 values held in int64.
    float_step: (p by gate, state before) -> state after, in float64.
    gate_exponent: exponent of the pre-activations' format; None: the layer's output exponent.
    bounded: h stays within +-1, so its exponent is 0 and needs no calibration.
    has_c: there is a cell state besides h.
    """

    gates: tuple[str, ...]
    sources: tuple[str, ...]
    step: Callable[[Mapping[str, Ints], State, int], State]
    float_step: Callable[[Mapping[str, Reals], State], State]
    gate_exponent: int | None
    bounded: bool
    has_c: bool

    @property
    def recurrent(self) -> bool:
        return "h" in self.sources


def _lstm(p: Mapping[str, Ints], state: State, e_c: int) -> State:
    sigmoid, tanh = activations.sigmoid(), activations.tanh()
    i, f, g, o = sigmoid(p["i"]), sigmoid(p["f"]), tanh(p["g"]), sigmoid(p["o"])
    c = sat16(rshr(f * state.c, 15) + rshr(i * g, 15 + e_c))
    h = sat16(rshr(o * tanh(sat16(rshr(c, Q3_12 - e_c))), 15))
    return State(c, h)


def _lstm_float(p: Mapping[str, Reals], state: State) -> State:
    i, f, o = (0.5 + 0.5 * np.tanh(0.5 * p[gate]) for gate in "ifo")  # sigmoid, never overflows
    c = f * state.c + i * np.tanh(p["g"])
    return State(c, o * np.tanh(c))


def _linear(p: Mapping[str, np.ndarray], state: State, e_c: int = 0) -> State:
    return State(state.c, p["y"])


CELLS: Mapping[str, Cell] = {
    # Hochreiter and Schmidhuber 1997 with forget gate, no peepholes; gate order as in PyTorch.
    "lstm": Cell(("i", "f", "g", "o"), ("x", "h"), _lstm, _lstm_float, Q3_12, True, True),
    "linear": Cell(("y",), ("x",), _linear, _linear, None, False, False),
}
