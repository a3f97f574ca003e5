# SPDX-License-Identifier: Apache-2.0
"""What travels between the accumulators, the layer table and the cell unit."""

from amaranth.hdl import signed
from amaranth.lib import data

from ...config import AcceleratorConfig
from ...words import (
    CELL_BITS,
    LAYER_BITS,
    SHIFT_BITS,
    STATE_BITS,
    UNIT_BITS,
    VECTOR_SHIFT_BITS,
)

LayerContext = data.StructLayout(
    {
        "cell": CELL_BITS,
        "c_exponent": 4,
        "state_base": STATE_BITS,
        "output": 1,
        "vector_shift": VECTOR_SHIFT_BITS,
        "skip_base": STATE_BITS,
        "skip_mult": signed(16),
        "skip_shift": SHIFT_BITS,
        "layer": LAYER_BITS,
    }
)
"""What the cell unit must know of the layer whose units it is sent: which one it is, and what
`layer_record` has."""


def row_tag(config: AcceleratorConfig) -> data.StructLayout:
    """What goes along with a D-word through the accumulators."""
    return data.StructLayout(
        {
            "address": range(max(config.row_words, 2)),  # of its sums in M
            "row": range(max(config.row_words, 2)),  # the same, of its row parameters
            "slot": range(config.slots),  # its gate
            "shift": range(config.every_shift[0], config.every_shift[1] + 1),
            "from_zero": 1,  # M starts from 0, or from the initial sums
            "init": 1,  # the gate's first contribution: starts from the bias alone
            "flush": 1,  # no rows of this pass: only hands the gate's sum on
            "no_sums": 1,  # no sums come for it: none of the list's elements changed, or a flush
            "completes_gate": 1,  # of the chunk's last path: the gate goes on to the cell unit
            "sums_only": 1,  # the pass has another round: into M, and no further
            "unit_word": range(max(config.chunk_words, 2)),  # index in the chunk
            "unit": UNIT_BITS,  # index of its first unit in the layer
            "count": range(config.unit_word + 1),  # units of its unit-word
            "completes_unit_word": 1,  # the unit-word's last gate
            "first_step": 1,  # of a sequence
            "ends_layer": 1,  # of the layer's last unit-word
        }
    )


def sums_layout(config: AcceleratorConfig) -> data.ArrayLayout:
    """The sums of a D-word, one for each unit, with the paths' own binary points."""
    return data.ArrayLayout(signed(config.sum_bits), config.unit_word)


def parts_layout(config: AcceleratorConfig) -> data.ArrayLayout:
    """The parts of pre-activations that a D-word stands for, in their common format."""
    return data.ArrayLayout(signed(config.pre_bits), config.unit_word)


def row_word(config: AcceleratorConfig, values: data.ArrayLayout) -> data.StructLayout:
    """A D-word between two components of the accumulators: its tag, and its sums or parts."""
    return data.StructLayout({"tag": row_tag(config), "values": values})
