# SPDX-License-Identifier: Apache-2.0
"""In which order a list's entries are replayed, and how many there are of them in a round.

`EventOrder` and `TermOrder` have the same ports. Each keeps the state of two passes: of the current
one, whose entries are being replayed, and of the one that follows it and waits. What comes next is
always in registers, so that nothing is compared on the way to an enable.
"""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...words import COLUMN_BITS
from .words import Position, entry_place, list_answer


class Order(wiring.Component):
    """What `EventOrder` and `TermOrder` share.

    Members
    -------
    answer : in, `list_answer`
        What there is of a list; taken by the pass that it is for, unless that knows already.
    renew : in, 1 bit
        Another pass waits from the next cycle on: nothing is known of its list.
    known_empty : in, 1 bit
        With renew: but that its list is empty.
    take : in, 1 bit
        The pass that waits becomes the current one.
    step : in, 1 bit
        The current pass's entry is being used: the next one's turn.
    repeat : in, 1 bit
        With step, and the round's last entry: the round begins anew, for another group.
    finish : in, 1 bit
        With repeat: no, it was the last group. The next round begins behind this one's entries.
    current : out, `Position`
        Where the current pass is.
    waits_set : out, 1 bit
        What the list of the pass that waits has is known.
    place : out, `entry_place`
        The entry whose turn it is, while the current pass `plays`.
    """

    def __init__(self, levels: int | None) -> None:
        super().__init__(
            {
                "answer": In(list_answer(levels)),
                "renew": In(1),
                "known_empty": In(1),
                "take": In(1),
                "step": In(1),
                "repeat": In(1),
                "finish": In(1),
                "current": Out(Position),
                "waits_set": Out(1),
                "place": Out(entry_place(levels)),
            }
        )

    answer: data.View
    renew: Signal
    known_empty: Signal
    take: Signal
    step: Signal
    repeat: Signal
    finish: Signal
    current: data.View
    waits_set: Signal
    place: data.View

    def _passes(self, m: Module, fields: dict[str, Any]) -> tuple[Any, Any]:
        """State of the current pass and of the one that waits: a `Position`, and `fields`."""
        layout = data.StructLayout({"at": Position} | fields)
        current: Any = Signal(layout)
        following: Any = Signal(layout)
        m.d.comb += [self.current.eq(current.at), self.waits_set.eq(following.at.set)]
        with m.If(self.renew):
            m.d.sync += [
                following.at.set.eq(self.known_empty),
                following.at.final.eq(self.known_empty),
                following.at.empty.eq(self.known_empty),
                following.at.plays.eq(0),
                following.at.start.eq(0),
            ]
        return current, following

    def _answered(self, current: Any, following: Any) -> tuple[tuple[Any, Value], ...]:
        """Both passes, each with whether there is an answer that it takes."""
        answer = self.answer
        mine = ~answer.following & ~(self.take | self.finish)
        waits = answer.following & ~self.take
        return (
            (current, answer.valid & mine & ~current.at.set),
            (following, answer.valid & waits & ~following.at.set),
        )

    def _leave(self, m: Module, current: Any, following: Any, index: Signal) -> None:
        """What comes at the end of a round, and of a pass."""
        with m.If(self.finish):
            m.d.sync += [current.at.set.eq(0), current.at.plays.eq(0)]
        with m.If(self.take):
            m.d.sync += [current.eq(following), index.eq(0)]


class EventOrder(Order):
    """The order of events: the one in which they were found.

    A list that is still being written is replayed as far as it goes when there are `least` events
    more than in the rounds before, in a round of its own.
    """

    def __init__(self) -> None:
        super().__init__(None)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # count: events of this round and of those before; single: this one has one event.
        fields = {"count": COLUMN_BITS, "single": unsigned(1)}
        current, following = self._passes(m, fields)
        answer, index = self.answer, Signal(COLUMN_BITS)
        m.d.comb += self.place.index.eq(index)
        with m.If(self.renew):
            m.d.sync += following.count.eq(0)
        for each, taken in self._answered(current, following):
            at = each.at
            some = answer.count != at.start
            single = answer.count <= at.start + 1
            enough = answer.closed | (answer.count >= answer.least)
            with m.If(taken):
                m.d.sync += [
                    at.set.eq(enough),
                    at.plays.eq(some & enough),
                    at.final.eq(answer.closed),
                    at.empty.eq(answer.closed & ~some),
                    at.at_last.eq(single),
                    each.single.eq(single),
                    each.count.eq(answer.count),
                ]
        with m.If(~current.at.set):
            m.d.sync += index.eq(current.at.start)
        with m.If(self.step):
            m.d.sync += [index.eq(index + 1), current.at.at_last.eq(index + 2 >= current.count)]
        with m.If(self.repeat):
            m.d.sync += [index.eq(current.at.start), current.at.at_last.eq(current.single)]
        with m.If(self.finish):
            m.d.sync += current.at.start.eq(current.count)
        self._leave(m, current, following, index)
        return m


