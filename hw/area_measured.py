# SPDX-License-Identifier: Apache-2.0
"""What the area model (`area.py`) cannot count: control logic and cells, as yosys built them.

MEASURED holds (LUT4s, flip-flops) of each amount that a component names, one that ends in "LUTs" of
those only. Yosys 0.70 with boards/netlist.py on 2026-11-22; printed by

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
    "interface": (453.7, 571.0),
    "list counter": (10.7, -0.3),
    "image slice": (6.5, 0.1),
    "sequence bus": (241.3, -2.7),
    "sequence": (419.0, 147.0),
    "sequencer": (-27.7, -26.0),
    "streams": (62.5, 91.0),
    "stream encoder": (-9.5, -5.2),
    "stream level": (14.2, 2.2),
    "encoder slice": (75.3, 14.0),
    "encoder merge": (196.3, 48.3),
    "input encoder": (171.0, 170.9),
    "state encoder": (26.0, 73.7),
    "event list": (66.0, 41.6),
    "list bank": (4.3, 0.4),
    "term list": (7.0, 3.8),
    "term level": (34.8, 19.0),
    "fetch": (525.5, 508.9),
    "source": (3.4, 12.9),
    "fetch level": (92.1, 49.7),
    "array": (47.9, 69.9),
    "drain LUTs": (0.7, 0.0),
    "bank LUTs": (1.3, 0.0),
    "shift_add LUTs": (1.3, 0.0),
    "two terms LUTs": (6.8, 0.0),
    "digits LUTs": (231.0, 0.0),
    "accumulate": (241.1, 28.4),
    "row": (2.5, 1.9),
    "cell unit": (130.6, 50.5),
    "unit": (-38.8, -54.4),
    "skip": (327.2, 268.0),
    "gru": (270.6, 660.4),
    "linear": (9.1, 39.7),
    "lstm": (498.4, 665.4),
    "ligru": (101.0, 179.0),
    "sru": (652.0, 1240.0),
    "sru again": (124.0, 402.0),
    "lstm_cifg": (457.0, 693.0),
    "lstm_peephole": (1279.0, 2516.0),
    "gru_reset": (125.0, 179.0),
    "gru_update": (61.0, 113.0),
}
