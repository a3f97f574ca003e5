# SPDX-License-Identifier: Apache-2.0
"""The accumulators' pipeline: in which cycle after its turn a D-word is in which stage.

A diagram of them is in `accumulate`. A pipeline signal s is s[READ] in stage READ, and so on.
"""

from ...config import AcceleratorConfig
from ...parts.arithmetic import SMALL_STAGE_BITS, Rescale, rescale_latency
from ...parts.rescale_twice import RescaleTwice, rescale_twice_latency
from ...words import FIXED

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


UNSHIFTED = 31
"""The shift of a D-word of integer-only LSTMs whose multiplier alone is all."""


def twice_rescaler(config: AcceleratorConfig) -> RescaleTwice:
    """The same in the arithmetic of integer-only LSTMs; the bias is in its value."""
    return RescaleTwice(
        value_bits=config.sum_bits,
        shifts=twice_shifts(config),
        out_bits=config.pre_bits,
        float_shifts=_float_shifts(config),
    )


def _float_shifts(config: AcceleratorConfig) -> tuple[int, int] | None:
    if not config.float_shifts:
        return None
    low, high = config.float_shifts
    return low - UNSHIFTED, high - UNSHIFTED


def twice_shifts(config: AcceleratorConfig) -> tuple[int, int]:
    """The lowest and the highest shift of `twice_rescaler`, which are behind its multiplier's."""
    low, high = config.shifts
    return low - UNSHIFTED, high - UNSHIFTED


def rescale_cycles(config: AcceleratorConfig) -> int:
    """Cycles from M to its part, but for the last register, which adds or saturates."""
    if config.arithmetic != FIXED:
        return 1 + rescale_twice_latency(
            config.sum_bits, twice_shifts(config), _float_shifts(config)
        )
    return rescale_latency(
        config.sum_bits, *config.shifts, stage_bits=SMALL_STAGE_BITS, rounds=False, plain=True
    )


def collect_stage(config: AcceleratorConfig) -> int:
    """The part of the pre-activation is there: M rescaled, and the bias added."""
    return SCALE + rescale_cycles(config) + 1


def complete_stage(config: AcceleratorConfig) -> int:
    """The gate's sum of parts is there, and goes to the cell unit's queue."""
    return collect_stage(config) + 1
