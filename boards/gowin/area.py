# SPDX-License-Identifier: Apache-2.0
"""An accelerator on a Gowin device, estimated from ECP5's numbers."""

from dataclasses import replace

from ...hw.config import AcceleratorConfig
from ...hw.estimates.area import AreaEstimate, estimate_area

LUTS, BLOCK_RAMS = 1.0, 1.0


def estimate(config: AcceleratorConfig) -> AreaEstimate:
    """What yosys would find."""
    area = estimate_area(config)
    return replace(
        area, luts=round(area.luts * LUTS), block_rams=round(area.block_rams * BLOCK_RAMS)
    )
