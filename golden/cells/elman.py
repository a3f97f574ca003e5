# SPDX-License-Identifier: Apache-2.0
"""The Elman network (Elman 1990), `nn.RNN` in PyTorch: one gate, which is the output."""

from .cell import describe
from .values import Value, relu, tanh


@describe(x="n", h="n", bounded=True, candidate="n")
def rnn_tanh(n: Value) -> dict[str, Value]:
    return {"h": tanh(n)}


@describe(x="n", h="n", formats={"n": "h"}, candidate="n")
def rnn_relu(n: Value) -> dict[str, Value]:
    return {"h": relu(n)}
