# SPDX-License-Identifier: Apache-2.0
"""An accelerator on an iCE40, roughly: ECP5's numbers, with factors from a few syntheses.

LUTs are logic cells: without memories in LUTs, and with flip-flops that need a cell of their own
unless they are behind a LUT, there are more of them than ECP5's LUTs. What is folded into the logic
of a hardwired accelerator takes much of that back. Multipliers are counted, not fitted.
"""

from dataclasses import replace
from math import ceil

from ...hw.config import AcceleratorConfig
from ...hw.estimates.area import AreaEstimate, estimate_area
from ...hw.parts.arithmetic import FACTOR_BITS, LOW_BITS
from .spram import sprams

CELLS = {True: 1.0, False: 1.75}
"""Logic cells for each of ECP5's LUT4s, by whether it is hardwired."""

BLOCK_RAMS = {True: 1.5, False: 2.6}
"""Block RAMs of 4 kbit for each of ECP5's of 18 kbit, weights apart."""

FACTOR = 16
"""Bits of a multiplier's factor, 18 on ECP5."""

LEAST_PRODUCT_BITS = 11
"""Narrower products are made of logic."""


def estimate(config: AcceleratorConfig) -> AreaEstimate:
    """What synthesis and packing would find."""
    area = estimate_area(config)
    weights = area.components["array"].block_rams
    wired = config.hardwired
    return replace(
        area,
        luts=round(area.luts * CELLS[wired]),
        block_rams=ceil((area.block_rams - weights) * BLOCK_RAMS[wired]),
        multipliers=area.multipliers + _wider(config) - _in_logic(config),
        sprams=sprams(config.weight_words, config.word_bits),
    )


def _wider(config: AcceleratorConfig) -> int:
    """Multipliers for what fits a factor of 18 bits and not one of 16: parts of the sums."""
    lows = max(0, ceil((config.sum_bits - FACTOR_BITS) / LOW_BITS))
    top = config.sum_bits - lows * LOW_BITS
    return config.unit_word * (lows + (top > FACTOR))


def _in_logic(config: AcceleratorConfig) -> int:
    """The lanes' multipliers where their products are narrow."""
    narrow = config.digit_bits + config.delta_bits < LEAST_PRODUCT_BITS
    multiplied = config.lane_kind == "multiplier" and config.digit_bits > 2
    return config.lanes if narrow and multiplied and config.lanes == config.drain_rows else 0
