# SPDX-License-Identifier: Apache-2.0
"""What a model's frames are before they become words: real features, or tokens.

A token is an index 0..count-1. It stands for the vector of `count` elements that is 1 there and 0
elsewhere, which no one makes: a product with it is a column of the matrix.
"""

import numpy as np
import numpy.typing as npt

from .arithmetic import Ints
from .errors import UserError

NONE = -1
"""The place of a word that is no token: no element is on."""


def checked_frames(
    frames: npt.ArrayLike, inputs: int, *, tokens: bool, who: str = "network"
) -> np.ndarray:
    """Frames as a model takes them, in float64: features [steps, inputs], or tokens [steps, 1].

    Parameters
    ----------
    frames: real features [steps, inputs]; or integers [steps] or [steps, 1].
    inputs: features of a frame, or how many tokens there are.
    tokens: which of the two.
    who: takes them, for errors.

    Raises UserError for another shape, a value that is not finite, and what is no token.
    """
    if tokens:
        return checked_tokens(frames, inputs).astype(np.float64)[:, None]
    x = np.asarray(frames, np.float64)
    if x.ndim != 2 or x.shape[1] != inputs:
        raise UserError(f"features: shape {x.shape}, the {who} takes [steps, {inputs}]")
    if not np.isfinite(x).all():
        raise UserError("features: a value is NaN or infinite; clean the data first")
    return x


def checked_tokens(frames: npt.ArrayLike, count: int, what: str = "tokens") -> Ints:
    """Tokens [steps] from integers [steps] or [steps, 1]; UserError for what is none of `count`."""
    values = np.asarray(frames)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise UserError(f"{what}: shape {values.shape}, the network takes one index a frame")
    whole = values.astype(np.int64) if values.dtype.kind in "iu" else np.floor(values)
    wrong = np.flatnonzero((whole != values) | (values < 0) | (values >= count))
    if wrong.size:
        raise UserError(
            f"{what}: {values[wrong[0]]} in frame {wrong[0]}, the network knows 0..{count - 1}; "
            "map what it does not know to a token for that"
        )
    return whole.astype(np.int64)


def token_places(words: Ints, count: int) -> Ints:
    """The element that each int16 word turns on, `NONE` where it is no token of `count`."""
    known = (words >= 0) & (words < count)
    places: Ints = np.where(known, words, NONE)
    return places
