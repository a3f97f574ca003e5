# SPDX-License-Identifier: Apache-2.0
"""Checks of a network's numbers; each raises one UserError with the field, the value, the rule."""

import math
from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np

from .arithmetic import Ints, code_range
from .errors import UserError


def check(what: str, value: object, good: bool, rule: str) -> None:
    """Raise UserError unless `good`."""
    if not good:
        raise UserError(f"{what}: {value!r} is not possible, it must be {rule}")


def check_whole(what: str, value: object) -> None:
    """Raise UserError unless `value` is an integer; 8.0 and True, which files may hold, are not."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    check(what, value, whole, "a whole number")


def check_range(what: str, value: int, low: int, high: int) -> None:
    """Raise UserError unless `value` is an integer low..high."""
    check_whole(what, value)
    check(what, value, low <= value <= high, f"{low}..{high}")


def check_width(what: str, value: int, widths: range) -> None:
    """Raise UserError unless `value` is one of these numbers of bits."""
    check_range(what, value, widths[0], widths[-1])


def check_scale(what: str, value: float) -> None:
    """Raise UserError unless `value` is a finite number of at least 0."""
    good = isinstance(value, Real) and math.isfinite(value) and value >= 0
    check(what, value, good, "a finite number of at least 0")


def check_input_scale(scale: np.ndarray | None, inputs: int, *, tokens: bool) -> None:
    """Raise UserError unless there is none, or one finite number above 0 for each input."""
    if scale is None:
        return
    check("input scale", scale.shape, not tokens, "none where frames are tokens")
    check_shape("input scale", scale, (inputs,))
    for value in scale.tolist():
        check("input scale", value, math.isfinite(value) and value > 0, "finite and above 0")


def check_codes(what: str, values: Ints, bits: int) -> None:
    """Raise UserError where a value does not fit into so many bits."""
    low, high = code_range(bits)
    outside = values[(values < low) | (values > high)]
    if outside.size:
        raise UserError(f"{what}: {int(outside.flat[0])} is outside {low}..{high} ({bits} bits)")


def check_shape(what: str, values: np.ndarray, wanted: tuple[int | None, ...]) -> None:
    """Raise UserError unless `values` has this shape; None: any size."""
    fits = values.ndim == len(wanted) and all(
        w is None or w == s for w, s in zip(wanted, values.shape, strict=True)
    )
    if not fits:
        text = ", ".join("any" if w is None else str(w) for w in wanted)
        raise UserError(f"{what}: shape {values.shape}, expected [{text}]")


def stored_integers(tensors: Mapping[str, np.ndarray], name: str) -> Ints:
    """A file's tensor as int64. Raises UserError for floats, which would lose what they hold."""
    tensor = tensors[name]
    if tensor.dtype.kind not in "iu" or not np.can_cast(tensor.dtype, np.int64):
        raise UserError(f"{name}: {tensor.dtype} is not possible, it must be integers")
    return tensor.astype(np.int64)


def stored_texts(what: str, values: object) -> tuple[str, ...]:
    """A header's list of texts. Raises UserError for anything else."""
    good = isinstance(values, list) and all(isinstance(value, str) for value in values)
    check(what, values, good, "a list of texts")
    return tuple(values) if isinstance(values, list) else ()
