# SPDX-License-Identifier: Apache-2.0
"""The light GRU (Ravanelli et al. 2018): no reset gate, and ReLU for its candidate."""

from .cell import describe
from .values import Value, mix, relu, sigmoid, tanh


@describe(x="a z", h="a z", formats={"a": "h"}, candidate="a")
def ligru(a: Value, z: Value, h: Value) -> dict[str, Value]:
    return {"h": mix(relu(a), sigmoid(z), h)}


@describe(x="a z", h="a z", bounded=True, candidate="a")
def ligru_tanh(a: Value, z: Value, h: Value) -> dict[str, Value]:
    return {"h": mix(tanh(a), sigmoid(z), h)}
