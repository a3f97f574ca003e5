# SPDX-License-Identifier: Apache-2.0
"""The words that the accelerator's tables hold: passes, layers, encoders and the network record.

Fixed formats, the same in every design, so that one image format serves all; `compile` writes
them and the components read what they need.
"""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data

SLOTS, MORE_SLOTS = 4, 8
"""Gates that a cell can have at most; and where one takes its products apart, to normalise them."""
UNIT_BITS = 12
COLUMN_BITS = 13
EVENT_BITS = 14
STATE_BITS = 14
ROW_BITS = 16
WEIGHT_BITS = 22
LIST_BITS = 5
SOURCE_BITS = 3
LAYER_BITS = 5
SHIFT_BITS = 6
MULT_BITS = 15
"""Of a multiplier that is a positive int16."""
CELL_BITS = 5
VECTOR_SHIFT_BITS = 5
PROGRAM_BITS = 12
SWEEP_SOURCE_BITS = 3
NORM_BITS = 16
"""Of an address of a unit's numbers for the layer normalisation."""
RECORD_BITS = 18
"""Of an address in the sequence buffer."""
WORD_COUNT_BITS = 10
"""Bits of a count of D-words in a group or of unit-words in a pass."""

FEATURES, TOKENS = "features", "tokens"
INPUT_KINDS = ((FEATURES,), (TOKENS,), (FEATURES, TOKENS))
"""What the frames of a design may be: int16 values, or an index each."""

FIXED, INTEGER_LSTM = "fixed", "integer-lstm"
ARITHMETICS = (FIXED, INTEGER_LSTM)
"""The contract of docs/arithmetic.md, and that of docs/integer-lstm.md."""

LANE_KINDS = ("multiplier", "shift_add")
LEVEL_DIGITS = 2
"""Binary digits of a level. Of two neighbouring canonical digits at most one is not 0, so that a
delta has at most one term in a level."""


