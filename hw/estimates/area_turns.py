# SPDX-License-Identifier: Apache-2.0
"""What turns over a layer's units, and the means that they make, take of an ECP5.

What is not counted from the structure is what Yosys 0.70 made of the two components alone.
"""

from math import ceil

from ..cells.catalogue import CELLS
from ..config import AcceleratorConfig
from ..datapath.turns.means import accumulators, means_layout, sums_layout
from ..datapath.units.words import gate_word
from ..words import MULT_BITS, SHIFT_BITS, UNIT_BITS
from .area_datapath import UNREAD_BITS
from .ecp5 import Area, Part, adder, memory

TURNS = Area(luts=120, flip_flops=90)
"""Control of the turns."""
MEANS = Area(luts=50, flip_flops=30)
"""Control of the sums and of the division."""


def turns(config: AcceleratorConfig) -> Part:
    """Both components."""
    return Part(counted=_turns(config) + _means(config))


def _turns(config: AcceleratorConfig) -> Area:
    """The memory of the units' gates, and the choice in front of the cells."""
    cells, units = config.cells, config.cell_units
    slots = max(CELLS[name].GATES for name in cells)
    gates = max(CELLS[name].GATES for name in cells if CELLS[name].TURNS)
    groups = max(2, ceil(config.turn_units / units))
    unit = gate_word(config).size - 16 * config.unit_word - UNREAD_BITS
    kept = memory(groups, 16 * gates * units, force=True)
    chosen = Area(luts=16 * gates * units + unit, flip_flops=16 * slots * units + 2 * unit)
    return TURNS + kept + chosen


def _means(config: AcceleratorConfig) -> Area:
    """Accumulators, each with its part of the division, and the means."""
    cells, units = config.cells, config.cell_units
    sums = sums_layout(cells)
    total = MEANS + Area(luts=2 * MULT_BITS, flip_flops=MULT_BITS + SHIFT_BITS)
    for uses in accumulators(cells):
        bits = max(sums[use.key].width for use in uses)
        whole = bits + UNIT_BITS
        chosen = units * bits * (ceil(len(uses) / 2) + (units > 1))
        added = (units - 1) * adder(bits + 1) + adder(whole) + adder(whole + 2)
        total += Area(luts=chosen + added, flip_flops=2 * whole + 1)
    latest = max(use.cycle for uses in accumulators(cells) for use in uses)
    means = sum(shape.width for _, shape in means_layout(cells))
    return total + Area(flip_flops=means + (units + 2) * latest)
