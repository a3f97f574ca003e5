# SPDX-License-Identifier: Apache-2.0
"""Which entry of which list is used next, and for which group of rows.

A pass goes over its groups of rows once for all that its list has. A list that is still being
written is not waited for: what it holds is replayed over all groups as a round of its own, and the
rest when there is more.
"""

from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ....golden.models.layers import TOKEN_EVENTS
from ...words import COLUMN_BITS, EVENT_BITS, SOURCE_BITS, WEIGHT_BITS, WORD_COUNT_BITS, FetchPass
from ..events.words import BankKey, ListState
from .order import EventOrder, Order, TermOrder
from .words import FetchJob, Round, entry_use, list_answer

PassInStep = data.StructLayout(
    {
        "pass": FetchPass,
        "key": BankKey,
        "base": EVENT_BITS,
        "void": unsigned(1),  # a sequence's first step: the list of the step before is discarded
    }
)
"""A pass, and the bank of its list in a certain step."""

Inquiry = data.StructLayout(
    {
        "valid": unsigned(1),
        "key": BankKey,
        "source": unsigned(SOURCE_BITS),
        "void": unsigned(1),
        "start": COLUMN_BITS,
        "words": WORD_COUNT_BITS,
        "digits_log2": unsigned(2),
    }
)
"""valid: a pass wants to know its list's state. start: what it has had of it; the others are the
pass's."""


class ListPoll(wiring.Component):
    """Asks for the state of one list per cycle, for whichever of two passes needs a round.

    When the passes move on before the answer is there, that for the next pass is the current one's,
    and the current one's is dropped, as it is at the end of its round. The next pass may use the
    bank that is just being released, two steps later: it is not answered before that. A round is
    worth it when no group drains longer than it takes.

    LATENCY: 2 cycles. THROUGHPUT: one answer a cycle.

    Parameters
    ----------
    sources : int
        Change detectors that have lists.
    levels : int, optional
        Levels of lists of terms; None: they are lists of events.

    Members
    -------
    current : in, `Inquiry`
        Of the pass whose turn it is; goes first.
    following : in, `Inquiry`
        Of the pass that waits; its start is 0.
    take : in, 1 bit
        The pass that waits becomes the current one.
    finish : in, 1 bit
        The current pass's round ends.
    releasing : in, 1 bit
        A bank is being released.
    lists : out, `ListState(levels)` for each source
    answer : out, `list_answer(levels)`
    """

    def __init__(self, *, sources: int, levels: int | None = None) -> None:
        self._answer = list_answer(levels)
        super().__init__(
            {
                "current": In(Inquiry),
                "following": In(Inquiry),
                "take": In(1),
                "finish": In(1),
                "releasing": In(1),
                "lists": Out(ListState(levels)).array(sources),
                "answer": Out(self._answer),
            }
        )

    current: data.View
    following: data.View
    take: Signal
    finish: Signal
    releasing: Signal
    lists: list[Any]
    answer: data.View

    def elaborate(self, platform: object) -> Module:
        m = Module()
        current, following = self.current, self.following
        asked: Any = Signal(data.StructLayout({"valid": 1, "following": 1, "void": 1}))
        source, query = Signal(SOURCE_BITS), Signal(BankKey)
        m.d.comb += [each.query.eq(query) for each in self.lists]
        m.d.sync += [
            asked.valid.eq((current.valid | following.valid) & ~self.take),
            asked.following.eq(~current.valid),
            asked.void.eq(Mux(current.valid, current.void, following.void)),
            source.eq(Mux(current.valid, current.source, following.source)),
            query.eq(Mux(current.valid, current.key, following.key)),
        ]
        stays = ~(self.take | self.finish)
        words = Mux(asked.following, following.words, current.words)
        digits_log2 = Mux(asked.following, following.digits_log2, current.digits_log2)
        count = Array(each.count for each in self.lists)[source]
        answer: Any = Signal(self._answer)
        m.d.comb += self.answer.eq(answer)
        m.d.sync += [
            answer.valid.eq(asked.valid & (stays | asked.following) & ~self.releasing),
            answer.following.eq(asked.following & ~self.take),
            answer.closed.eq(Array(each.closed for each in self.lists)[source]),
            answer.count.eq(Mux(asked.void, 0, count)),
            answer.least.eq(Mux(asked.following, 0, current.start) + (words << digits_log2)),
        ]
        return m


