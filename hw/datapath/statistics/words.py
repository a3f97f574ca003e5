# SPDX-License-Identifier: Apache-2.0
"""Widths of what the layer normalisation computes."""

from ...words import NORM_RECIPROCAL_BITS, NORM_VARIANCE_BITS, UNIT_BITS

MEAN_BITS = 27
"""Of 1024 times the mean of int16 values."""
VARIANCE_BITS = NORM_VARIANCE_BITS
TOTAL_BITS = 16 + UNIT_BITS
"""Of the sum of a layer's int16 values."""
SQUARES_BITS = 31 + UNIT_BITS
"""Of the sum of their squares."""
RECIPROCAL_BITS = NORM_RECIPROCAL_BITS
UNIT_WORDS_BITS = UNIT_BITS + 1
"""Of a count of a layer's unit-words."""
