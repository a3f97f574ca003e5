# SPDX-License-Identifier: Apache-2.0
"""Cycles of the layer normalisation, from a layer's words to where they go on."""

from collections.abc import Sequence

from ...cells.catalogue import reads
from ...config import AcceleratorConfig
from .gate_sums import sums_cycles
from .inverse_root import root_cycles
from .moments import moments_cycles
from .normalizer import PRODUCT_CYCLES, normalizer_latency
from .peephole import peephole_latency
from .replay import READ

SETUP = 3
"""Cycles from a layer's first word, which waits, to the one in which it is taken."""


def has_peephole(config: AcceleratorConfig) -> bool:
    """Whether gates see the cell state before they are normalised."""
    return reads(config.cells, "norm_c")


def front_cycles(config: AcceleratorConfig) -> int:
    """Cycles from a gate's value to the sums that it is in, with those of the peephole."""
    return (peephole_latency() if has_peephole(config) else 0) + sums_cycles(config.norm_lanes)


def turns(config: AcceleratorConfig, finals: Sequence[int]) -> int:
    """The cycle in which a layer's first value is read again, from those of its gates' last ones.

    Gates that see the cell state share the rescaler with the inverse roots, which so wait for all.
    """
    if has_peephole(config):
        finals = [finals[-1]] * len(finals)
    behind = front_cycles(config) - 1
    variances = moments_cycles([final + behind for final in finals])
    return root_cycles(PRODUCT_CYCLES, variances) + 1


def back_cycles(config: AcceleratorConfig) -> int:
    """Cycles from where a value is read to where it is in a word for the cell unit."""
    return READ + normalizer_latency(has_peephole(config), config.norm_shifts) + 2


def queue_values(config: AcceleratorConfig) -> int:
    """Normalised values of each lane that may be on their way to a word."""
    return 1 << back_cycles(config).bit_length()
