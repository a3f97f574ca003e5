# SPDX-License-Identifier: Apache-2.0
"""The minimal GRU (Feng et al. 2024, "Were RNNs All We Needed?"): no recurrent matrix."""

from .cell import describe
from .values import Value, mix, sigmoid


@describe(x="z n", formats={"n": "c"}, c_like_h=True)
def min_gru(z: Value, n: Value, c: Value) -> dict[str, Value]:
    """The candidate n is linear; z takes it in."""
    c = mix(c, sigmoid(z), n)
    return {"c": c, "h": c}
