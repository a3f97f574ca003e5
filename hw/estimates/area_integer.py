# SPDX-License-Identifier: Apache-2.0
"""What the arithmetic of integer-only LSTMs takes of an ECP5, and the layer normalisation.

What is not counted from the structure is what Yosys 0.70 made of the component alone.
"""

from dataclasses import replace
from math import ceil

from ..cells.lookup import PER_WORD
from ..cells.size import Size
from ..config import AcceleratorConfig
from ..datapath.rows.stages import twice_shifts
from ..datapath.statistics.inverse_root import VALUE_BITS
from ..datapath.statistics.normalizer import SCALED_BITS, unit_shifts
from ..datapath.statistics.timing import has_peephole, queue_values
from ..datapath.units.words import gate_word
from ..parts.arithmetic import SMALL_STAGE_BITS
from ..parts.rescale_twice import MULT_BITS, rescale_multipliers
from ..words import SLOTS, norm_gate, norm_value
from .ecp5 import Area, Part, adder, fifo, memory, plain_memory

LOOKUP = Area(luts=100, flip_flops=83)
"""A table of every word, without its multiplier and its block RAMs."""
FLOATS = Area(luts=150, flip_flops=190)
"""A rescaler that rounds as float32 does, too."""
NORM = Area(luts=1900, flip_flops=320, multipliers=1)
"""The layer normalisation but for its lanes and its memories."""
NORM_LANE = Area(luts=120, flip_flops=150, multipliers=3)
"""A lane of it but for its rescalers."""
NORM_PEEPHOLE = Area(luts=100, flip_flops=300, multipliers=1)
"""What peepholes add to a lane."""


def rescaler_twice(
    value_bits: int, shifts: tuple[int, int], out_bits: int, *, floats: bool = False
) -> Area:
    """A `parts.rescale_twice.RescaleTwice`; the factors are fitted to fifteen of them."""
    low, high = shifts
    multipliers = rescale_multipliers(value_bits)
    parts, left = multipliers // 2, max(0, -low)
    width = value_bits + 1 + left - max(low, 0)
    bits = (max(high, 0) - max(low, 0)).bit_length()
    stages = [min(SMALL_STAGE_BITS, bits - at) for at in range(0, bits, SMALL_STAGE_BITS)]
    added = 32 * parts + (parts - 1) * (value_bits + 14) + value_bits + width
    shifted = sum(width * (2 if stage > 1 else 1) for stage in stages)
    kept = (
        (parts - 1) * (MULT_BITS + value_bits) + value_bits + width * (1 + len(stages)) + out_bits
    )
    if left:
        shifted += (value_bits + left) * (2 if left > 1 else 1)
        kept += value_bits + 1 + left
    whole = Area(
        luts=added + 1.05 * shifted + 3.7 * out_bits,
        flip_flops=1.12 * kept + 7.3 * parts,
        multipliers=multipliers,
    )
    return whole + FLOATS if floats else whole


def integer_row(config: AcceleratorConfig) -> Area:
    """What adds up and rescales a row; the bias is in what is rescaled."""
    sums, pre = config.sum_bits, config.pre_bits
    one = Area(
        luts=2 * adder(sums) + adder(pre),
        flip_flops=4 * sums + 2 * pre,
    )
    floats = bool(config.float_shifts)
    return one + rescaler_twice(sums, twice_shifts(config), pre, floats=floats)


def of_integers(size: Size) -> Area:
    """A cell's tables of every word, and its rescalings; its multipliers are counted with it."""
    total = Area()
    for corrected in size.lookups:
        corrections = plain_memory(corrected // PER_WORD, 3 * PER_WORD, force=True)
        total += LOOKUP + Area(block_rams=1 + corrections.block_rams)
    for bits, shifts, out_bits in size.rescaled:
        total += replace(rescaler_twice(bits, shifts, out_bits), multipliers=0)
    return total


def statistics(config: AcceleratorConfig) -> Part:
    """The layer normalisation."""
    peephole, lanes = has_peephole(config), config.norm_lanes
    lane = NORM_LANE + rescaler_twice(VALUE_BITS, unit_shifts(peephole), VALUE_BITS)
    lane += rescaler_twice(SCALED_BITS, config.norm_shifts, 16)
    lane += memory(ceil(config.norm_words / lanes), norm_value(peephole).size)
    if peephole:
        lane += NORM_PEEPHOLE
    word = gate_word(config).size
    counted = NORM + lane * lanes + Area(luts=2 * word, flip_flops=3 * word)
    counted += memory(ceil(config.norm_values / lanes), 16 * lanes)
    counted += memory(SLOTS * config.layers, norm_gate(peephole).size)
    counted += fifo(queue_values(config), 16 * lanes)
    if peephole:
        units = config.cell_units  # each has its own copy of c
        counted += memory(max(ceil(config.states / units), 2), 16) * units
    return Part(counted=counted)
