# SPDX-License-Identifier: Apache-2.0
"""What outlives a step, by name: "LAYER.c" and "LAYER.h", as data sets and users have it.

Values are real, [sequences, units]. The "h" that an LSTM with a projection keeps is the
projection's.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..arithmetic import Reals, from_fixed, to_fixed
from ..cells import State
from ..errors import UserError
from . import graph
from .float_model import FloatModel
from .network import Network

States = Mapping[str, npt.NDArray[np.floating]]


def state_parts(layers: graph.Layers) -> dict[str, tuple[int, str]]:
    """All names, each with its layer's place and "c" or "h"."""
    found: dict[str, tuple[int, str]] = {}
    for n, layer in enumerate(layers):
        kept = set(layer.cell.state) - ({"h"} if layer.h_from else set())
        if n and layers[n - 1].h_from:
            kept.add("h")
        found |= {f"{layer.name}.{part}": (n, part) for part in sorted(kept)}
    return found


def first_reals(model: FloatModel, states: States, count: int) -> list[State]:
    """Before the first step of `count` sequences, by layer, [count, units].

    Parameters
    ----------
    states: some names, [count, units]; the others start as the model does.

    Raises UserError for a name that is no state of the model, and for another shape.
    """
    given = _checked(model.layers, states, count)
    return [
        _rows(layer.initial, layer.units, count, np.dtype(np.float64), given[n])
        for n, layer in enumerate(model.layers)
    ]


def first_codes(network: Network, states: States, count: int) -> list[State]:
    """The same of a network, as int16 codes; UserError, too, for what its formats do not hold."""
    given = _checked(network.layers, states, count)
    found = []
    for n, layer in enumerate(network.layers):
        exponents = {"c": layer.c_exponent, "h": layer.h_exponent}
        codes: dict[str, np.ndarray] = {}
        for part, values in given[n].items():
            largest, limit = float(np.abs(values).max(initial=0)), 2.0 ** exponents[part]
            if largest > limit:
                raise UserError(
                    f"state {layer.name}.{part}: {largest:g} is beyond +-{limit:g}, the network's "
                    "format; quantize with data that has such states"
                )
            codes[part] = to_fixed(values, exponents[part])
        found.append(_rows(layer.initial, layer.units, count, np.dtype(np.int64), codes))
    return found


def reals_of(network: Network, states: Sequence[State]) -> dict[str, Reals]:
    """Real values by name, of codes by layer."""
    layers = network.layers
    return {
        name: from_fixed(
            getattr(states[n], part), layers[n].c_exponent if part == "c" else layers[n].h_exponent
        )
        for name, (n, part) in state_parts(layers).items()
    }


def named(layers: graph.Layers, states: Sequence[State]) -> dict[str, Reals]:
    """Real values by name, of reals by layer."""
    return {name: getattr(states[n], part) for name, (n, part) in state_parts(layers).items()}


def _checked(layers: graph.Layers, states: States, count: int) -> list[dict[str, Reals]]:
    """By layer, "c" and "h" as far as they are given."""
    parts = state_parts(layers)
    found: list[dict[str, Reals]] = [{} for _ in layers]
    for name, values in states.items():
        if name not in parts:
            names = ", ".join(parts) or "none"
            raise UserError(f"state {name}: the network has no such state; it has {names}")
        n, part = parts[name]
        wanted = (count, layers[n].units)
        if np.shape(values) != wanted:
            raise UserError(f"state {name}: shape {np.shape(values)}, expected {[*wanted]}")
        if not np.isfinite(values).all():
            raise UserError(f"state {name}: a value is NaN or infinite; clean the data first")
        found[n][part] = np.asarray(values, np.float64)
    return found


def _rows(
    initial: Mapping[str, np.ndarray],
    units: int,
    count: int,
    dtype: np.dtype,
    given: Mapping[str, np.ndarray],
) -> State:
    zeros = np.zeros(units)
    return State(
        *(
            np.array(
                np.broadcast_to(given.get(part, initial.get(part, zeros)), (count, units)), dtype
            )
            for part in ("c", "h")
        )
    )
