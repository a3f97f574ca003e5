# SPDX-License-Identifier: Apache-2.0
"""What turns over a layer's units, and the means that they make, take of an ECP5.

What is not counted from the structure is what Yosys 0.70 made of the two components alone.
"""

from math import ceil

from amaranth.utils import ceil_log2

from ..cells.catalogue import CELLS
from ..config import AcceleratorConfig
from ..datapath.turns.means import accumulators, divided_alike, means_layout, sums_layout
from ..datapath.turns.turns import kept_gates, kept_groups
from ..datapath.turns.unit_mean import sum_cycles
from ..datapath.units.words import gate_word
from ..words import MULT_BITS, SHIFT_BITS, UNIT_BITS
from .area_datapath import UNREAD_BITS
from .ecp5 import Area, Part, adder, memory

TURNS = Area(luts=120, flip_flops=90)
"""Control of the turns."""
MEANS = Area(luts=50, flip_flops=6)
"""Control of the sums, and of what settles behind them."""


def turns(config: AcceleratorConfig) -> Part:
    """Both components."""
    return Part(counted=_turns(config) + means(config))


def _turns(config: AcceleratorConfig) -> Area:
    """The memory of the units' gates, and the choice in front of the cells."""
    cells, units = config.cells, config.cell_units
    slots = max(CELLS[name].GATES for name in cells)
    gates, groups = kept_gates(cells), kept_groups(config.turn_units, units)
    unit = gate_word(config).size - 16 * config.unit_word - UNREAD_BITS
    kept = memory(groups, 16 * gates * units, force=True)
    chosen = Area(luts=16 * gates * units + unit, flip_flops=16 * slots * units + 2 * unit)
    return TURNS + kept + chosen


def means(config: AcceleratorConfig) -> Area:
    """Accumulators, each with its part of a division, the divisions, and the means."""
    cells, units = config.cells, config.cell_units
    sums, accumulating = sums_layout(cells), accumulators(cells)
    division = Area(luts=2 * MULT_BITS, flip_flops=MULT_BITS + SHIFT_BITS + 2)
    total = MEANS + division * len(divided_alike(accumulating))
    for uses in accumulating:
        bits = max(sums[use.key].width for use in uses)
        whole = bits + UNIT_BITS
        chosen = Area(luts=units * bits * (ceil(len(uses) / 2) + (len(uses) > 2)))
        added = Area(luts=adder(whole) + adder(whole + 2), flip_flops=2 * whole + 1)
        total += chosen + added + _tree(bits, units)
    latest = max(use.cycle for uses in accumulating for use in uses)
    held = sum(shape.width for _, shape in means_layout(cells))
    control = (units + 2) * latest + sum_cycles(units)
    return total + Area(flip_flops=held + control)


def _tree(bits: int, units: int) -> Area:
    """Adders of values that come in one cycle, with a register behind each, and what says that
    there are some and whether they are the first."""
    total, late = Area(), ceil_log2(units)
    for level in range(1, late + 1):
        total += Area(luts=adder(bits + level), flip_flops=bits + level) * (units >> level)
    return total + Area(flip_flops=2 * late)
