# SPDX-License-Identifier: Apache-2.0
"""The quantizer of a path's activations, from what calibration saw of its source."""

from collections.abc import Sequence

import numpy as np

from ..arithmetic import Reals, multiplier
from ..models.layers import Quantizer
from .clipping import asymmetric, find_clip, find_range, step_size
from .scheme import Scheme


def make_quantizer(
    sequences: Sequence[Reals], exponent: int, bits: int, scheme: Scheme
) -> Quantizer:
    """int16 Q(exponent).(15-exponent) -> codes of `bits` bits, by the scheme's rules.

    sequences: values [n] of the source, of each calibration sequence. 16-bit codes are the words
    themselves. Otherwise a code is never finer than a word, and a source that was always zero gets
    the whole range of its format.
    """
    word = 2.0 ** (exponent - 15)
    step, zero = (word, 0) if bits == 16 else _find_step(sequences, bits, scheme)
    if step == 0:
        step = float(step_size(2.0**exponent, bits))
    mult, shift = multiplier(word / max(step, word))
    # The scale is what the integers really do, so that rounding `mult` costs nothing later.
    scale = word * 2.0**shift / mult
    return Quantizer(bits=bits, mult=mult, shift=shift, zero_point=zero, scale=scale)


def _find_step(sequences: Sequence[Reals], bits: int, scheme: Scheme) -> tuple[float, int]:
    """(step, zero point); (0, 0) where all values are 0."""
    parts = [values for values in sequences if values.size]
    if scheme.activation_range == "all" and parts:
        parts = [np.concatenate(parts)]
    if not parts:
        return 0.0, 0
    rule = scheme.activation_rule
    if scheme.codes_of(bits) == "symmetric":
        clip = float(np.median([find_clip(values, bits, rule) for values in parts]))
        return float(step_size(clip, bits)), 0
    low, high = np.median([find_range(values, bits, rule) for values in parts], axis=0).tolist()
    return asymmetric((low, high), bits) if low < high else (0.0, 0)
