# SPDX-License-Identifier: Apache-2.0
"""The LSTM cells (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""

from .cell import describe
from .values import GATE, C, H, Value, hard_sigmoid, relu, rshr, sat16, sigmoid, tanh, within

Values = dict[str, Value]


def new_c(i: Value, f: Value, g: Value, c: Value) -> Value:
    return sat16(rshr(f * c, C) + rshr(i * g, C))


def new_h(o: Value, c: Value) -> Value:
    return sat16(rshr(o * tanh(sat16(rshr(c, GATE))), H))


@describe(x="i f g o", h="i f g o", bounded=True, candidate="g")
def lstm(i: Value, f: Value, g: Value, o: Value, c: Value) -> Values:
    c = new_c(sigmoid(i), sigmoid(f), tanh(g), c)
    return {"c": c, "h": new_h(sigmoid(o), c)}


@describe(x="f g o", h="f g o", bounded=True, candidate="g")
def lstm_cifg(f: Value, g: Value, o: Value, c: Value) -> Values:
    """Coupled gates (Greff et al. 2017)."""
    f = sigmoid(f)
    c = new_c(1 - f, f, tanh(g), c)
    return {"c": c, "h": new_h(sigmoid(o), c)}


@describe(x="i f g o", h="i f g o", bounded=True, candidate="g")
def lstm_peephole(
    i: Value, f: Value, g: Value, o: Value, c: Value, v_i: Value, v_f: Value, v_o: Value
) -> Values:
    """The gates see the cell state (Gers et al. 2002): i and f the old one, o the new one."""
    i = sigmoid(sat16(i + rshr(v_i * c, GATE)))
    f = sigmoid(sat16(f + rshr(v_f * c, GATE)))
    c = new_c(i, f, tanh(g), c)
    o = sigmoid(sat16(o + rshr(v_o * c, GATE)))
    return {"c": c, "h": new_h(o, c)}


@describe(x="i f g o", h="i f g o", bounded=True, candidate="g")
def lstm_hard(i: Value, f: Value, g: Value, o: Value, c: Value) -> Values:
    """Hard sigmoids, 0.2 p + 1/2 within 0..1, as in ONNX and older versions of Keras."""
    c = new_c(hard_sigmoid(i), hard_sigmoid(f), tanh(g), c)
    return {"c": c, "h": new_h(hard_sigmoid(o), c)}


@describe(x="i f g o", h="i f g o", bounded=True, candidate="g")
def lstm_clip(i: Value, f: Value, g: Value, o: Value, c: Value, clip: Value) -> Values:
    """The cell state stays within +-clip, which is the same for all units (Sak et al. 2014)."""
    new = rshr(sigmoid(f) * c, C) + rshr(sigmoid(i) * tanh(g), C)
    c = within(new, relu(sat16(rshr(clip, C))))
    return {"c": c, "h": new_h(sigmoid(o), c)}