def term_levels(digits: int) -> int:
    """Levels of deltas with so many binary digits; there are always several."""
    return max(2, -(-digits // LEVEL_DIGITS))


FetchPass = data.StructLayout(
    {
        "source": unsigned(SOURCE_BITS),  # the encoder whose list it is: input encoders first
        "list": unsigned(LIST_BITS),
        "recurrent": unsigned(1),  # written in the step before; empty in a sequence's first step
        "tally": unsigned(1),  # first use of the list in the step: its events are counted
        "release": unsigned(1),  # last use of the list in the step
        "event_base": unsigned(EVENT_BITS),  # of bank 0; bank 1 follows `columns` further
        "columns": unsigned(COLUMN_BITS),
        "weight_base": unsigned(WEIGHT_BITS),
        "digits_log2": unsigned(2),  # log2 of the lanes that one weight takes
        "groups": unsigned(12),
        "words": unsigned(WORD_COUNT_BITS),  # D-words of a group
        "tail_words": unsigned(WORD_COUNT_BITS),  # D-words of the last group
        "products": unsigned(14),  # that an event stands for
    }
)
"""What the fetch unit needs of a pass: one path over a chunk of units."""

RowParameters = data.StructLayout({"mult": signed(16), "bias": signed(20)})
"""One row of a path, in the arithmetic `fixed`."""


def row_parameters(
    arithmetic: str, unit_word: int, row_mults: bool = False
) -> data.ArrayLayout | data.StructLayout:
    """The parameters of a D-word of `unit_word` rows; row_mults: with a multiplier for each."""
    if arithmetic == FIXED:
        return data.ArrayLayout(RowParameters, unit_word)
    return data.StructLayout(
        {
            "mult": data.ArrayLayout(unsigned(31), unit_word if row_mults else 1),  # Q0.31
            "saturates": unsigned(1),  # the part to int16, before it is added to others
            "floats": unsigned(1),  # as a float32 product
            "bias": data.ArrayLayout(signed(32), unit_word),
        }
    )


NORM_MULT_BITS = 31
NORM_VARIANCE_BITS = 31
"""Of a variance of int16 values, which is no more than 2**30, or of what stands for it."""
NORM_RECIPROCAL_BITS = 21
"""Of 2**20 over a layer's units."""


def norm_value(peephole: bool) -> data.StructLayout:
    """A unit's numbers for the layer normalisation of one gate."""
    seen = {"seen": signed(16)}  # weight of the cell state
    return data.StructLayout(
        {
            "gain": signed(16),  # the coefficient
            "bias": signed(32),  # behind the product with it
            **(seen if peephole else {}),
        }
    )


def norm_gate(peephole: bool) -> data.StructLayout:
    """What holds for one gate of a layer in its normalisation; or is the same in each of them."""
    seen = {"seen_mult": unsigned(NORM_MULT_BITS), "seen_shift": unsigned(5)}  # of weight times c
    return data.StructLayout(
        {
            "units": unsigned(UNIT_BITS + 1),  # of the layer
            "reciprocal": unsigned(NORM_RECIPROCAL_BITS),  # 2**20 over that, cut
            "base": unsigned(NORM_BITS),  # address of the layer's first `norm_value`
            "guard": unsigned(NORM_VARIANCE_BITS),  # what stands for a variance below 1
            "mult": unsigned(NORM_MULT_BITS),  # of the last rescaling
            "shift": signed(6),  # likewise; below 0 it goes left
            **(seen if peephole else {}),
        }
    )


def pass_entry(slots: int = SLOTS) -> data.StructLayout:
    """One D-word of every unit-word in a pass."""
    return data.StructLayout(
        {
            "slot": range(slots),
            "shift": unsigned(SHIFT_BITS),
            "init": unsigned(1),  # the first contribution to this slot: starts from the bias alone
            "flush": unsigned(1),  # no rows of this pass: only hands the slot's sum on to the cell
        }
    )


def row_pass(slots: int = SLOTS) -> data.StructLayout:
    """What the accumulators need of a pass."""
    return data.StructLayout(
        {
            "row_base": unsigned(ROW_BITS),  # address of M and of the row parameters
            "unit_words": unsigned(WORD_COUNT_BITS),
            "entries": range(slots + 1),
            "entry": data.ArrayLayout(pass_entry(slots), slots),
            "last": unsigned(1),  # the chunk's last path: its words go on to the cell unit
            "layer": unsigned(LAYER_BITS),
            "layer_start": unsigned(1),
            "layer_end": unsigned(1),
            "step_start": unsigned(1),
            "unit_base": unsigned(UNIT_BITS),
            "tail_units": unsigned(8),  # units of the last unit-word
        }
    )


def pass_word(slots: int = SLOTS) -> data.StructLayout:
    """One instruction of the program, for cells of so many gates."""
    return data.StructLayout({"fetch": FetchPass, "rows": row_pass(slots), "step_end": unsigned(1)})


StepTag = data.StructLayout(
    {
        "first": unsigned(1),  # of a sequence
        "fresh": unsigned(1),  # of all since reset: no list of the step before exists
        "parity": unsigned(1),  # the bank that is written
    }
)
"""What a pass must know of its step."""

EncoderRecord = data.StructLayout(
    {
        "enable": unsigned(1),
        "list": unsigned(LIST_BITS),
        "event_base": unsigned(EVENT_BITS),
        "columns": unsigned(COLUMN_BITS),
        "reference_base": unsigned(EVENT_BITS),
        "mult": unsigned(MULT_BITS),
        "shift": unsigned(SHIFT_BITS),
        "zero": signed(16),
        "width": unsigned(2),  # code width: 2, 4, 8 or 16 bits
        "power_of_two": unsigned(1),  # sends powers of two
    }
)
"""How an encoder quantizes one layer's output for one path, and where its list is."""


def layer_record(encoders: int) -> data.StructLayout:
    """A layer for the cell unit and the state encoders."""
    return data.StructLayout(
        {
            "cell": unsigned(CELL_BITS),  # index into the config's cells
            "c_exponent": unsigned(4),
            "state_base": unsigned(STATE_BITS),
            "vector_shift": unsigned(VECTOR_SHIFT_BITS),  # from vector * c to a pre-activation
            "skip_base": unsigned(STATE_BITS),  # state address of the layer before
            "skip_mult": signed(16),  # from its h to this layer's
            "skip_shift": unsigned(SHIFT_BITS),
            "output": unsigned(1),  # the last layer: h goes out
            "encoders": data.ArrayLayout(EncoderRecord, encoders),
        }
    )


def network_record(
    input_encoders: int, input_kinds: tuple[str, ...] = (FEATURES,)
) -> data.StructLayout:
    """What holds for the whole network, or for one of its sweeps."""
    both = {"tokens": unsigned(1)}  # its frames are
    return data.StructLayout(
        {
            **(both if len(input_kinds) > 1 else {}),
            "inputs": unsigned(COLUMN_BITS),
            "macs": unsigned(32),  # of a dense step, all sweeps together
            "program": unsigned(PROGRAM_BITS),  # the sweep's first pass
            "encoders": data.ArrayLayout(EncoderRecord, input_encoders),
        }
    )


Part = data.StructLayout({"offset": unsigned(RECORD_BITS), "units": unsigned(COLUMN_BITS)})
"""One source's words in the record of a frame."""


def sweep_record(sources: int) -> data.StructLayout:
    """A sweep for the sequence buffer."""
    return data.StructLayout(
        {
            "backward": unsigned(1),  # from the last frame to the first
            "compute": unsigned(1),  # through the core; otherwise its input goes straight out
            "emit": unsigned(1),  # the core's outputs go out; otherwise they are kept
            "end": unsigned(1),  # the last sweep
            "source_count": unsigned(SWEEP_SOURCE_BITS),
            "sources": data.ArrayLayout(Part, sources),
            "target": Part,
            "stride": unsigned(RECORD_BITS),  # words of a frame's record
            "frames": unsigned(RECORD_BITS),  # that the buffer holds
        }
    )


def pack(layout: data.StructLayout, values: Mapping[str, Any]) -> int:
    """The word that holds `values`; OverflowError names the field that a value does not fit."""
    return _pack("word", layout, values)


def _pack(name: str, shape: Any, value: Any) -> int:
    if isinstance(shape, data.StructLayout):
        parts = [(f.offset, _pack(str(key), f.shape, value[str(key)])) for key, f in shape]
        return sum(part << offset for offset, part in parts)
    if isinstance(shape, data.ArrayLayout):
        width = Shape.cast(shape.elem_shape).width
        return sum(_pack(name, shape.elem_shape, v) << (n * width) for n, v in enumerate(value))
    cast = Shape.cast(shape)
    low = -(1 << (cast.width - 1)) if cast.signed else 0
    if not low <= int(value) < low + (1 << cast.width):
        raise OverflowError(f"{name}: {value} does not fit {low}..{low + (1 << cast.width) - 1}")
    return int(value) & ((1 << cast.width) - 1)
