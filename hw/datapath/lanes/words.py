# SPDX-License-Identifier: Apache-2.0
"""What the lanes take beside each weight word: the delta or a term of it, and the group's marks."""

from amaranth.hdl import ShapeLike, signed, unsigned
from amaranth.lib import data

from ...words import WORD_COUNT_BITS

Term = data.StructLayout(
    {
        "negative": unsigned(1),
        "twice": unsigned(1),
        "nothing": unsigned(1),  # no term, and not negative: only quadruples
        "raise": unsigned(1),  # the first of a lower level: the sum so far is quadrupled
    }
)
"""What a lane of kind shift_add adds to its sum: +-1 or +-2 times the weight."""


def delta_shape(lane_kind: str, delta_bits: int) -> ShapeLike:
    """What a lane multiplies with: a whole delta, or one term of it."""
    return Term if lane_kind == "shift_add" else signed(delta_bits)


def beat_tag(delta: ShapeLike) -> data.StructLayout:
    """What comes with a weight word: the delta, and where the group starts and ends."""
    return data.StructLayout(
        {
            "d": delta,
            "first": unsigned(1),
            "last": unsigned(1),
            "words": unsigned(WORD_COUNT_BITS),  # D-words to drain after the last beat
            "digits_log2": unsigned(2),  # log2 of the lanes that one weight takes
        }
    )
