# SPDX-License-Identifier: Apache-2.0
"""What travels between a design and an SDRAM, and between the parts of its controller."""

from enum import IntEnum
from typing import Any

from amaranth.hdl import unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...sdram_chips import MOST_BURST, SdramChip

PAD_CYCLES = 2
"""Flip-flops between the controller and the chip: one for each direction, in the pins' cells."""

ALL_BANKS = 1 << 10
"""The address line that makes a precharge one of all banks."""


class Command(IntEnum):
    """ras_n, cas_n and we_n, from the highest bit down, while cs_n is low."""

    MODE = 0b000
    REFRESH = 0b001
    PRECHARGE = 0b010
    ACTIVATE = 0b011
    WRITE = 0b100
    READ = 0b101
    NOTHING = 0b111


class SdramPins(wiring.Signature):
    """The pins of a chip, seen from the design.

    Each goes through one flip-flop on its way to the chip, and `dq_i` through one on its way back
    (`PAD_CYCLES`), best in the cells of the pins. The chip's clock is the design's, at such a phase
    that either side is sampled while it is stable.

    Members
    -------
    cke, cs_n, ras_n, cas_n, we_n : out, 1 bit
    ba, a : out: bank, and row or column
    dqm : out, a bit for each byte of dq
    dq_o : out, the data lines; dq_oe : out, 1 bit: the design drives them
    dq_i : in, the data lines
    """

    def __init__(self, chip: SdramChip) -> None:
        high: Any = Out  # the stubs lack `init`
        super().__init__(
            {
                "cke": Out(1),
                "cs_n": high(1, init=1),
                "ras_n": high(1, init=1),
                "cas_n": high(1, init=1),
                "we_n": high(1, init=1),
                "ba": Out(chip.bank_bits),
                "a": Out(max(chip.row_bits, 11)),
                "dqm": high(chip.dq_bits // 8, init=(1 << chip.dq_bits // 8) - 1),
                "dq_o": Out(chip.dq_bits),
                "dq_oe": Out(1),
                "dq_i": In(chip.dq_bits),
            }
        )


def word_beats(chip: SdramChip, word_bits: int) -> int:
    """Words of the chip in a word of `word_bits` bits; ValueError where that is no power of two."""
    beats = word_bits // chip.dq_bits
    if word_bits % chip.dq_bits or beats & (beats - 1) or not 0 < beats <= chip.row_words:
        raise ValueError(
            f"word_bits must be {chip.dq_bits} times a power of two, not {word_bits!r}"
        )
    return beats


def word_burst(beats: int) -> int:
    """The burst by which a word of so many beats is read, once or several times."""
    return min(beats, MOST_BURST)


def access_layout(address_bits: int) -> data.StructLayout:
    """A word to be read or written."""
    return data.StructLayout({"address": unsigned(address_bits), "write": unsigned(1)})


def column_access(chip: SdramChip, beats: int) -> data.StructLayout:
    """An access to a row that is open or about to be.

    column: in words of `beats` beats. opens: it is the first since its row was asked for, and must
    wait until that is open.
    """
    return data.StructLayout(
        {
            "bank": unsigned(chip.bank_bits),
            "column": unsigned(chip.column_bits - (beats.bit_length() - 1)),
            "write": unsigned(1),
            "opens": unsigned(1),
        }
    )
