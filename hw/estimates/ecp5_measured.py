# SPDX-License-Identifier: Apache-2.0
"""What the area model (`area.py`) cannot count: control logic and cells, as yosys built them.

MEASURED holds (LUT4s, flip-flops) of each amount that a component names, one that ends in "LUTs" of
those only. Yosys 0.70 with boards/ecp5/netlist.py on 2026-11-22; printed by

    python benchmarks/area_model.py --fit

by least squares, component by component, over the configurations there that are `fitted`. What a
component's amounts share is arbitrary, and may be negative; only their sum means anything.
"""

SRU_CELLS = ("sru", "sru4", "sru0")
"""Cells that share their gates' products with c where one accelerator has several of them."""

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
    "sdram": (700.0, 225.0),  # these two by hand, from four stores alone
    "sdram bit": (2.0, 1.8),
    "shift_add LUTs": (1.3, 0.0),
    "two terms LUTs": (6.8, 0.0),
    "digits LUTs": (257.6, 0.0),
    "accumulate": (266.2, 29.8),
    "row": (1.2, 1.8),
    "cell unit": (99.1, 40.5),
    "unit": (35.3, 13.3),
    "skip": (307.5, 229.2),
    "sru again": (123.0, 402.0),
    "table": (47.8, 49.0),
    "added LUTs": (1.17, 0.0),
    "saturated LUTs": (0.64, 0.0),
    "shifted LUTs": (3.3, 0.0),
}
