# SPDX-License-Identifier: Apache-2.0
"""Frames in: takes int16 words from the stream, one frame at a time, into the input encoders."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .delta import Context, Element
from .layouts import StepTag, network_record

FrameWord = data.StructLayout(
    {
        "value": signed(16),
        "last": unsigned(1),  # the frame's last word
        "first": unsigned(1),  # with a frame's first word: the frame starts a sequence
    }
)
"""One word of the input stream."""


class FrameInput(wiring.Component):
    """Cuts the input stream into frames and feeds them to the input encoders.

    A frame that ends early is filled up with zeros; words beyond a frame's size are dropped; both
    count as one frame error, and the next frame starts in step. The next frame is taken while the
    network still works on the last one, into the lists' other bank.

    Parameters
    ----------
    encoders: how many there are; sweeps: how many ways the network takes through a sequence

    Members
    -------
    i: the input stream
    sweep: whose frames these are; it changes only while the network is empty
    record: the network record (sizes and encoder parameters)
    restart: the next frame starts a sequence, whatever its mark; restart_taken: one did
    parity: of the next frame; free: its banks are free, and stay so until it starts
    start, context, element: to the encoders; busy: from them
    o: one tag per frame, as soon as its first word is there
    frame_error: pulses once per malformed frame
    """

    def __init__(self, *, encoders: int, sweeps: int = 1) -> None:
        self._encoders = encoders
        self._sweeps = sweeps
        super().__init__(
            {
                "i": In(stream.Signature(FrameWord)),
                "sweep": In(range(max(sweeps, 2))),
                "record": In(network_record(encoders)),
                "restart": In(1),
                "restart_taken": Out(1),
                "free": In(1),
                "parity": Out(1),
                "start": Out(1),
                "context": Out(Context).array(encoders),
                "element": Out(Element),
                "busy": In(1),
                "o": Out(stream.Signature(StepTag)),
                "frame_error": Out(1),
            }
        )

    i: stream.Interface
    sweep: Signal
    record: data.View
    restart: Signal
    restart_taken: Signal
    free: Signal
    parity: Signal
    start: Signal
    context: list[data.View]
    element: data.View
    busy: Signal
    o: stream.Interface
    frame_error: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        j = Signal.like(self.record.inputs)
        last, is_last = Signal.like(j), Signal()  # the last element's j; known a cycle ahead
        m.d.sync += last.eq(self.record.inputs - 1)
        # Each sweep has lists of its own, and goes on with their banks where it left off.
        unused = Signal(self._sweeps, init=-1)  # since reset, none of its frames has started
        parities = Signal(self._sweeps)
        fresh, turn = unused.bit_select(self.sweep, 1), parities.bit_select(self.sweep, 1)
        first = self.i.payload.first | self.restart | fresh
        for n, context in enumerate(self.context):
            m.d.comb += [
                context.record.eq(self.record.encoders[n]),
                context.first.eq(first),
                context.parity.eq(self.parity),
            ]
        m.d.comb += [
            self.parity.eq(turn),
            self.o.payload.first.eq(first),
            self.o.payload.fresh.eq(fresh),
            self.o.payload.parity.eq(self.parity),
            self.element.j.eq(j),
            self.element.value.eq(self.i.payload.value),
            self.element.end.eq(is_last),
        ]
        # Frames wait until there is a network. Decided a cycle ahead: `busy` is high until `free`
        # is that of the next frame.
        may_start = Signal()
        m.d.sync += may_start.eq(self.free & ~self.busy & (self.record.inputs != 0))
        with m.FSM():
            # The first word waits on the stream while the step is announced.
            with m.State("idle"), m.If(self.i.valid & may_start & ~self.busy):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.comb += [self.start.eq(1), self.restart_taken.eq(self.restart)]
                    m.d.sync += [j.eq(0), is_last.eq(last == 0), fresh.eq(0)]
                    m.next = "words"
            with m.State("words"):
                m.d.comb += [self.i.ready.eq(1), self.element.valid.eq(self.i.valid)]
                with m.If(self.i.valid):
                    m.d.sync += [j.eq(j + 1), is_last.eq(j + 1 == last)]
                    with m.If(is_last):
                        m.d.sync += turn.eq(~turn)
                        m.next = "idle"
                        with m.If(~self.i.payload.last):
                            m.d.comb += self.frame_error.eq(1)
                            m.next = "drop"
                    with m.Elif(self.i.payload.last):
                        m.d.comb += self.frame_error.eq(1)
                        m.next = "fill"
            with m.State("fill"):
                m.d.comb += [self.element.valid.eq(1), self.element.value.eq(0)]
                m.d.sync += [j.eq(j + 1), is_last.eq(j + 1 == last)]
                with m.If(is_last):
                    m.d.sync += turn.eq(~turn)
                    m.next = "idle"
            with m.State("drop"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid & self.i.payload.last):
                    m.next = "idle"
        return m