class Rounds(wiring.Component):
    """Goes through the passes: the entries of each one's list, once for every group of rows.

    The next pass waits with its list already looked up when it gets its turn, so that no cycle is
    lost between passes. An empty list takes none at all.

    THROUGHPUT: an entry a cycle.

    Parameters
    ----------
    sources : int
        Change detectors that have lists.
    levels : int, optional
        Levels of lists of terms; None: they are lists of events.
    token_sources : int
        The first so many sources are tokens, whose banks have room for `TOKEN_EVENTS`.

    Members
    -------
    i : in, stream of `FetchJob`
        The passes.
    lists : out, `ListState(levels)` for each source
    releasing : in, 1 bit
        A bank is being released.
    advance : in, 1 bit
        An entry may be used in this cycle: `use` is looked at.
    may_end : in, 1 bit
        So may the last one of a group: the drain has room for the group's sums.
    issue : out, 1 bit
        An entry is used.
    use : out, `entry_use(levels)`
        Which one; its `release` also holds without one.
    begun : out, stream of `Round`
        One token for every round of a pass; its taker must have room.
    """

    def __init__(self, *, sources: int, levels: int | None = None, token_sources: int = 0) -> None:
        self._sources = sources
        self._levels = levels
        self._token_sources = token_sources
        super().__init__(
            {
                "i": In(stream.Signature(FetchJob)),
                "lists": Out(ListState(levels)).array(sources),
                "releasing": In(1),
                "advance": In(1),
                "may_end": In(1),
                "issue": Out(1),
                "use": Out(entry_use(levels)),
                "begun": Out(stream.Signature(Round, always_ready=True)),
            }
        )

    i: stream.Interface
    lists: list[Any]
    releasing: Signal
    advance: Signal
    may_end: Signal
    issue: Signal
    use: data.View
    begun: stream.Interface

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.order = order = TermOrder(self._levels) if self._levels else EventOrder()
        m.submodules.poll = poll = ListPoll(sources=self._sources, levels=self._levels)
        for inner, outer in zip(poll.lists, self.lists, strict=True):
            wiring.connect(m, inner, wiring.flipped(outer))

        # What ends with this cycle's entry: a group, a round, a pass. An empty pass is skipped.
        running, waiting = Signal(), Signal()
        end, finish, skip, take = Signal(), Signal(), Signal(), Signal()
        first_group, last_group = Signal(), Signal()
        at = order.current
        m.d.comb += [
            self.issue.eq(self.advance & at.plays & (~at.at_last | self.may_end)),
            end.eq(self.advance & at.plays & at.at_last & self.may_end),
            finish.eq(end & last_group),
            skip.eq(running & self.advance & at.empty),
            take.eq((finish & at.final) | skip | ~running),
            order.step.eq(self.issue),
            order.repeat.eq(end),
            order.finish.eq(finish),
            order.take.eq(take),
            order.answer.eq(poll.answer),
            poll.finish.eq(finish),
            poll.take.eq(take),
            poll.releasing.eq(self.releasing),
        ]
        current, following = self._passes(m, order, running, waiting, take)
        for inquiry, each in ((poll.current, current), (poll.following, following)):
            m.d.comb += [
                inquiry.key.eq(each.key),
                inquiry.source.eq(each["pass"].source),
                inquiry.void.eq(each.void),
                inquiry.words.eq(each["pass"].words),
                inquiry.digits_log2.eq(each["pass"].digits_log2),
            ]
        m.d.comb += [
            poll.current.valid.eq(running & ~at.set),
            poll.current.start.eq(at.start),
            poll.following.valid.eq(waiting & ~order.waits_set),
        ]

        # The groups of rows.
        is_first = Signal()
        group_base = Signal(WEIGHT_BITS)
        groups_left = Signal(12)
        with m.If(self.issue):
            m.d.sync += is_first.eq(0)
        with m.If(end):
            m.d.sync += [
                is_first.eq(1),
                group_base.eq(group_base + current["pass"].columns),
                groups_left.eq(groups_left - 1),
                first_group.eq(0),
                last_group.eq(groups_left == 2),
            ]
        for when, each in ((finish, current), (take, following)):
            with m.If(when):
                m.d.sync += [
                    group_base.eq(each["pass"].weight_base),
                    groups_left.eq(each["pass"].groups),
                    first_group.eq(1),
                    last_group.eq(each["pass"].groups == 1),
                ]
        with m.If(take):
            m.d.sync += is_first.eq(1)

        self._use(m, current, order)
        m.d.comb += [
            self.use.release.eq(((finish & at.final) | skip) & current["pass"].release),
            self.use.group_base.eq(group_base),
            self.use.first.eq(is_first),
            self.use.last.eq(end),
            self.use.words.eq(Mux(last_group, current["pass"].tail_words, current["pass"].words)),
            self.use.used.eq(first_group),
        ]
        m.d.sync += [
            self.begun.valid.eq((self.issue & is_first & first_group) | skip),
            self.begun.payload.empty.eq(skip),
            self.begun.payload.more.eq(~at.final),
        ]
        return m

    def _passes(
        self, m: Module, order: Order, running: Signal, waiting: Signal, take: Value
    ) -> tuple[Any, Any]:
        """The current pass, and the one that waits for its turn, of which there may be none."""
        current: Any = Signal(PassInStep)
        following: Any = Signal(PassInStep)
        job, step = self.i.payload["pass"], self.i.payload.step
        bank = step.parity ^ job.recurrent
        room: Value = job.columns
        if self._token_sources:
            room = Mux(job.source < self._token_sources, TOKEN_EVENTS, room)
        m.d.comb += [
            order.renew.eq(~waiting | take),
            order.known_empty.eq(job.recurrent & step.fresh),
            self.i.ready.eq(order.renew),
        ]
        with m.If(order.renew):
            m.d.sync += [
                waiting.eq(self.i.valid),
                following["pass"].eq(job),
                following.key.list.eq(job.list),
                following.key.bank.eq(bank),
                following.base.eq(job.event_base + Mux(bank, room, 0)),
                following.void.eq(job.recurrent & step.first),
            ]
        with m.If(take):
            m.d.sync += [running.eq(waiting), current.eq(following)]
        return current, following

    def _use(self, m: Module, current: Any, order: Order) -> None:
        """The entry whose turn it is, and what its pass says of it."""
        use, place = self.use, order.place
        m.d.comb += [
            use.address.eq(current.base + place.index),
            use.source.eq(current["pass"].source),
            use.list.eq(current["pass"].list),
            use.key.eq(current.key),
            use.digits_log2.eq(current["pass"].digits_log2),
            use.tally.eq(current["pass"].tally),
            use.products.eq(current["pass"].products),
        ]
        if self._levels:
            m.d.comb += [
                use.level.eq(place.level),
                use.nothing.eq(place.nothing),
                use.lower.eq(place.lower),
            ]
