# SPDX-License-Identifier: Apache-2.0
"""IndRNN (Li et al. 2018): each unit sees only its own last output, with a weight u of its own."""

from .cell import describe
from .values import C, Value, relu, rshr, sat16


@describe(x="n", formats={"n": "c"}, c_like_h=True)
def ind_rnn(n: Value, c: Value, u: Value) -> dict[str, Value]:
    c = relu(sat16(n + rshr(u * c, C)))
    return {"c": c, "h": c}
