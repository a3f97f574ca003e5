# SPDX-License-Identifier: Apache-2.0
"""The accumulators' pipeline: in which cycle after its turn a D-word is in which stage.

A diagram of them is in `accumulate`. A pipeline signal s is s[READ] in stage READ, and so on.
"""

from ...config import AcceleratorConfig
from ...parts.arithmetic import SMALL_STAGE_BITS, Rescale, rescale_latency

TURN = 0
"""Its turn: the sums are taken, and M's and its parameters' addresses are there."""
READ = 1
"""The memories' words are there."""
ADD = 2
"""Sums and M are added."""
SCALE = 3
"""The new M is there: it is written, and rescaled from here on."""


def rescaler(config: AcceleratorConfig) -> Rescale:
    """What rescales one row's M; its rounding is left to the adder of the bias."""
    low, high = config.shifts
    return Rescale(
        value_bits=config.sum_bits,
        shift_min=low,
        shift_max=high,
        out_bits=config.pre_bits,
        stage_bits=SMALL_STAGE_BITS,
        rounds=False,
        plain=True,
    )


def rescale_cycles(config: AcceleratorConfig) -> int:
    """LATENCY of `rescaler`."""
    return rescale_latency(
        config.sum_bits, *config.shifts, stage_bits=SMALL_STAGE_BITS, rounds=False, plain=True
    )


def collect_stage(config: AcceleratorConfig) -> int:
    """The part of the pre-activation is there: M rescaled, and the bias added."""
    return SCALE + rescale_cycles(config) + 1


def complete_stage(config: AcceleratorConfig) -> int:
    """The gate's sum of parts is there, and goes to the cell unit's queue."""
    return collect_stage(config) + 1
