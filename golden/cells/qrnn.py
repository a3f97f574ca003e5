# SPDX-License-Identifier: Apache-2.0
"""QRNN (Bradbury et al. 2017), fo-pooling: the frames of its window are one input, side by side."""

from .cell import describe
from .values import C, Value, mix, rshr, sat16, sigmoid, tanh


@describe(x="z f o", c_like_h=True)
def qrnn(z: Value, f: Value, o: Value, c: Value) -> dict[str, Value]:
    c = mix(sat16(rshr(tanh(z), C)), sigmoid(f), c)
    return {"c": c, "h": rshr(sigmoid(o) * c, C)}
