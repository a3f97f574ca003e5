# SPDX-License-Identifier: Apache-2.0
"""Frames in: takes int16 words from the stream, one frame at a time, into the input encoders."""

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from ...parts.frame_cutter import FrameCutter
from ...words import FEATURES, StepTag, network_record
from .words import Context, element_word, frame_word


class FrameInput(wiring.Component):
    """Cuts the input stream into frames and feeds them to the input encoders.

    A frame that ends early is filled up with zeros; words beyond a frame's size are dropped; both
    count as one frame error, and the next frame starts in step. The next frame is taken while the
    network still works on the last one, into the lists' other bank.

    THROUGHPUT: a beat a cycle.

    Parameters
    ----------
    encoders : int
        Input encoders.
    columns : int
        The most elements of a frame.
    sweeps : int
        Ways that the network takes through a sequence, each with frames of its own.
    elements : int
        Elements of a beat, a power of two.
    input_kinds : tuple of str
        What the frames may be; a token's has one element.

    Members
    -------
    i : in, stream of `frame_word(elements)`
        The input stream.
    sweep : in, range(sweeps)
        Whose frames these are; it changes only while the network is empty.
    record : in, `network_record`
        Frame size and encoder parameters; no frame is taken while its size is 0.
    restart : in, 1 bit
        The next frame starts a sequence, whatever its mark.
    restart_taken : out, 1 bit
        Pulses when a frame has started one so.
    free : in, 1 bit
        The banks of the next frame's lists are free, and stay so until it starts.
    parity : out, 1 bit
        Which of their two banks that is.
    start : out, 1 bit
        A frame begins: its elements follow from the next cycle on.
    context : out, `Context` for each encoder
        With start: of the frame.
    element : out, `element_word(elements)`
    room : in, 1 bit
        The encoders take an element; only where a beat has several.
    busy : in, 1 bit
        An encoder is not through with the last frame.
    o : out, stream of `StepTag`
        One for each frame, with its start.
    frame_error : out, 1 bit
        Pulses once per frame of the wrong size.
    """

    def __init__(
        self,
        *,
        encoders: int,
        columns: int,
        sweeps: int = 1,
        elements: int = 1,
        input_kinds: tuple[str, ...] = (FEATURES,),
    ) -> None:
        self._encoders = encoders
        self._index_bits = bits_for(columns - 1)
        self._sweeps = sweeps
        self._elements = elements
        super().__init__(
            {
                "i": In(stream.Signature(frame_word(elements))),
                "sweep": In(range(max(sweeps, 2))),
                "record": In(network_record(encoders, input_kinds)),
                "restart": In(1),
                "restart_taken": Out(1),
                "free": In(1),
                "parity": Out(1),
                "start": Out(1),
                "context": Out(Context).array(encoders),
                "element": Out(element_word(elements)),
                **({} if elements == 1 else {"room": In(1)}),
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
    room: Signal
    busy: Signal
    o: stream.Interface
    frame_error: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        j = Signal.like(self.record.inputs)
        count, bits = self._elements, self._elements.bit_length() - 1
        # `last` is the last beat's j, in beats; whether that is the next beat is known ahead.
        last, is_last = Signal(len(j) - bits), Signal()
        m.d.sync += last.eq((self.record.inputs - 1)[bits : len(j)])
        coming = (j[bits:] + 1) == last
        room = Const(1) if count == 1 else self.room
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
            self.element.end.eq(is_last),
        ]
        m.submodules.cutter = cutter = FrameCutter(self.i.payload.shape())
        wiring.connect(m, wiring.flipped(self.i), cutter.i)
        word = cutter.o.payload
        if count == 1:
            m.d.comb += self.element.value.eq(word.value)
        else:
            for n in range(count):
                m.d.comb += self.element.values[n].eq(word.value[n])
                m.d.comb += self.element.mask[n].eq((j | n) < self.record.inputs)
        # Frames wait until there is a network. Decided a cycle ahead: `busy` is high until `free`
        # is that of the next frame. The first word waits on the stream while the step is announced.
        may_start = Signal()
        m.d.sync += may_start.eq(self.free & ~self.busy & (self.record.inputs != 0))
        m.d.comb += [
            self.o.valid.eq(cutter.idle & self.i.valid & may_start & ~self.busy),
            self.start.eq(self.o.valid & self.o.ready),
            self.restart_taken.eq(self.start & self.restart),
            cutter.start.eq(self.start),
            cutter.at_last.eq(is_last),
            cutter.o.ready.eq(room),
            self.element.valid.eq(cutter.o.valid & room),
            self.frame_error.eq(cutter.error),
        ]
        with m.If(self.start):
            m.d.sync += [j.eq(0), is_last.eq(last == 0), fresh.eq(0)]
        with m.If(self.element.valid):
            m.d.sync += [j.eq((j + count)[: self._index_bits]), is_last.eq(coming)]
            with m.If(is_last):
                m.d.sync += turn.eq(~turn)
        return m