class TermOrder(Order):
    """The order of terms: level by level, from the highest one with a term down to 0.

    A level below the highest that has no term takes one beat all the same, in which the sums are
    quadrupled. A list is replayed when it is closed, in one round.

    Parameters
    ----------
    levels : int
        Levels of the lists.
    """

    def __init__(self, levels: int) -> None:
        self._levels = levels
        super().__init__(levels)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        levels, answer, index = self._levels, self.answer, Signal(COLUMN_BITS)
        fields = {
            # What is known of a list whose terms are all there.
            "counts": COLUMN_BITS * levels,
            "singles": unsigned(levels),  # by level: at most one term
            "gaps": unsigned(levels),  # by level: none
            "top": range(levels),  # the highest level with a term
            "top_count": COLUMN_BITS,
            "top_single": unsigned(1),
            # The next beat.
            "level": range(levels),
            "nothing": unsigned(1),
            "lower": unsigned(1),
            "level_count": COLUMN_BITS,
            "level_ends": unsigned(1),  # it is the last of its level
        }
        current, following = self._passes(m, fields)
        m.d.comb += [
            self.place.index.eq(index),
            self.place.level.eq(current.level),
            self.place.nothing.eq(current.nothing),
            self.place.lower.eq(current.lower),
        ]
        counts = [answer.count.word_select(n, COLUMN_BITS) for n in range(levels)]
        top, top_count = Signal(range(levels)), Signal(COLUMN_BITS)
        m.d.comb += [top.eq(0), top_count.eq(counts[0])]
        for n in range(1, levels):
            with m.If(counts[n] != 0):
                m.d.comb += [top.eq(n), top_count.eq(counts[n])]
        single = top_count <= 1
        for each, taken in self._answered(current, following):
            with m.If(taken):
                m.d.sync += [
                    each.counts.eq(answer.count),
                    each.singles.eq(Cat(count <= 1 for count in counts)),
                    each.gaps.eq(Cat(count == 0 for count in counts)),
                    each.top.eq(top),
                    each.top_count.eq(top_count),
                    each.top_single.eq(single),
                    each.at.set.eq(answer.closed),
                    each.at.final.eq(answer.closed),
                    each.at.empty.eq(answer.closed & (answer.count == 0)),
                    each.at.plays.eq(answer.closed & (answer.count != 0)),
                ]
                self._begin(m, each, top, top_count, single)
        with m.If(~current.at.set):
            m.d.sync += index.eq(0)
        with m.If(self.step):
            self._advance(m, current, index)
        with m.If(self.repeat):
            self._begin(m, current, current.top, current.top_count, current.top_single)
            m.d.sync += index.eq(0)
        self._leave(m, current, following, index)
        return m

    def _begin(self, m: Module, each: Any, top: Value, top_count: Value, single: Value) -> None:
        """The next beat is the list's first."""
        m.d.sync += [
            each.level.eq(top),
            each.nothing.eq(0),
            each.lower.eq(0),
            each.level_count.eq(top_count),
            each.level_ends.eq(single),
            each.at.at_last.eq(single & (top == 0)),
        ]

    def _advance(self, m: Module, each: Any, index: Signal) -> None:
        """One beat further; index: of the term in its level."""
        with m.If(each.level_ends):
            below = (each.level - 1)[: len(each.level)]
            single = each.singles.bit_select(below, 1)
            m.d.sync += [
                index.eq(0),
                each.level.eq(below),
                each.nothing.eq(each.gaps.bit_select(below, 1)),
                each.lower.eq(1),
                each.level_count.eq(each.counts.word_select(below, COLUMN_BITS)),
                each.level_ends.eq(single),
                each.at.at_last.eq(single & (each.level == 1)),
            ]
        with m.Else():
            ends = index + 2 >= each.level_count
            m.d.sync += [
                index.eq(index + 1),
                each.nothing.eq(0),
                each.lower.eq(0),
                each.level_ends.eq(ends),
                each.at.at_last.eq(ends & (each.level == 0)),
            ]
