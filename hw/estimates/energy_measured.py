# SPDX-License-Identifier: Apache-2.0
"""What the energy model (`energy.py`) cannot count: what each thing that it counts costs in cells.

MEASURED holds, by component and by what is counted, pJ of the component (its macros, where accesses
are counted) and pJ of its clock.
They are of mapped netlists of osu018 that ran on frames (`boards/asic`, before placement, memories
above MACRO_BITS bits as modelled macros, with clock gates), printed by

    python benchmarks/energy_model.py --fit

by least squares of relative errors, component by component, over the cases there that are `fitted`.
"""

CORNER = "osu018_stdcells, process 1, 1.8 V, 25 C"
MACRO_BITS = 256
MEASURED = {
    "weight memory": {
        "bits": (0.06712, 0.22482),
        "cycles": (0, 0.81306),
        "accesses": (0.00977, 0),
    },
    "lanes": {
        "products": (0.87679, 0.00206),
        "sums": (0, 0.48675),
        "cycles": (0, 14.6763),
    },
    "accumulators": {
        "rows": (20.2556, 8.13613),
        "cycles": (2.84342, 33.8862),
        "accesses": (0.01884, 0),
    },
    "cells": {
        "multipliers": (294.306, 115.243),
        "cycles": (2.8733, 54.7539),
        "accesses": (0.01173, 0),
    },
    "encoders": {
        "elements": (49.8235, 28.1825),
        "cycles": (7.66555, 31.2729),
        "accesses": (0.01031, 0),
    },
    "fetch": {
        "beats": (6.91388, 147.276),
        "groups": (0, 62.3877),
        "cycles": (11.9193, 0),
    },
    "outputs": {
        "words": (29.6381, 4.60337),
        "cycles": (0.02571, 7.02937),
    },
    "bus": {
        "cycles": (14.1282, 105.198),
    },
}
