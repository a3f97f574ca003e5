# SPDX-License-Identifier: Apache-2.0
"""What the cell unit asks of a cell."""

from typing import Any, ClassVar

from amaranth.hdl import Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

__all__ = ["STATE_LATENCY", "Cell"]

STATE_LATENCY = 3
"""Cycles by which a unit's state comes after its pre-activations: read, registered, or set to 0."""


class Cell(wiring.Component):
    """Turn one unit's pre-activations and state into its next state, one unit a cycle.

    To add a cell, subclass this with the attributes below and an `elaborate`, and add it to
    `hw.cells.unit.CELLS` under the name it has in `golden.cells.CELLS`.

    A unit's p and c_exponent come in cycle 0, its c and h in cycle STATE_LATENCY; its c_next and
    h_next must hold in cycle LATENCY. The cell unit registers them, so one adder may still stand
    between them and the cell's last register. There is no valid and no stall.

    Attributes
    ----------
    GATES : int
        How many pre-activations a unit has, at most 4.
    READS : set of str
        Which parts of the state the cell reads, of "c" and "h"; the others are not connected.
    LATENCY : int
        Cycles from p to the next state, at least STATE_LATENCY.

    Members
    -------
    p : In(ArrayLayout(signed(16), GATES))
        Pre-activations, in the order of `golden.cells.Cell.gates`.
    c_exponent : In(unsigned(4))
        e_c: c is Q(e_c).(15-e_c).
    c, h : In(signed(16))
        State before, STATE_LATENCY cycles after p.
    c_next, h_next : Out(signed(16))
        State after.
    """

    GATES: ClassVar[int]
    READS: ClassVar[frozenset[str]]
    LATENCY: ClassVar[int]

    p: Any
    c_exponent: Signal
    c: Signal
    h: Signal
    c_next: Signal
    h_next: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "p": In(ArrayLayout(signed(16), self.GATES)),
                "c_exponent": In(unsigned(4)),
                "c": In(signed(16)),
                "h": In(signed(16)),
                "c_next": Out(signed(16)),
                "h_next": Out(signed(16)),
            }
        )
