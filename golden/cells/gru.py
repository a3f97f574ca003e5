# SPDX-License-Identifier: Apache-2.0
"""The GRU cells (Cho et al. 2014): the reset gate after the product, as in cuDNN, or before it."""

from .cell import describe
from .values import GATE, H, Value, hard_sigmoid, mix, rshr, sat16, sigmoid, tanh

Values = dict[str, Value]


@describe(x="r z nx", h="r z nh", formats={"nh": "wide"}, bounded=True, candidate="nh")
def gru(r: Value, z: Value, nx: Value, nh: Value, h: Value) -> Values:
    """nh may be large before r scales it down, so it has a format of its own."""
    n = tanh(sat16(nx + rshr(sigmoid(r) * nh, GATE)))
    return {"h": mix(n, sigmoid(z), h)}


@describe(
    x="r z n",
    h="r z",
    rh="n",
    bounded=True,
    candidate="n",
    stages=("gru_reset", "gru_update"),
)
def gru_before(r: Value, z: Value, n: Value, h: Value) -> Values:
    return {"rh": rshr(sigmoid(r) * h, H), "h": mix(tanh(n), sigmoid(z), h)}


@describe(x="r z nx", h="r z nh", formats={"nh": "wide"}, bounded=True, candidate="nh")
def gru_hard(r: Value, z: Value, nx: Value, nh: Value, h: Value) -> Values:
    """Hard sigmoids, 0.2 p + 1/2 within 0..1, as in ONNX and older versions of Keras."""
    n = tanh(sat16(nx + rshr(hard_sigmoid(r) * nh, GATE)))
    return {"h": mix(n, hard_sigmoid(z), h)}
