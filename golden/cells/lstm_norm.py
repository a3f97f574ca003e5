# SPDX-License-Identifier: Apache-2.0
"""The LSTM with layer normalization (Ba et al. 2016) of each gate's pre-activation.

Golden has it; the hardware does not take means over a layer's units yet, so it is not among
`CELLS`: `register(lstm_norm)` makes it known.
"""

from .cell import describe
from .lstm import Values, new_c, new_h
from .values import GATE, Value, mean, over_root, rshr, sat16, sigmoid, tanh

__all__ = ["EPSILON", "lstm_norm"]

EPSILON = 1e-5
"""What is added to a variance, as in PyTorch."""


def _normalized(p: Value, gain: Value, bias: Value) -> Value:
    """(p - mean) / deviation over the layer's units, times the gain, plus the bias."""
    d = p - mean(p)
    y = sat16(over_root(d, mean(d * d) + EPSILON, GATE))
    return sat16(rshr(gain * y, GATE) + rshr(bias, GATE))


@describe(
    x="i f g o",
    h="i f g o",
    bounded=True,
    candidate="g",
    stages=("lstm_norm_mean", "lstm_norm_variance", "lstm_norm_update"),
)
def lstm_norm(
    i: Value,
    f: Value,
    g: Value,
    o: Value,
    c: Value,
    gain_i: Value,
    gain_f: Value,
    gain_g: Value,
    gain_o: Value,
    bias_i: Value,
    bias_f: Value,
    bias_g: Value,
    bias_o: Value,
) -> Values:
    """Each gate is normalized on its own; its gain and its bias are vectors."""
    i, f = sigmoid(_normalized(i, gain_i, bias_i)), sigmoid(_normalized(f, gain_f, bias_f))
    g, o = tanh(_normalized(g, gain_g, bias_g)), sigmoid(_normalized(o, gain_o, bias_o))
    c = new_c(i, f, g, c)
    return {"c": c, "h": new_h(o, c)}
