# SPDX-License-Identifier: Apache-2.0
"""What outlives a step of a float LSTM network, by name: `models.states` once more.

The names are those that float models have: "LAYER.c" [sequences, cells] and "LAYER.h" [sequences,
outputs], which with a projection is "LAYER.projection.h".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arithmetic import Ints, Reals
from ..errors import UserError
from .float_layers import FloatAny, FloatLinear, FloatLstm
from .float_network import FloatNetwork
from .shape import LstmShape

States = Mapping[str, npt.NDArray[np.floating]]


@dataclass(frozen=True, slots=True)
class FloatState:
    """A layer between two frames, of n sequences: c [n, cells] and h [n, outputs], reals; without
    columns for a linear layer.
    """

    c: Reals
    h: Reals

    def of(self, rows: Ints) -> "FloatState":
        """Of these sequences, as a copy."""
        return FloatState(self.c[rows], self.h[rows])


def first_float_state(layer: FloatAny, sequences: int) -> FloatState:
    """Before the first frame of so many sequences."""
    if isinstance(layer, FloatLinear):
        nothing = np.zeros((sequences, 0))
        return FloatState(nothing, nothing)
    c = np.tile(layer.initial.get("c", np.zeros(layer.cells)), (sequences, 1))
    h = np.tile(layer.initial.get("h", np.zeros(layer.outputs)), (sequences, 1))
    return FloatState(c, h)


def first_reals(network: FloatNetwork, states: States, count: int) -> tuple[FloatState, ...]:
    """Before the first step of `count` sequences, by layer.

    Parameters
    ----------
    states: some names, [count, cells or outputs]; the others start as the network does.

    Raises UserError for a name that is no state of the network, and for another shape.
    """
    given = checked_states(network.layers, states, count)
    found = []
    for layer in network.layers:
        state = first_float_state(layer, count)
        if isinstance(layer, FloatLstm):
            c, h = state_names(layer)
            state = FloatState(given.get(c, state.c), given.get(h, state.h))
        found.append(state)
    return tuple(found)


def named_reals(network: FloatNetwork, states: Sequence[FloatState]) -> dict[str, Reals]:
    """Real values by name, of reals by layer."""
    found: dict[str, Reals] = {}
    for layer, state in zip(network.layers, states, strict=True):
        if isinstance(layer, FloatLstm):
            found |= zip(state_names(layer), (state.c, state.h), strict=True)
    return found


def state_names(layer: Any) -> tuple[str, str]:
    """Of an LSTM layer's c and h."""
    return f"{layer.name}.c", f"{layer.name}{'.projection' * (layer.projection is not None)}.h"


def checked_states(layers: Sequence[Any], states: States, count: int) -> dict[str, Reals]:
    """The states that are given, in float64; layers: of an LSTM network of either kind."""
    widths: dict[str, int] = {}
    for layer in layers:
        if isinstance(layer, LstmShape):
            widths |= zip(state_names(layer), (layer.cells, layer.outputs), strict=True)
    for name, values in states.items():
        if name not in widths:
            names = ", ".join(widths) or "none"
            raise UserError(f"state {name}: the network has no such state; it has {names}")
        wanted = (count, widths[name])
        if np.shape(values) != wanted:
            raise UserError(f"state {name}: shape {np.shape(values)}, expected {[*wanted]}")
        if not np.isfinite(values).all():
            raise UserError(f"state {name}: a value is NaN or infinite; clean the data first")
    return {name: np.asarray(values, np.float64) for name, values in states.items()}
