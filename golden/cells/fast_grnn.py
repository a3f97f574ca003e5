# SPDX-License-Identifier: Apache-2.0
"""FastGRNN (Kusupati et al. 2018): gate and candidate share their matrices, and differ in the bias.

Their paths have both gates with the same weights.
"""

from .cell import describe
from .values import C, V, Value, rshr, sat16, sigmoid, tanh


@describe(x="z n", h="z n", c_like_h=True, candidate="n")
def fast_grnn(z: Value, n: Value, c: Value, zeta: Value, nu: Value) -> dict[str, Value]:
    """zeta and nu, which training keeps within 0..1, are the same for all units."""
    z = sigmoid(z)
    gain = rshr(zeta * (1 - z), V) + nu
    c = sat16(rshr(gain * tanh(n), C) + rshr(z * c, C))
    return {"c": c, "h": c}
