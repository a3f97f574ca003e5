# SPDX-License-Identifier: Apache-2.0
"""What the cell unit asks of a cell."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from amaranth.hdl import Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from ..words import VECTOR_SHIFT_BITS
from .size import Size

__all__ = [
    "CONSTANT",
    "CONSTANT_LATENCY",
    "SKIP_LATENCY",
    "STATE_LATENCY",
    "STEADY",
    "Cell",
    "constant_layout",
    "over",
    "vector_layout",
]

STATE_LATENCY = 3
"""Cycles by which a unit's state comes after its pre-activations: read, registered, or set to 0."""

SKIP_LATENCY = 7
"""Cycles by which a unit's skip comes after its pre-activations: read, rescaled, saturated."""


CONSTANT_LATENCY = 2
"""The same of its layer's constants: read, registered."""

CONSTANT = "layer_"
"""What the names of constants begin with in a cell's graph."""

STEADY = ("mean_", CONSTANT)
"""What the names of all begin with that is the same for all units of a layer."""


def constant_layout(constants: Mapping[str, int]) -> StructLayout:
    """A layer's word of the memory of constants: signed numbers of so many bits, the first low."""
    return StructLayout({name: signed(bits) for name, bits in constants.items()})


def over(count: int) -> tuple[str, str]:
    """Names of the constants mult and shift, mult * 2**-shift being 1 / (count * units)."""
    return f"{CONSTANT}over_{count}_mult", f"{CONSTANT}over_{count}_shift"


def vector_layout(names: Sequence[str]) -> StructLayout:
    """One word of the vector memory: a unit's elements of its cell's vectors, the first one low."""
    return StructLayout(dict.fromkeys(names, signed(16)))


class Cell(wiring.Component):
    """Turn one unit's pre-activations and state into its next state, one unit a cycle.

    `pipeline` makes a subclass of each stage of a cell in `golden.cells.CELLS`.

    Where it reads means over the layer's units, all units go through it in several turns; each turn
    but the last makes means of its sums, and in the last one the next state is right.

    A unit's p, c_exponent and vector_shift come in cycle 0, its c, h and vectors in cycle
    STATE_LATENCY, its skip in cycle SKIP_LATENCY; its c_next and h_next must hold in cycle LATENCY.
    The cell unit registers them, so one adder may still stand between them and the cell's last
    register. There is no valid and no stall. Its layer's constants hold from cycle CONSTANT_LATENCY
    of the layer's first unit on until its last unit is through.

    A golden cell may take several of these, run one after the other over the layer's units: its
    stages. They hand each other what they need in c and h.

    Attributes
    ----------
    GATES : int
        How many pre-activations a unit has, at most 4; with means at most 8.
    READS : set of str
        What the cell reads besides p, of "c", "h", "vectors", "vector_shift", "skip" and
        "constants". What it does not read is not connected (c, h) or not there (the others, but
        that vector_shift is where there are vectors).
        "norm": p is normalised over the layer's units; "norm_c": and sees c before that.
    VECTORS : tuple of str
        The vectors' names, where it reads them.
    CONSTANTS : mapping of str to int
        The constants' names, and their bits.
    LATENCY : int
        Cycles from p to the next state, at least STATE_LATENCY.
    MAX_C_EXPONENT : int
        Largest e_c that the cell takes.
    CONTINUES : bool
        The state is what another cell left in the same step, so it is never read as 0.
    SIZE : Size
        What takes area, for estimates.
    HAS_OUT : bool
        `out` goes out, to the encoders and the output stream, instead of h_next.
    TURNS : tuple of mappings of int to int
        Of each turn but the last: by n, how many values sum_n is the sum of.
    MEANS, SUMS : mapping of int to int
        By n, the bits of the nth mean over a layer's units, and of the value that it is of.
    SUM_CYCLES : mapping of int to int
        Cycles from p to sum_n.
    SETTLES : tuple of int
        Of each turn but the last: cycles that its means must hold before the next one's first unit.

    Members
    -------
    p : In(ArrayLayout(signed(16), GATES))
        Pre-activations, in the order of `golden.cells.Cell.gates`.
    c_exponent : In(unsigned(4))
        e_c: c is Q(e_c).(15-e_c).
    c, h : In(signed(16))
        State before, STATE_LATENCY cycles after p.
    vectors : In(vector_layout(VECTORS))
        The unit's elements of the layer's vectors, STATE_LATENCY cycles after p.
    vector_shift : In(unsigned(VECTOR_SHIFT_BITS))
        Right shift from vector times c to the pre-activations' format.
    skip : In(signed(16))
        The unit's element of the layer's input in h's format, SKIP_LATENCY cycles after p.
    constants : In(constant_layout(CONSTANTS))
        What all units of the layer share.
    c_next, h_next : Out(signed(16))
        State after.
    out : Out(signed(16))
        Only with HAS_OUT; holds in cycle LATENCY.
    mean_n : In(signed(MEANS[n]))
        From SETTLES cycles before the first unit of the turn after that which made it on.
    sum_n : Out(signed(SUMS[n]))
        Holds in cycle SUM_CYCLES[n].
    """

    GATES: ClassVar[int]
    READS: ClassVar[frozenset[str]]
    VECTORS: ClassVar[tuple[str, ...]] = ()
    CONSTANTS: ClassVar[Mapping[str, int]] = {}
    LATENCY: ClassVar[int]
    MAX_C_EXPONENT: ClassVar[int] = 15
    CONTINUES: ClassVar[bool] = False
    HAS_OUT: ClassVar[bool] = False
    TURNS: ClassVar[Sequence[Mapping[int, int]]] = ()
    MEANS: ClassVar[Mapping[int, int]] = {}
    SUMS: ClassVar[Mapping[int, int]] = {}
    SUM_CYCLES: ClassVar[Mapping[int, int]] = {}
    SETTLES: ClassVar[Sequence[int]] = ()
    SIZE: ClassVar[Size]

    p: Any
    c_exponent: Signal
    c: Signal
    h: Signal
    vectors: Any
    vector_shift: Signal
    skip: Signal
    constants: Any
    c_next: Signal
    h_next: Signal
    out: Signal

    def __init__(self) -> None:
        vectors = {"vectors": In(vector_layout(self.VECTORS))}
        shift = {"vector_shift": In(unsigned(VECTOR_SHIFT_BITS))}
        skip = {"skip": In(signed(16))}
        constants = {"constants": In(constant_layout(self.CONSTANTS))}
        super().__init__(
            {
                "p": In(ArrayLayout(signed(16), self.GATES)),
                "c_exponent": In(unsigned(4)),
                "c": In(signed(16)),
                "h": In(signed(16)),
                **(vectors if "vectors" in self.READS else {}),
                **(shift if self.READS & {"vectors", "vector_shift"} else {}),
                **(skip if "skip" in self.READS else {}),
                **(constants if self.CONSTANTS else {}),
                "c_next": Out(signed(16)),
                "h_next": Out(signed(16)),
                **({"out": Out(signed(16))} if self.HAS_OUT else {}),
                **{f"mean_{n}": In(signed(bits)) for n, bits in self.MEANS.items()},
                **{f"sum_{n}": Out(signed(bits)) for n, bits in self.SUMS.items()},
            }
        )
