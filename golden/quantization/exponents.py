# SPDX-License-Identifier: Apache-2.0
"""The int16 format Q(e).(15-e) that holds a value."""

from ..errors import UserError
from ..models.layers import MAX_EXPONENT

MARGIN = 1.1
"""How much further than on the calibration data a 16-bit input, state or output may go."""


def exponent_for(largest: float, what: str) -> int:
    """The smallest e in 0..12 with which int16 Q(e).(15-e) holds `largest` and the margin."""
    for e in range(MAX_EXPONENT + 1):
        if largest * MARGIN <= 2.0**e * 32767 / 32768:
            return e
    limit = 2.0**MAX_EXPONENT / MARGIN
    raise UserError(f"{what}: reaches {largest:g}, the widest format ends at {limit:.0f}; scale it")
