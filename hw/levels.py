# SPDX-License-Identifier: Apache-2.0
"""The order in which a term list is replayed: level by level, from its highest one down to 0.

A level below the highest that has no term takes one beat all the same, in which the sums are
quadrupled; an empty list is one such beat of level 0.
"""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, unsigned
from amaranth.lib import data

from .layouts import COLUMN_BITS


def level_state(levels: int) -> data.StructLayout:
    """What is known of a closed list before its replay."""
    return data.StructLayout(
        {
            "count": COLUMN_BITS * levels,
            "single": unsigned(levels),  # by level: at most one term
            "gaps": unsigned(levels),  # by level: none
            "empty": unsigned(1),  # none at all
            "top": range(levels),  # the highest level with a term
            "top_count": COLUMN_BITS,
            "top_single": unsigned(1),
        }
    )


def level_values(m: Module, counts: Value, levels: int) -> dict[str, Value]:
    """The fields of `level_state` for a list with these counts."""
    each = [counts.word_select(n, COLUMN_BITS) for n in range(levels)]
    top, top_count = Signal(range(levels)), Signal(COLUMN_BITS)
    m.d.comb += [top.eq(0), top_count.eq(each[0])]
    for n in range(1, levels):
        with m.If(each[n] != 0):
            m.d.comb += [top.eq(n), top_count.eq(each[n])]
    return {
        "count": counts,
        "single": Cat(count <= 1 for count in each),
        "gaps": Cat(count == 0 for count in each),
        "empty": counts == 0,
        "top": top,
        "top_count": top_count,
        "top_single": top_count <= 1,
    }


@dataclass(frozen=True, slots=True)
class LevelOrder:
    """The next beat of a replay: registers, so that nothing is compared on the way to an enable.

    level, index: of the term; nothing: there is none; lower: the first beat of a level below the
    list's highest; is_last: the list's last beat.
    """

    level: Signal
    index: Signal
    nothing: Signal
    lower: Signal
    is_last: Signal
    _count: Signal
    _level_ends: Signal
    _levels: int

    @classmethod
    def of(cls, levels: int) -> "LevelOrder":
        """Its registers."""
        return cls(
            level=Signal(range(levels), name="level"),
            index=Signal(COLUMN_BITS, name="index"),
            nothing=Signal(name="nothing"),
            lower=Signal(name="lower"),
            is_last=Signal(name="is_last"),
            _count=Signal(COLUMN_BITS, name="level_count"),
            _level_ends=Signal(name="level_ends"),
            _levels=levels,
        )

    def begin(self, m: Module, state: Any) -> None:
        """From the start of the list, in the next cycle."""
        m.d.sync += [
            self.level.eq(state.top),
            self.index.eq(0),
            self.nothing.eq(state.empty),
            self.lower.eq(0),
            self.is_last.eq(state.top_single & (state.top == 0)),
            self._count.eq(state.top_count),
            self._level_ends.eq(state.top_single),
        ]

    def advance(self, m: Module, state: Any) -> None:
        """One beat further, in the next cycle; not after the last one."""
        with m.If(self._level_ends):
            below = (self.level - 1)[: len(self.level)]
            single = state.single.bit_select(below, 1)
            m.d.sync += [
                self.level.eq(below),
                self.index.eq(0),
                self.nothing.eq(state.gaps.bit_select(below, 1)),
                self.lower.eq(1),
                self.is_last.eq(single & (self.level == 1)),
                self._count.eq(state.count.word_select(below, COLUMN_BITS)),
                self._level_ends.eq(single),
            ]
        with m.Else():
            ends = self.index + 2 >= self._count
            m.d.sync += [
                self.index.eq(self.index + 1),
                self.lower.eq(0),
                self.is_last.eq(ends & (self.level == 0)),
                self._level_ends.eq(ends),
            ]
