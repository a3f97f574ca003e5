# SPDX-License-Identifier: Apache-2.0
"""Every kind of cell, and the formats of what enters and leaves the cell unit."""

from collections.abc import Mapping, Sequence

from amaranth.hdl import signed, unsigned
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.utils import ceil_log2

from ..words import LAYER_BITS, SHIFT_BITS, SLOTS, UNIT_BITS, VECTOR_SHIFT_BITS
from .base import Cell
from .gru import GruCell
from .gru_before import GruResetCell, GruUpdateCell
from .ligru import LigruCell
from .linear import LinearCell
from .lstm import LstmCell, LstmCifgCell, LstmPeepholeCell
from .sru import Sru0Cell, Sru4Cell, SruCell

CELLS: Mapping[str, type[Cell]] = {
    "lstm": LstmCell,
    "lstm_cifg": LstmCifgCell,
    "lstm_peephole": LstmPeepholeCell,
    "gru": GruCell,
    "gru_reset": GruResetCell,
    "gru_update": GruUpdateCell,
    "ligru": LigruCell,
    "sru": SruCell,
    "sru4": Sru4Cell,
    "sru0": Sru0Cell,
    "linear": LinearCell,
}
"""Every cell that there is, by its name in `golden.cells.CELLS` or `hw.plan.PARTS`."""


def reads(cells: Sequence[str], what: str) -> bool:
    """Whether one of the cells reads `what`: "c", "h", "vectors" or "skip"."""
    return any(what in CELLS[name].READS for name in cells)


def vector_bits(cells: Sequence[str]) -> int:
    """Width of the vector memory that serves these cells."""
    return 16 * max(len(CELLS[name].VECTORS) for name in cells)


def most_latency(cells: Sequence[str]) -> int:
    """Most cycles from a unit's pre-activations to its h, through the cell unit."""
    return max(CELLS[name].LATENCY for name in cells) + 3


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

    Only where one of the cells reads vectors:

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
            "slot": range(SLOTS),
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
            **(vectors if reads(cells, "vectors") else {}),
            **(skip if reads(cells, "skip") else {}),
        }
    )


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
