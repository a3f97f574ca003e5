# SPDX-License-Identifier: Apache-2.0
"""Operators of LiteRT by their numbers in the public schema: those that stand beside LSTMs."""

NAMES = {
    0: "ADD",
    2: "CONCATENATION",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    6: "DEQUANTIZE",
    7: "EMBEDDING_LOOKUP",
    9: "FULLY_CONNECTED",
    14: "LOGISTIC",
    16: "LSTM",
    18: "MUL",
    19: "RELU",
    21: "RELU6",
    22: "RESHAPE",
    24: "RNN",
    25: "SOFTMAX",
    27: "SVDF",
    28: "TANH",
    32: "CUSTOM",
    34: "PAD",
    35: "UNIDIRECTIONAL_SEQUENCE_RNN",
    36: "GATHER",
    39: "TRANSPOSE",
    40: "MEAN",
    41: "SUB",
    42: "DIV",
    43: "SQUEEZE",
    44: "UNIDIRECTIONAL_SEQUENCE_LSTM",
    45: "STRIDED_SLICE",
    46: "BIDIRECTIONAL_SEQUENCE_RNN",
    49: "SPLIT",
    50: "LOG_SOFTMAX",
    52: "BIDIRECTIONAL_SEQUENCE_LSTM",
    53: "CAST",
    56: "ARG_MAX",
    65: "SLICE",
    70: "EXPAND_DIMS",
    77: "SHAPE",
    83: "PACK",
    88: "UNPACK",
    94: "FILL",
    105: "REVERSE_V2",
    114: "QUANTIZE",
    118: "IF",
    119: "WHILE",
    126: "BATCH_MATMUL",
    130: "BROADCAST_TO",
}
DEQUANTIZE, DENSE, LSTM, QUANTIZE, RESHAPE, STRIDED_SLICE = 6, 9, 44, 114, 22, 45
LSTM_INPUTS = (
    "x",
    *(f"W_{gate}" for gate in "ifgo"),
    *(f"R_{gate}" for gate in "ifgo"),
    *(f"P_{gate}" for gate in "ifo"),
    *(f"b_{gate}" for gate in "ifgo"),
    *("W_p", "b_p", "h", "c"),
    *(f"L_{gate}" for gate in "ifgo"),
)
"""Of UNIDIRECTIONAL_SEQUENCE_LSTM, in the papers' letters; older files have no L."""
DENSE_INPUTS = ("x", "W", "b")
TANH = 4
"""The activation that an LSTM's options name."""
ACTIVATIONS = {0: "none", 1: "relu", 2: "relu_n1_to_1", 3: "relu6"}
"""Those of a fully connected layer."""


def name_of(code: int) -> str:
    return NAMES.get(code, f"operator {code}")
