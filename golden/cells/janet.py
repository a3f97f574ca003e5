# SPDX-License-Identifier: Apache-2.0
"""JANET (van der Westhuizen and Lasenby 2018): an LSTM of which only the forget gate is left."""

from .cell import describe
from .values import C, Value, rshr, sat16, sigmoid, tanh


@describe(x="f g", h="f g", c_like_h=True, candidate="g")
def janet(f: Value, g: Value, c: Value) -> dict[str, Value]:
    """What comes in is gated with beta = 1: 1 - sigmoid(p_f - 1)."""
    gained = (1 - sigmoid(sat16(f - 1))) * tanh(g)
    c = sat16(rshr(sigmoid(f) * c, C) + rshr(gained, C))
    return {"c": c, "h": c}
