# SPDX-License-Identifier: Apache-2.0
"""What travels into the cell unit, out of it, and out of the accelerator."""

from collections.abc import Sequence

from amaranth.hdl import signed, unsigned
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.utils import ceil_log2

from ...cells.catalogue import reads, slots_of
from ...config import AcceleratorConfig
from ...words import LAYER_BITS, SHIFT_BITS, UNIT_BITS, VECTOR_SHIFT_BITS


def cell_word(drain_rows: int, *, cells: Sequence[str], state_depth: int) -> StructLayout:
    """What enters the cell unit: one gate of `drain_rows` consecutive units.

    The words of the same units, one for each gate of the cell, form a unit-word: they follow each
    other in any order of slots, all but `p`, `slot` and `last` being the same in each of them.

    p : pre-activations, of which the first `count` are valid.
    slot : index of the gate in `golden.cells.Cell.gates`.
    last : this word completes the unit-word.
    unit : index of the first unit in the layer.
    state : state memory address of the first unit; the others follow.
    count : valid units, 1..drain_rows.
    cell : index into the unit's `cells`.
    c_exponent : e_c; c is Q(e_c).(15-e_c).
    first : the state reads as 0, as at a sequence's first step, unless the cell continues another.
    layer : passed on.
    begin, end : this unit-word is the layer's first, its last.

    Only where one of the cells reads vectors, or constants with their exponent:

    vector_shift : right shift from vector times c to the pre-activations' format.

    Only where one of the cells reads the skip, sat16(rshr(x * skip_mult, skip_shift)):

    skip : state memory address of the first unit's x, the h of the layer before.
    skip_mult, skip_shift : from x's format to h's.
    """
    address = unsigned(ceil_log2(state_depth))
    vectors = {"vector_shift": unsigned(VECTOR_SHIFT_BITS)}
    skip = {
        "skip": address,
        "skip_mult": signed(16),
        "skip_shift": unsigned(SHIFT_BITS),
    }
    return StructLayout(
        {
            "p": ArrayLayout(signed(16), drain_rows),
            "slot": range(slots_of(cells)),
            "last": unsigned(1),
            "unit": unsigned(UNIT_BITS),
            "state": address,
            "count": range(drain_rows + 1),
            "cell": range(len(cells)),
            "c_exponent": unsigned(4),
            "first": unsigned(1),
            "layer": unsigned(LAYER_BITS),
            "begin": unsigned(1),
            "end": unsigned(1),
            **(vectors if reads(cells, "vectors") or reads(cells, "vector_shift") else {}),
            **(skip if reads(cells, "skip") else {}),
        }
    )


def gate_word(config: AcceleratorConfig) -> StructLayout:
    """The accelerator's `cell_word`: one gate of a unit-word."""
    return cell_word(config.unit_word, cells=config.cells, state_depth=max(config.states, 2))


def cell_output(width: int = 1) -> StructLayout:
    """What leaves the cell unit: one unit's h, or what its cell puts out instead.

    `end` marks the layer's last unit. Where several units leave at once, `unit` is the first one,
    and `mask` says which of the `h` there are.
    """
    several = {"h": ArrayLayout(signed(16), width), "mask": unsigned(width)}
    return StructLayout(
        {
            "layer": unsigned(LAYER_BITS),
            "unit": unsigned(UNIT_BITS),
            **({"h": signed(16)} if width == 1 else several),
            "end": unsigned(1),
        }
    )


OutputWord = StructLayout({"value": signed(16), "last": unsigned(1)})
"""One word of the output stream; `last` ends a frame."""


def output_word(elements: int) -> StructLayout:
    """`OutputWord` for several values a beat, those behind a frame's last one undefined."""
    if elements == 1:
        return OutputWord
    return StructLayout({"value": ArrayLayout(signed(16), elements), "last": unsigned(1)})
