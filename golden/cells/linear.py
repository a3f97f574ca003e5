# SPDX-License-Identifier: Apache-2.0
"""Linear layers, plain or with an activation: no state."""

from .cell import describe
from .values import Value, hard_sigmoid, relu, sigmoid, tanh


@describe(x="y", formats={"y": "h"})
def linear(y: Value) -> dict[str, Value]:
    return {"h": y}


@describe(x="y", formats={"y": "h"})
def linear_relu(y: Value) -> dict[str, Value]:
    return {"h": relu(y)}


@describe(x="y", bounded=True)
def linear_sigmoid(y: Value) -> dict[str, Value]:
    return {"h": sigmoid(y)}


@describe(x="y", bounded=True)
def linear_tanh(y: Value) -> dict[str, Value]:
    return {"h": tanh(y)}


@describe(x="y", bounded=True)
def linear_hard_sigmoid(y: Value) -> dict[str, Value]:
    """0.2 y + 1/2 within 0..1."""
    return {"h": hard_sigmoid(y)}
