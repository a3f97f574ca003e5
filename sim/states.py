# SPDX-License-Identifier: Apache-2.0
"""Golden's states, as the hardware has its layers."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..golden.cells import State
from ..golden.evaluation.networks import AnyNetwork
from ..golden.integer_lstm.layers import IntegerLstm
from ..golden.integer_lstm.network import IntegerNetwork
from .job import LayerState


class Place(NamedTuple):
    """Some units' words in the state memory: {c[31:16], h[15:0]} each."""

    base: int
    units: int


def state_places(network: AnyNetwork, bases: Sequence[int]) -> dict[str, tuple[Place, Place]]:
    """Where each layer's c is, and its h; none of a linear layer among integer-only LSTMs.

    bases: of the layers as the hardware has them.
    """
    left = iter(bases)
    if not isinstance(network, IntegerNetwork):
        own = {layer.name: Place(next(left), layer.units) for layer in network.layers}
        return {name: (place, place) for name, place in own.items()}
    found = {}
    for layer in network.layers:
        base = next(left)
        c = h = Place(base, 0)
        if isinstance(layer, IntegerLstm):
            c = Place(base, layer.cells)
            h = Place(base if layer.projection is None else next(left), layer.outputs)
        found[layer.name] = c, h
    return found


def layer_states(
    network: AnyNetwork, manifest: Mapping[str, Any], states: Sequence[State]
) -> tuple[tuple[LayerState, ...], tuple[State, ...]]:
    """What of the state memory is compared, and with what; states: by layer, codes [units]."""
    bases = [entry["state_base"] for entry in manifest["layers"]]
    if not isinstance(network, IntegerNetwork):
        places = zip(network.layers, bases, strict=True)
        # A c that no step reads is in no memory.
        kept = [
            LayerState(name=one.name, base=at, has_c="c" in one.cell.state) for one, at in places
        ]
        return tuple(kept), tuple(states)
    layers, found = [], []
    left = iter(bases)
    for layer, state in zip(network.layers, states, strict=True):
        base = next(left)
        if not isinstance(layer, IntegerLstm):
            continue  # its outputs are no state
        projects = layer.projection is not None
        own = LayerState(name=layer.name, base=base, has_c=True, has_h=not projects)
        layers.append(own)
        found.append(State(state.c, np.zeros_like(state.c) if projects else state.h))
        if projects:  # a layer of its own, whose output is h
            layers.append(LayerState(name=layer.name, base=next(left), has_c=False))
            found.append(State(np.zeros_like(state.h), state.h))
    return tuple(layers), tuple(found)
