# SPDX-License-Identifier: Apache-2.0
"""The order in which a term list is replayed: level by level, from its highest one down to 0.

A level below the highest that has no term takes one beat all the same, in which the sums are
quadrupled. Which beat comes next is in registers, so that nothing is compared on the way to an
enable.
"""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, unsigned

from ...words import COLUMN_BITS


def level_fields(levels: int) -> dict[str, Any]:
    """What is known of a list whose terms are all there, and where its replay is."""
    return {
        "counts": COLUMN_BITS * levels,
        "singles": unsigned(levels),  # by level: at most one term
        "gaps": unsigned(levels),  # by level: none
        "top": range(levels),  # the highest level with a term
        "top_count": COLUMN_BITS,
        "top_single": unsigned(1),
        # The next beat.
        "level": range(levels),
        "nothing": unsigned(1),  # it has no term
        "lower": unsigned(1),  # it is the first of a level below the highest
        "level_count": COLUMN_BITS,
        "level_ends": unsigned(1),  # it is the last of its level
    }


def level_values(m: Module, counts: Value, levels: int) -> dict[str, Value]:
    """The first of `level_fields` for a list with these counts, level 0 in the lowest bits."""
    each = [counts.word_select(n, COLUMN_BITS) for n in range(levels)]
    top, top_count = Signal(range(levels)), Signal(COLUMN_BITS)
    m.d.comb += [top.eq(0), top_count.eq(each[0])]
    for n in range(1, levels):
        with m.If(each[n] != 0):
            m.d.comb += [top.eq(n), top_count.eq(each[n])]
    return {
        "counts": counts,
        "singles": Cat(count <= 1 for count in each),
        "gaps": Cat(count == 0 for count in each),
        "top": top,
        "top_count": top_count,
        "top_single": top_count <= 1,
    }


def begin_levels(m: Module, entry: Any, known: Any, index: Signal | None = None) -> None:
    """The next beat is the list's first, by what is known of it."""
    m.d.sync += [
        entry.level.eq(known.top),
        entry.nothing.eq(0),
        entry.lower.eq(0),
        entry.level_count.eq(known.top_count),
        entry.level_ends.eq(known.top_single),
        entry.at_last.eq(known.top_single & (known.top == 0)),
    ]
    if index is not None:
        m.d.sync += index.eq(0)


def advance_levels(m: Module, entry: Any, index: Signal) -> None:
    """One beat further; index: of the term in its level."""
    with m.If(entry.level_ends):
        below = (entry.level - 1)[: len(entry.level)]
        single = entry.singles.bit_select(below, 1)
        m.d.sync += [
            index.eq(0),
            entry.level.eq(below),
            entry.nothing.eq(entry.gaps.bit_select(below, 1)),
            entry.lower.eq(1),
            entry.level_count.eq(entry.counts.word_select(below, COLUMN_BITS)),
            entry.level_ends.eq(single),
            entry.at_last.eq(single & (entry.level == 1)),
        ]
    with m.Else():
        ends = index + 2 >= entry.level_count
        m.d.sync += [
            index.eq(index + 1),
            entry.nothing.eq(0),
            entry.lower.eq(0),
            entry.level_ends.eq(ends),
            entry.at_last.eq(ends & (entry.level == 0)),
        ]
