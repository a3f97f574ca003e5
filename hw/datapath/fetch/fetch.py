# SPDX-License-Identifier: Apache-2.0
"""Sparse column fetch: replays an event list once per group of rows, and gets each event's weights.

For a pass over `groups` groups, event (j, d) of the list asks for weight word
weight_base + group * columns + j. `Rounds` says which entry of which list is used next,
`BeatReader` makes a beat of it, and `DrainRoom` keeps the groups as far apart as they drain.
"""

from typing import Any

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...words import LIST_BITS
from ..events.words import ListReader
from ..lanes.words import Term, beat_tag
from .drain_room import DrainRoom
from .reader import BeatReader
from .rounds import Rounds
from .words import FetchJob, Round, weight_store_signature


class Fetch(wiring.Component):
    """Turns passes into beats for the MAC array, pass after pass without a gap.

    LATENCY: `REQUEST_CYCLES` and the store's, from an entry's turn to its beat.
    THROUGHPUT: a beat a cycle; an empty list takes none.

    Parameters
    ----------
    sources : int
        Change detectors that have lists.
    delta_bits : int
        Width of a delta.
    group_words : int
        D-words of the largest group.
    queue_words : int
        Room for D-words behind the array, reserved before a group is completed; at least three of
        the largest groups.
    address_bits, word_bits : int
        Of the weight store.
    store_steady : bool
        The store's answers keep the requests' spacing.
    store_outstanding : int
        Requests that the store may hold.
    store_spacing : int
        Cycles between two of its answers, at the least.
    levels : int, optional
        Levels of lists of terms; None: they are lists of events.
    token_sources : int
        As of `Rounds`.

    Members
    -------
    i : in, stream of `FetchJob`
        The passes.
    lists : out, `ListReader(delta_bits, levels)` for each source
    store : out, the weight store, as `weight_store_signature` has it
    valid : out, 1 bit
        A beat for the MAC array; it never waits.
    weights : out, `word_bits` bits
    tag : out, `beat_tag`
    begun : out, stream of `Round`
        One token for every round of a pass; its taker must have room.
    drained : in, 1 bit
        One D-word has left the queue behind the array.
    event : out, 1 bit
        An event is used for the first time in its step.
    event_list : out, 5 bits
        Its list.
    macs : out, 14 bits
        Products that an event's first use in a pass stands for.
    """

    def __init__(
        self,
        *,
        sources: int,
        delta_bits: int,
        group_words: int,
        queue_words: int,
        address_bits: int,
        word_bits: int,
        store_steady: bool,
        store_outstanding: int,
        store_spacing: int = 1,
        levels: int | None = None,
        token_sources: int = 0,
    ) -> None:
        if queue_words < 3 * group_words:
            raise ValueError(
                f"queue_words must be at least three groups of {group_words}, not {queue_words!r}"
            )
        self._rounds = Rounds(sources=sources, levels=levels, token_sources=token_sources)
        self._room = DrainRoom(
            queue_words=queue_words,
            group_words=group_words,
            steady=store_steady,
            spacing=store_spacing,
        )
        self._reader = BeatReader(
            sources=sources,
            delta_bits=delta_bits,
            address_bits=address_bits,
            word_bits=word_bits,
            store_steady=store_steady,
            store_outstanding=store_outstanding,
            levels=levels,
        )
        store = weight_store_signature(address_bits=address_bits, word_bits=word_bits)
        super().__init__(
            {
                "i": In(stream.Signature(FetchJob)),
                "lists": Out(ListReader(delta_bits, levels)).array(sources),
                "store": In(store),
                "valid": Out(1),
                "weights": Out(word_bits),
                "tag": Out(beat_tag(signed(delta_bits) if levels is None else Term)),
                "begun": Out(stream.Signature(Round, always_ready=True)),
                "drained": In(1),
                "event": Out(1),
                "event_list": Out(LIST_BITS),
                "macs": Out(14),
            }
        )

    i: stream.Interface
    lists: list[Any]
    store: Any
    valid: Signal
    weights: Signal
    tag: data.View
    begun: stream.Interface
    drained: Signal
    event: Signal
    event_list: Signal
    macs: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.rounds = rounds = self._rounds
        m.submodules.drain_room = room = self._room
        m.submodules.reader = reader = self._reader
        wiring.connect(m, wiring.flipped(self.i), rounds.i)
        wiring.connect(m, rounds.begun, wiring.flipped(self.begun))
        for n, lists in enumerate(self.lists):
            wiring.connect(m, rounds.lists[n], wiring.flipped(lists.state))
            wiring.connect(m, reader.lists[n], wiring.flipped(lists.entries))

        # Passes -> entries of lists -> beats.
        m.d.comb += [
            reader.issue.eq(rounds.issue),
            reader.use.eq(rounds.use),
            rounds.advance.eq(reader.advance),
            rounds.releasing.eq(reader.releasing),
        ]
        wiring.connect(m, wiring.flipped(self.store), reader.store)
        m.d.comb += [
            self.valid.eq(reader.valid),
            self.weights.eq(reader.weights),
            self.tag.eq(reader.tag),
            self.event.eq(reader.event),
            self.event_list.eq(reader.event_list),
            self.macs.eq(reader.macs),
        ]

        # A group's last beat goes out only when the drain has room for the group's sums.
        m.d.comb += [
            room.end.eq(rounds.use.last),
            room.words.eq(rounds.use.words),
            room.digits_log2.eq(rounds.use.digits_log2),
            room.arrived.eq(self.valid & self.tag.last),
            room.arrived_words.eq(self.tag.words),
            room.arrived_digits_log2.eq(self.tag.digits_log2),
            room.drained.eq(self.drained),
            rounds.may_end.eq(room.may_end),
        ]
        return m
