# SPDX-License-Identifier: Apache-2.0
"""The minimal LSTM (Feng et al. 2024, "Were RNNs All We Needed?"): no recurrent matrix."""

import numpy as np

from ..arithmetic import Reals
from .cell import describe
from .values import GATE, Value, mix, sat16, sigmoid, table


def log_sigmoid(x: Reals) -> Reals:
    """log(1 / (1 + exp(-x)))."""
    result: Reals = -np.logaddexp(0.0, -x)
    return result


@describe(x="f i n", formats={"n": "c"}, c_like_h=True)
def min_lstm(f: Value, i: Value, n: Value, c: Value) -> dict[str, Value]:
    """f / (f + i) of two sigmoids is the sigmoid of their logarithms' difference: no division."""
    more = sat16(table(log_sigmoid, f, gives=GATE) - table(log_sigmoid, i, gives=GATE))
    c = mix(n, sigmoid(more), c)
    return {"c": c, "h": c}
