# SPDX-License-Identifier: Apache-2.0
"""The change detector of tokens: of an index, the element that goes off and the one that goes on.

A token stands for a vector that is 1 in one place and 0 elsewhere. Nobody makes that vector: where
the last token was is all there is to remember, and no memory of references is needed.
"""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ....golden.models.layers import TOKEN_EVENTS
from ...words import COLUMN_BITS, UNIT_BITS
from ..events.words import ListWriter
from .words import Context, Element

RECOVERY = 5
"""As `DeltaEncoder.recovery`: least cycles from a token to the next one."""


class TokenEncoder(wiring.Component):
    """Appends to an event list what a token changes: -1 for the old one, 1 for the new one.

    Nothing where both are the same; of a sequence's first token, or after a word that is no token,
    no old one; of a word that is no token, beyond 0..columns-1, no new one.

    LATENCY: `RECOVERY` cycles from a token to the next. THROUGHPUT: a token each that many cycles.

    Parameters
    ----------
    delta_bits : int
        Width of a delta.
    spread : bool
        The lists' banks have room for as many events as there are tokens, as where lists of other
        sources share their memory; otherwise for those of a token.

    Members
    -------
    start : in, 1 bit
        Begins a frame.
    context : in, `Context`
        With start: of the step.
    i : in, `Element`
        The frame's only element, whose value is the token, `end` with it.
    events : out, `ListWriter(delta_bits)`
        What changed. `taken` is not looked at: a start waits until the bank is free.
    busy : out, 1 bit
        The token is on its way.
    """

    recovery = RECOVERY

    def __init__(self, *, delta_bits: int, spread: bool = False) -> None:
        self._spread = spread
        super().__init__(
            {
                "start": In(1),
                "context": In(Context),
                "i": In(Element),
                "events": Out(ListWriter(delta_bits)),
                "busy": Out(1),
            }
        )

    start: Signal
    context: data.View
    i: data.View
    events: Any
    busy: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        record = self.context.record
        room = record.columns if self._spread else TOKEN_EVENTS
        m.d.comb += [
            self.events.open.eq(self.start & record.enable),
            self.events.key.list.eq(record.list),
            self.events.key.bank.eq(self.context.parity),
            self.events.base.eq(record.event_base + Mux(self.context.parity, room, 0)),
        ]
        enable, first, columns = Signal(), Signal(), Signal(COLUMN_BITS)
        with m.If(self.start):
            m.d.sync += [enable.eq(record.enable), first.eq(self.context.first)]
            m.d.sync += columns.eq(record.columns)

        # What is on; the token, and what it changes: a cycle for the old one, a cycle for the new.
        held, place = Signal(), Signal(UNIT_BITS)
        known, token = Signal(), Signal(UNIT_BITS)
        came, first_turn, second_turn = Signal(), Signal(), Signal()
        off, on = Signal(), Signal()
        had = held & ~first
        same = had & known & (place == token)
        value = self.i.value.as_unsigned()
        m.d.sync += [
            came.eq(self.i.valid & enable),
            first_turn.eq(came),
            second_turn.eq(first_turn),
        ]
        with m.If(self.i.valid):
            m.d.sync += [known.eq(value < columns), token.eq(value[:UNIT_BITS])]
        with m.If(came):
            m.d.sync += [off.eq(had & ~same), on.eq(known & ~same)]
        with m.If(first_turn):
            m.d.sync += [held.eq(known), place.eq(token)]
        m.d.comb += [
            self.events.push.eq((first_turn & off) | (second_turn & on)),
            self.events.event.j.eq(place),
            self.events.event.d.eq(Mux(second_turn, 1, -1)),
            self.events.close.eq(second_turn),
        ]
        with m.If(self.start):
            m.d.sync += self.busy.eq(1)
        with m.Elif(second_turn | (self.i.valid & ~enable)):
            m.d.sync += self.busy.eq(0)
        return m
