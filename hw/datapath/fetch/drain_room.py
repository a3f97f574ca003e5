# SPDX-License-Identifier: Apache-2.0
"""When a group may be completed: its sums must find the drain register empty, and room behind."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...parts.queue import Credits
from ...words import WORD_COUNT_BITS


class DrainRoom(wiring.Component):
    """Says a cycle ahead whether a group may be completed.

    With the last two groups not yet taken off the credits, it takes room for three.

    Parameters
    ----------
    queue_words : int
        Room for D-words behind the array.
    group_words : int
        D-words of the largest group.
    steady : bool
        Beats reach the array as far apart as they were issued.
    spacing : int
        Cycles between two beats at the array, at the least.

    Members
    -------
    end : in, 1 bit
        A group's last beat is issued.
    words : in, 10 bits
        With end: its D-words.
    digits_log2 : in, 2 bits
        With end: log2 of the cycles that each of them takes to drain.
    arrived : in, 1 bit
        A group's last beat has reached the array.
    arrived_words, arrived_digits_log2 : in
        With arrived: the same of that group.
    drained : in, 1 bit
        One D-word has left the queue behind the array.
    may_end : out, 1 bit
        A group may be completed in this cycle.
    """

    def __init__(
        self, *, queue_words: int, group_words: int, steady: bool, spacing: int = 1
    ) -> None:
        self._steady = steady
        self._drained_between = spacing >= group_words
        self._credits = Credits(total=queue_words, need=3 * group_words)
        super().__init__(
            {
                "end": In(1),
                "words": In(WORD_COUNT_BITS),
                "digits_log2": In(2),
                "arrived": In(1),
                "arrived_words": In(WORD_COUNT_BITS),
                "arrived_digits_log2": In(2),
                "drained": In(1),
                "may_end": Out(1),
            }
        )

    end: Signal
    words: Signal
    digits_log2: Signal
    arrived: Signal
    arrived_words: Signal
    arrived_digits_log2: Signal
    drained: Signal
    may_end: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.credits = credits = self._credits
        drain = Signal(WORD_COUNT_BITS + 3)
        spacing = Signal.like(drain)
        m.d.comb += [drain.eq(self.words << self.digits_log2), credits.give.eq(self.drained)]
        m.d.sync += [credits.take.eq(self.end), credits.amount.eq(self.words)]
        with m.If(spacing != 0):
            m.d.sync += spacing.eq(spacing - 1)
        if self._steady:
            m.d.sync += self.may_end.eq(credits.room & Mux(self.end, drain == 1, spacing <= 1))
            with m.If(self.end):
                m.d.sync += spacing.eq(drain - 1)
            return m
        if self._drained_between:
            # Whatever the group, it has drained when the next beat comes.
            m.d.sync += self.may_end.eq(credits.room)
            return m
        # Answers may bunch up: the next group waits until this one's end has arrived.
        on_its_way = Signal()
        m.d.sync += self.may_end.eq(credits.room & ~self.end & ~on_its_way & (spacing <= 1))
        with m.If(self.end):
            m.d.sync += on_its_way.eq(1)
        with m.If(self.arrived):
            m.d.sync += [
                on_its_way.eq(0),
                spacing.eq(self.arrived_words << self.arrived_digits_log2),
            ]
        return m
