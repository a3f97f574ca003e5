# SPDX-License-Identifier: Apache-2.0
"""What travels to the change detectors: frames' words, elements, and their context."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from ...words import LIST_BITS, UNIT_BITS, EncoderRecord

FrameWord = data.StructLayout(
    {
        "value": signed(16),
        "last": unsigned(1),  # the frame's last word
        "first": unsigned(1),  # with a frame's first word: the frame starts a sequence
    }
)
"""One word of the input stream."""

Element = data.StructLayout(
    {
        "valid": unsigned(1),
        "j": unsigned(UNIT_BITS),  # index of the element in its source
        "value": signed(16),
        "end": unsigned(1),  # the source's last element of the step
    }
)
"""One int16 element of a frame or of a layer's output."""

Context = data.StructLayout({"record": EncoderRecord, "first": unsigned(1), "parity": unsigned(1)})
"""What stays the same while a source's elements of one step pass through an encoder.

first: the step is a sequence's first; parity: the bank of its list that is written.
"""

ThresholdWrite = data.StructLayout(
    {"en": unsigned(1), "list": unsigned(LIST_BITS), "value": unsigned(17)}
)
"""A threshold that the host sets."""


def frame_word(count: int) -> data.StructLayout:
    """`FrameWord` for several elements a beat; those behind a frame's last are not looked at."""
    if count == 1:
        return FrameWord
    return data.StructLayout(
        {
            "value": data.ArrayLayout(signed(16), count),
            "last": unsigned(1),
            "first": unsigned(1),
        }
    )


def element_word(count: int) -> data.StructLayout:
    """`Element`, or up to `count` neighbouring elements of a source.

    valid: the first one is there; mask: which are. j: index of the first, a multiple of `count`.
    end: they hold the source's last element of the step.
    """
    if count == 1:
        return Element
    return data.StructLayout(
        {
            "valid": unsigned(1),
            "mask": unsigned(count),
            "j": unsigned(UNIT_BITS),
            "values": data.ArrayLayout(signed(16), count),
            "end": unsigned(1),
        }
    )
