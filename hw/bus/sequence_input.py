# SPDX-License-Identifier: Apache-2.0
"""The sequence buffer's way in: frames of the stream become records, until a sequence is there."""

from typing import Any

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import AcceleratorConfig
from ..datapath.detect.words import FrameWord
from ..parts.frame_cutter import FrameCutter
from ..parts.memory import MemoryWrite
from ..words import RECORD_BITS, sweep_record

SequenceWord = data.StructLayout({**FrameWord.members, "end": unsigned(1)})
"""A word of the input stream; `end` with any word of a frame: it is its sequence's last."""


class SequenceInput(wiring.Component):
    """Fills the buffer with the frames of a sequence, and then waits until all sweeps have run.

    A sequence ends with the frame that is marked so, or when the next one starts, or where the
    buffer is full.

    THROUGHPUT: a word a cycle, and a cycle more for each frame.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    i : in, stream of `SequenceWord`
    record : in, `sweep_record`
        Of the first sweep, while `enable`: its first source is the frames.
    enable : in, 1 bit
        No sweep runs: frames may be taken.
    restart : in, 1 bit
        The next frame starts a sequence, whatever its mark.
    restart_taken : out, 1 bit
        Pulses when a frame has started one so.
    write : out, `MemoryWrite(sequence_words, 16)`
        To the buffer.
    complete : out, 1 bit
        Pulses when a sequence is in the buffer.
    end : in, 1 bit
        Pulses when all sweeps over it are through.
    held : out, 18 bits
        Frames of it that are in the buffer.
    last : out, 18 bits
        Where the last one's record starts.
    frame_error, cut : out, 1 bit
        Pulse once per frame of the wrong size, and per sequence that did not fit.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(SequenceWord)),
                "record": In(sweep_record(config.sweep_sources)),
                "enable": In(1),
                "restart": In(1),
                "restart_taken": Out(1),
                "write": Out(MemoryWrite(config.sequence_words, 16)),
                "complete": Out(1),
                "end": In(1),
                "held": Out(RECORD_BITS),
                "last": Out(RECORD_BITS),
                "frame_error": Out(1),
                "cut": Out(1),
            }
        )

    i: stream.Interface
    record: Any
    enable: Signal
    restart: Signal
    restart_taken: Signal
    write: Any
    complete: Signal
    end: Signal
    held: Signal
    last: Signal
    frame_error: Signal
    cut: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.cutter = cutter = FrameCutter(SequenceWord)
        wiring.connect(m, wiring.flipped(self.i), cutter.i)
        word, inputs = self.i.payload, self.record.sources[0].units
        index = Signal.like(inputs)  # of the word in its frame
        address, base = Signal(RECORD_BITS), Signal(RECORD_BITS)  # of the word, of its record
        ended, waits = Signal(), Signal()  # the sequence's last frame was there; the sweeps run
        between, starts, full = Signal(), Signal(), Signal()
        m.d.comb += [
            between.eq(cutter.idle & ~waits & self.enable),
            starts.eq(word.first | self.restart),
            full.eq(self.held == self.record.frames),
            self.complete.eq(
                between & (ended | (self.i.valid & (self.held != 0) & (starts | full)))
            ),
            self.cut.eq(self.complete & ~ended & ~starts),
            cutter.start.eq(between & ~self.complete & self.i.valid & (inputs != 0)),
            cutter.at_last.eq(index == inputs - 1),
            cutter.o.ready.eq(1),
            self.restart_taken.eq(cutter.start & self.restart),
            self.frame_error.eq(cutter.error),
            self.write.en.eq(cutter.o.valid),
            self.write.addr.eq(address),
            self.write.data.eq(cutter.o.payload.value),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += ended.eq(ended | word.end)
        with m.If(self.complete):
            m.d.sync += [ended.eq(0), waits.eq(1)]
        with m.If(cutter.o.valid):
            m.d.sync += [index.eq(index + 1), address.eq(address + 1)]
            with m.If(cutter.at_last):
                m.d.sync += [
                    index.eq(0),
                    self.held.eq(self.held + 1),
                    self.last.eq(base),
                    base.eq(base + self.record.stride),
                    address.eq(base + self.record.stride),
                ]
        with m.If(self.end):
            m.d.sync += [waits.eq(0), self.held.eq(0), base.eq(0), address.eq(0)]
        return m
