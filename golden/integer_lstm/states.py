# SPDX-License-Identifier: Apache-2.0
"""What outlives a step of an integer-only LSTM network, in real values and as codes."""

from collections.abc import Sequence

import numpy as np

from ..arithmetic import Ints, Reals
from ..errors import UserError
from .arithmetic import away_from_zero, clamp16
from .float_states import States, checked_states, state_names
from .layers import IntegerLstm
from .network import IntegerNetwork
from .steps import State, first_state


def first_codes(network: IntegerNetwork, states: States, count: int) -> tuple[State, ...]:
    """Before the first step of `count` sequences, by layer, as codes.

    Parameters
    ----------
    states: some names, [count, cells or outputs]; the others start as the network does.

    Raises UserError for a name that is no state of the network, for another shape, and for what its
    codes do not hold.
    """
    given = checked_states(network.layers, states, count)
    found = []
    for layer in network.layers:
        state = first_state(layer, count)
        if isinstance(layer, IntegerLstm):
            c, h = (given.get(name) for name in state_names(layer))
            codes = state.h if h is None else _h_codes(layer, h)
            kept = state.c if c is None else _c_codes(layer, c)
            state = State(kept, codes, {**state.taken, "h": codes})
        found.append(state)
    return tuple(found)


def reals_of(network: IntegerNetwork, states: Sequence[State]) -> dict[str, Reals]:
    """Real values by name, of codes by layer."""
    found: dict[str, Reals] = {}
    for layer, state in zip(network.layers, states, strict=True):
        if isinstance(layer, IntegerLstm):
            c, h = state_names(layer)
            found[c] = np.asarray(state.c * 2.0**layer.cell_log2, np.float64)
            found[h] = layer.y.real(state.h)
    return found


def _c_codes(layer: IntegerLstm, values: Reals) -> Ints:
    most = 2.0 ** (15 + layer.cell_log2)
    _check_range(state_names(layer)[0], values, -most, most)
    return clamp16(away_from_zero(values * 2.0**-layer.cell_log2, 1 << 15))


def _h_codes(layer: IntegerLstm, values: Reals) -> Ints:
    low, high = layer.y.real(np.array([-128, 127])).tolist()
    half = layer.y.scale / 2
    _check_range(state_names(layer)[1], values, low - half, high + half)
    return layer.y.codes(values)


def _check_range(name: str, values: Reals, low: float, high: float) -> None:
    outside = values[(values < low) | (values > high)]
    if outside.size:
        raise UserError(
            f"state {name}: {outside[0]:g} is not within {low:.4g} to {high:.4g}, the network's "
            "codes; quantize with data that has such states"
        )
