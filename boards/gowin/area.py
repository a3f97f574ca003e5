# SPDX-License-Identifier: Apache-2.0
"""An accelerator on a Gowin device, roughly: ECP5's numbers, with a factor from one synthesis.

Block RAMs have the same shapes as ECP5's; of the multipliers some are two to one here, so there are
no more of them. A distributed memory takes the place of 8 LUTs instead of 6.
"""

from dataclasses import replace

from ...hw.config import AcceleratorConfig
from ...hw.estimates.area import AreaEstimate, estimate_area

LUTS = 1.2
"""LUTs for each of ECP5's LUT4s."""


def estimate(config: AcceleratorConfig) -> AreaEstimate:
    """What synthesis would find."""
    area = estimate_area(config)
    return replace(area, luts=round(area.luts * LUTS))
