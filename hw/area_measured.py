# SPDX-License-Identifier: Apache-2.0
"""What the area model (`area.py`) cannot count: control logic and cells, as yosys built them."""

CELL_BLOCKS = {
    "lstm": (8, 5),
    "lstm_cifg": (7, 4),
    "lstm_peephole": (11, 5),
    "gru": (5, 3),
    "gru_reset": (3, 2),
    "gru_update": (2, 1),
    "ligru": (2, 1),
    "sru": (6, 2),
    "linear": (0, 0),
}
"""Multipliers and block RAMs (tables of activations) of each cell; "sru": of any of SRU_CELLS."""

SRU_CELLS = ("sru", "sru4", "sru0")

MEASURED = {
    "accumulate": (115.3, -2.8),
    "row": (1.8, 5.1),
    "array": (61.0, 105.8),
    "drain": (1.2, 0.2),
    "product bit": (0.0, 0.7),
    "bank bit": (0.8, 0.0),
    "shift_add": (1.1, -0.2),
    "two terms": (9.3, -3.1),
    "digits": (0.3, -0.1),
    "gru": (315.6, 797.4),
    "ligru": (116.0, 229.0),
    "linear": (9.1, 39.7),
    "lstm": (571.0, 887.0),
    "sru": (416.5, 953.0),
    "sru again": (416.5, 953.0),
    "cell unit": (76.9, 39.9),
    "unit": (-42.5, -52.5),
    "skip": (317.3, 312.7),
    "input encoder": (67.3, 134.3),
    "state encoder": (-30.5, -6.7),
    "encoder slice": (8.5, -76.8),
    "encoder merge": (35.0, 39.8),
    "fetch": (475.4, 528.0),
    "source": (38.4, 7.8),
    "fetch level": (106.5, 49.7),
    "interface": (496.7, 327.3),
    "list counter": (7.6, -0.0),
    "image slice": (4.2, 0.7),
    "sequence bus": (312.0, -0.3),
    "event list": (56.4, 44.1),
    "list bank": (3.2, 0.2),
    "term list": (6.4, 3.9),
    "term level": (32.0, 19.6),
    "sequence": (385.0, 163.0),
    "sequencer": (-14.1, -23.5),
    "streams": (194.4, 190.3),
    "stream encoder": (16.0, 88.3),
    "stream level": (4.8, 29.7),
}
