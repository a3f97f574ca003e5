# SPDX-License-Identifier: Apache-2.0
"""Frames of the right size out of a stream whose frames may be of any."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


class FrameCutter(wiring.Component):
    """Passes frames on word by word: fills those up that end early, and drops what is too much.

    The taker counts the words and says which one is to be the last. A frame that was too short or
    too long counts as one error, and the next one starts in step.

    LATENCY: none, a word passes in the cycle in which it comes; a frame's first word, in the cycle
    after `start`. THROUGHPUT: a word a cycle; one cycle between two frames.

    Parameters
    ----------
    shape : StructLayout
        Of a word, with a field `last`: the frame ends with it.

    Members
    -------
    i : in, stream of shape
    idle : out, 1 bit
        Between two frames: no word is taken.
    start : in, 1 bit
        While idle: a frame begins with the next word of i.
    o : out, stream of shape
        The frame's words; all fields are 0 in one that was missing.
    at_last : in, 1 bit
        The word at o is the frame's last.
    error : out, 1 bit
        Pulses once per frame of the wrong size, as soon as that is known.
    """

    def __init__(self, shape: data.StructLayout) -> None:
        words = stream.Signature(shape)
        super().__init__(
            {
                "i": In(words),
                "idle": Out(1),
                "start": In(1),
                "o": Out(words),
                "at_last": In(1),
                "error": Out(1),
            }
        )

    i: stream.Interface
    idle: Signal
    start: Signal
    o: stream.Interface
    at_last: Signal
    error: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word: Any = self.i.payload
        missing, passes = Signal(), Signal()
        m.d.comb += [
            passes.eq(self.o.valid & self.o.ready),
            Value.cast(self.o.payload).eq(Mux(missing, 0, Value.cast(word))),
        ]
        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.idle.eq(1)
                with m.If(self.start):
                    m.next = "words"
            with m.State("words"):
                m.d.comb += [self.o.valid.eq(self.i.valid), self.i.ready.eq(self.o.ready)]
                with m.If(passes):
                    with m.If(self.at_last):
                        m.d.comb += self.error.eq(~word.last)
                        m.next = "idle"
                        with m.If(~word.last):
                            m.next = "drop"
                    with m.Elif(word.last):
                        m.d.comb += self.error.eq(1)
                        m.next = "fill"
            with m.State("fill"):
                m.d.comb += [missing.eq(1), self.o.valid.eq(1)]
                with m.If(passes & self.at_last):
                    m.next = "idle"
            with m.State("drop"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid & word.last):
                    m.next = "idle"
        return m
