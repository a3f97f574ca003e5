# SPDX-License-Identifier: Apache-2.0
"""What the area model (`area.py`) cannot count: control logic and cells, as yosys built them.

MEASURED holds (LUT4s, flip-flops) of each amount that a component names, one that ends in "LUTs" of
those only. Yosys 0.70 with boards/ecp5/netlist.py on 2026-11-22; printed by

    python benchmarks/area_model.py --fit

by least squares, component by component, over the configurations there that are `fitted`. What a
component's amounts share is arbitrary, and may be negative; only their sum means anything.
"""

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
    "interface": (409.6, 542.2),
    "list counter": (9.1, -0.6),
    "image slice": (6.4, 0.2),
    "sequence bus": (371.2, -3.0),
    "sequence": (362.0, 147.0),
    "sequencer": (-28.3, -27.8),
    "streams": (35.8, 90.8),
    "stream encoder": (-12.0, -3.8),
    "stream level": (18.6, 2.2),
    "encoder slice": (53.3, -45.2),
    "encoder merge": (178.7, 36.7),
    "input encoder": (100.7, 169.9),
    "state encoder": (24.6, 18.8),
    "event list": (63.1, 41.5),
    "list bank": (4.6, 0.4),
    "term list": (6.7, 3.8),
    "term level": (33.7, 19.0),
    "fetch": (479.2, 496.6),
    "source": (4.0, 11.7),
    "fetch level": (89.4, 49.6),
    "array": (29.2, 65.2),
    "drain LUTs": (0.7, 0.0),
    "bank LUTs": (1.3, 0.0),
    "shift_add LUTs": (1.3, 0.0),
    "two terms LUTs": (6.8, 0.0),
    "digits LUTs": (257.6, 0.0),
    "accumulate": (266.2, 29.8),
    "row": (1.2, 1.8),
    "cell unit": (99.1, 40.5),
    "unit": (35.3, 13.3),
    "skip": (307.5, 229.2),
    "gru": (206.6, 596.4),
    "linear": (0.0, 30.6),
    "lstm": (444.0, 611.0),
    "ligru": (69.0, 147.0),
    "sru": (653.0, 1240.0),
    "sru again": (123.0, 402.0),
    "lstm_cifg": (409.0, 645.0),
    "lstm_peephole": (1215.0, 2447.0),
    "gru_reset": (93.0, 147.0),
    "gru_update": (61.0, 113.0),
}
