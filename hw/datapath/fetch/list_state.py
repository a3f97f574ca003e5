# SPDX-License-Identifier: Apache-2.0
"""Looks up event lists for the fetch unit: how many events there are, and whether more may come."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data

from ...words import COLUMN_BITS, SOURCE_BITS
from .term_order import begin_levels, level_values


def look_up(
    m: Module,
    fetch: Any,
    current: Any,
    following: Any,
    *,
    running: Value,
    waiting: Value,
    through: Value,
    take: Value,
    releasing: Value,
    levels: int | None,
) -> None:
    """Asks for the state of one list per cycle, for whichever pass needs a round.

    An answer takes two cycles. When the passes move on in between, that for the next pass is the
    current one's, and the current one's is dropped, as it is at the end of its round. The next pass
    may use the bank that is just being released, two steps later: it is not answered before that.
    A round is worth it when no group drains longer than it takes; one of terms, of `levels`, waits
    for the list's end.

    fetch: the unit, whose `query` is asked and whose `closed` and `count` answer; current,
    following: its passes; through: the current one's round ends, take: the pass does.
    """
    flags = dict.fromkeys(("valid", "following", "closed"), unsigned(1))
    layout = data.StructLayout(flags | {"count": len(fetch.count[0])})
    seen: Any = Signal(layout, name="seen")
    ask_layout = data.StructLayout(
        dict.fromkeys(("valid", "following", "void"), unsigned(1))
        | {"source": unsigned(SOURCE_BITS)}
    )
    asked: Any = Signal(ask_layout, name="asked_list")
    least = Signal(COLUMN_BITS + 1)
    follow = running & ~current.set
    stays = ~(take | through)
    m.d.sync += [
        asked.valid.eq((follow | (waiting & ~following.set)) & ~take),
        asked.following.eq(~follow),
        fetch.query.eq(Mux(follow, current.key, following.key)),
        asked.source.eq(Mux(follow, current["pass"].source, following["pass"].source)),
        asked.void.eq(Mux(follow, current.void, following.void)),
        seen.valid.eq(asked.valid & (stays | asked.following) & ~releasing),
        seen.following.eq(asked.following & ~take),
        seen.closed.eq(Array(fetch.closed)[asked.source]),
        seen.count.eq(Mux(asked.void, 0, Array(fetch.count)[asked.source])),
        least.eq(
            Mux(asked.following, 0, current.start)
            + (
                Mux(asked.following, following["pass"].words, current["pass"].words)
                << Mux(asked.following, following["pass"].digits, current["pass"].digits)
            )
        ),
    ]
    for entry, mine in (
        (current, ~seen.following & stays),
        (following, seen.following & ~take),
    ):
        with m.If(seen.valid & mine & ~entry.set):
            if levels:
                known = level_values(m, seen.count, levels)
                begin_levels(m, entry, SimpleNamespace(**known))
                m.d.sync += [entry[name].eq(value) for name, value in known.items()]
                m.d.sync += [entry[name].eq(seen.closed) for name in ("set", "final")]
                m.d.sync += [
                    entry.empty.eq(seen.closed & (seen.count == 0)),
                    entry.plays.eq(seen.closed & (seen.count != 0)),
                ]
                continue
            some = seen.count != entry.start
            m.d.sync += [
                entry.set.eq(seen.closed | (seen.count >= least)),
                entry.plays.eq(some & (seen.closed | (seen.count >= least))),
                entry.final.eq(seen.closed),
                entry.count.eq(seen.count),
                entry.single.eq(seen.count <= entry.start + 1),
                entry.at_last.eq(seen.count <= entry.start + 1),
                entry.empty.eq(seen.closed & ~some),
            ]
