# SPDX-License-Identifier: Apache-2.0
"""The sequence buffer: keeps a whole sequence, and runs the core over it sweep after sweep.

For networks with backward layers (`hw.compiler.sweeps`). A frame's record holds its input words
and what the sweeps made of them; the records stand one after the other, so that a sweep's way
through a sequence is one address that rises or falls by a record.
"""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import AcceleratorConfig
from ..datapath.detect.words import FrameWord
from ..datapath.units.words import OutputWord
from ..parts.memory import MemoryWrite, block_ram, connect_write
from ..words import RECORD_BITS, sweep_record
from .sequence_input import SequenceInput, SequenceWord
from .sweep_frames import SweepReader, SweepWriter

SETTLE = 3
"""Cycles from another sweep's number to its record here, and to the core's."""


class SequenceBuffer(wiring.Component):
    """Collects the frames of a sequence, then runs every sweep over them.

    A sequence ends with the frame that is marked so, or when the next one starts. One that does not
    fit is cut where the buffer is full, and counts. A frame that ends early is filled up with
    zeros, and words beyond a frame's size are dropped; both count as one frame error. While the
    sweeps run, the input waits.

    THROUGHPUT: a word a cycle, and a cycle more for each part of a frame's record.

    Parameters
    ----------
    config : AcceleratorConfig
    init : sequence of int
        The sweeps' records, as words.

    Members
    -------
    i : in, stream of `SequenceWord`
        The input stream.
    o : out, stream of `OutputWord`
        The outputs, in the order of the frames.
    frames : out, stream of `FrameWord`
        To the core: frames in the order of the sweep.
    outputs : in, stream of `OutputWord`
        From the core.
    restart : in, 1 bit
        The next frame starts a sequence, whatever its mark.
    restart_taken : out, 1 bit
        Pulses when a frame has started one so.
    sweep : out, range(sweeps)
        Which one runs; it changes only while the core is empty.
    frame_error, cut : out, 1 bit
        Pulse once per frame of the wrong size, and per sequence that was cut.
    busy : out, 1 bit
        There are frames whose outputs are not all delivered.
    load : in, `MemoryWrite(sweeps, ..)`
        Writes the sweeps' records.
    """

    def __init__(self, config: AcceleratorConfig, *, init: Sequence[int] = ()) -> None:
        self._config = config
        self._init = init
        self._layout = sweep_record(config.sweep_sources)
        super().__init__(
            {
                "i": In(stream.Signature(SequenceWord)),
                "o": Out(stream.Signature(OutputWord)),
                "frames": Out(stream.Signature(FrameWord)),
                "outputs": In(stream.Signature(OutputWord)),
                "restart": In(1),
                "restart_taken": Out(1),
                "sweep": Out(range(max(config.sweeps, 2))),
                "frame_error": Out(1),
                "cut": Out(1),
                "busy": Out(1),
                "load": In(MemoryWrite(config.sweeps, self._layout.size)),
            }
        )

    i: stream.Interface
    o: stream.Interface
    frames: stream.Interface
    outputs: stream.Interface
    restart: Signal
    restart_taken: Signal
    sweep: Signal
    frame_error: Signal
    cut: Signal
    busy: Signal
    load: Any

    def elaborate(self, platform: object) -> Module:
        m = Module()
        record = self._record(m)
        m.submodules.input = frames_in = SequenceInput(self._config)
        m.submodules.reader = reader = SweepReader(self._config)
        m.submodules.writer = writer = SweepWriter(self._config)
        memory = block_ram(signed(16), depth=self._config.sequence_words)
        m.submodules.words = memory
        write, read = memory.write_port(), memory.read_port()

        # A sweep begins when its record, and the core's, has been looked up.
        running, waited = Signal(), Signal(range(SETTLE + 1))
        start = Signal()
        m.d.comb += [
            start.eq(running & (waited == 1)),
            self.busy.eq(running | (frames_in.held != 0)),
        ]
        with m.If(frames_in.complete | writer.done):
            m.d.sync += [
                running.eq(frames_in.complete | ~record.end),
                self.sweep.eq(Mux(frames_in.complete | record.end, 0, self.sweep + 1)),
                waited.eq(SETTLE),
            ]
        with m.Elif(waited != 0):
            m.d.sync += waited.eq(waited - 1)

        # Frames -> the buffer.
        wiring.connect(m, wiring.flipped(self.i), frames_in.i)
        m.d.comb += [
            frames_in.record.eq(record),
            frames_in.enable.eq(~running & (waited == 0)),
            frames_in.end.eq(writer.done & record.end),
            frames_in.restart.eq(self.restart),
            self.restart_taken.eq(frames_in.restart_taken),
            self.frame_error.eq(frames_in.frame_error),
            self.cut.eq(frames_in.cut),
        ]

        # The buffer -> the sweep -> the buffer.
        step: Any = Signal(signed(RECORD_BITS + 1))
        m.d.comb += step.eq(Mux(record.backward, -record.stride, record.stride))
        for way in (reader, writer):
            m.d.comb += [
                way.record.eq(record),
                way.start.eq(start),
                way.held.eq(frames_in.held),
                way.first.eq(Mux(record.backward, frames_in.last, 0)),
                way.step.eq(step),
            ]
        m.d.comb += [
            read.en.eq(reader.r_en),
            read.addr.eq(reader.r_addr),
            reader.r_data.eq(read.data),
            writer.taken.eq(
                Mux(
                    record.compute,
                    self.outputs.valid & self.outputs.ready,
                    self.o.valid & self.o.ready,
                )
            ),
            writer.value.eq(self.outputs.payload.value),
            writer.last.eq(self.o.payload.last),
        ]
        with m.If(running):
            connect_write(m, writer.write, write)
        with m.Else():
            connect_write(m, frames_in.write, write)
        self._pass_on(m, record, reader.o)
        return m

    def _pass_on(self, m: Module, record: Any, words: stream.Interface) -> None:
        """The sweep's words to the core, and its to the output; or straight to the output."""
        m.d.comb += self.frames.payload.eq(words.payload)
        with m.If(record.compute):
            m.d.comb += [
                self.frames.valid.eq(words.valid),
                words.ready.eq(self.frames.ready),
                self.o.payload.eq(self.outputs.payload),
                self.o.valid.eq(self.outputs.valid & record.emit),
                self.outputs.ready.eq(self.o.ready | ~record.emit),
            ]
        with m.Else():
            m.d.comb += [
                self.o.payload.value.eq(words.payload.value),
                self.o.payload.last.eq(words.payload.last),
                self.o.valid.eq(words.valid),
                words.ready.eq(self.o.ready),
            ]

    def _record(self, m: Module) -> Any:
        """The record of the sweep; what was loaded outlives a reset, as in the memories."""
        table = block_ram(self._layout.size, depth=max(self._config.sweeps, 2), init=self._init)
        m.submodules.records = table
        write, read = table.write_port(), table.read_port()
        connect_write(m, self.load, write)
        m.d.comb += read.addr.eq(self.sweep)
        # What the memory's register held before a reset is no record; it lasts a cycle longer.
        record: Any = Signal(self._layout)
        looked_up = Signal()
        m.d.sync += looked_up.eq(1)
        with m.If(looked_up):
            m.d.sync += Value.cast(record).eq(read.data)
        return record
