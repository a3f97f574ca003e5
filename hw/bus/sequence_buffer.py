# SPDX-License-Identifier: Apache-2.0
"""The sequence buffer: keeps a whole sequence, and runs the core over it sweep after sweep.

For networks with backward layers (`hw.sweeps`). A frame's record holds its input words and what
the sweeps made of them; the records stand one after the other, so that a sweep's way through a
sequence is one address that rises or falls by a record.
"""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import AcceleratorConfig
from ..datapath.detect.frames import FrameWord
from ..datapath.units.outputs import OutputWord
from ..parts.memory import MemoryWrite, block_ram, connect_write
from ..words import RECORD_BITS, sweep_record

SequenceWord = data.StructLayout({**FrameWord.members, "end": unsigned(1)})
"""A word of the input stream; `end` with any word of a frame: it is its sequence's last."""


class SequenceBuffer(wiring.Component):
    """Collects the frames of a sequence, then runs every sweep over them.

    A sequence ends with the frame that is marked so, or when the next one starts. One that does not
    fit is cut where the buffer is full, and counts. A frame that ends early is filled up with
    zeros, and words beyond a frame's size are dropped; both count as one frame error. While the
    sweeps run, the input waits.

    THROUGHPUT: a word a cycle, and a cycle more for each part of a frame's record.

    Parameters
    ----------
    config: the accelerator
    init: the sweeps' records, as words

    Members
    -------
    i: the input stream; o: the outputs, in the order of the frames
    frames, outputs: to and from the core, frames in the order of the sweep
    restart: the next frame starts a sequence, whatever its mark; restart_taken: one did
    sweep: which one runs; it changes only while the core is empty
    frame_error, cut: pulse once per malformed frame, and per sequence that was cut
    busy: there are frames whose outputs are not all delivered
    load: in, writes the records
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
        memory = block_ram(signed(16), depth=self._config.sequence_words)
        m.submodules.words = memory
        write, read = memory.write_port(), memory.read_port()

        running, go, end = Signal(), Signal(), Signal()
        held = Signal(RECORD_BITS)  # frames of this sequence
        last = Signal(RECORD_BITS)  # where the last one's record starts
        stored: Any = Signal(data.StructLayout({"en": 1, "addr": RECORD_BITS, "value": signed(16)}))
        waited = Signal(2)
        settled = ~running & (waited == 0)
        self._collect(m, record, stored, settled, go, end, held, last)

        # A sweep begins when its record, and the core's, has been looked up.
        start, done = Signal(), Signal()
        m.d.comb += [
            start.eq(running & (waited == 1)),
            end.eq(done & record.end),
            self.busy.eq(running | (held != 0)),
        ]
        with m.If(go | done):
            m.d.sync += [
                running.eq(go | ~record.end),
                self.sweep.eq(Mux(go | record.end, 0, self.sweep + 1)),
                waited.eq(3),
            ]
        with m.Elif(waited != 0):
            m.d.sync += waited.eq(waited - 1)

        backward = record.backward
        step: Any = Signal(signed(RECORD_BITS + 1))
        first = Signal(RECORD_BITS)
        m.d.comb += [
            step.eq(Mux(backward, -record.stride, record.stride)),
            first.eq(Mux(backward, last, 0)),
        ]
        words = self._read(m, record, read, start, held, first, step)
        result = self._write(m, record, stored, start, held, first, step)
        m.d.comb += [
            write.en.eq(stored.en),
            write.addr.eq(stored.addr),
            write.data.eq(stored.value),
            self.frames.payload.eq(words.payload),
            self.o.payload.value.eq(
                Mux(record.compute, self.outputs.payload.value, words.payload.value)
            ),
            self.o.payload.last.eq(
                Mux(record.compute, self.outputs.payload.last, words.payload.last)
            ),
            done.eq(result),
        ]
        with m.If(record.compute):
            m.d.comb += [
                self.frames.valid.eq(words.valid),
                words.ready.eq(self.frames.ready),
                self.o.valid.eq(self.outputs.valid & record.emit),
                self.outputs.ready.eq(self.o.ready | ~record.emit),
            ]
        with m.Else():
            m.d.comb += [self.o.valid.eq(words.valid), words.ready.eq(self.o.ready)]
        return m

    def _record(self, m: Module) -> Any:
        """The record of the sweep; what was loaded outlives a reset, as in the memories."""
        table = block_ram(self._layout.size, depth=max(self._config.sweeps, 2), init=self._init)
        m.submodules.records = table
        write, read = table.write_port(), table.read_port()
        connect_write(m, self.load, write)
        m.d.comb += read.addr.eq(self.sweep)
        record: Any = Signal(self._layout)
        m.d.sync += Value.cast(record).eq(read.data)
        return record

    def _collect(
        self,
        m: Module,
        record: Any,
        stored: Any,
        settled: Value,
        go: Signal,
        end: Value,
        held: Signal,
        last: Signal,
    ) -> None:
        """Fills the buffer; `go` when a sequence is complete, and then waits for `end`."""
        word = self.i.payload
        inputs = record.sources[0].units
        index = Signal.like(inputs)
        is_last = Signal()
        address, base = Signal(RECORD_BITS), Signal(RECORD_BITS)
        ended, full = Signal(), Signal()
        complete = Signal()
        m.d.comb += [
            is_last.eq(index == inputs - 1),
            full.eq(held == record.frames),
            stored.addr.eq(address),
            stored.value.eq(word.value),
        ]
        with m.If(stored.en & settled):
            m.d.sync += [index.eq(index + 1), address.eq(address + 1)]
        with m.If(complete):
            m.d.sync += [
                index.eq(0),
                held.eq(held + 1),
                last.eq(base),
                base.eq(base + record.stride),
                address.eq(base + record.stride),
            ]
        with m.If(end):
            m.d.sync += [held.eq(0), base.eq(0), address.eq(0)]
        with m.FSM(name="collect"):
            with m.State("frame"), m.If(settled):
                starts = word.first | self.restart
                with m.If(ended | (self.i.valid & (held != 0) & (starts | full))):
                    m.d.comb += [go.eq(1), self.cut.eq(~ended & ~starts)]
                    m.d.sync += ended.eq(0)
                    m.next = "sweeps"
                with m.Elif(self.i.valid & (inputs != 0)):
                    m.d.comb += self.restart_taken.eq(self.restart)
                    m.next = "words"
            with m.State("words"):
                m.d.comb += [self.i.ready.eq(1), stored.en.eq(self.i.valid)]
                with m.If(self.i.valid):
                    m.d.sync += ended.eq(ended | word.end)
                    with m.If(is_last):
                        m.d.comb += [complete.eq(1), self.frame_error.eq(~word.last)]
                        m.next = "frame"
                        with m.If(~word.last):
                            m.next = "drop"
                    with m.Elif(word.last):
                        m.d.comb += self.frame_error.eq(1)
                        m.next = "fill"
            with m.State("fill"):
                m.d.comb += [stored.en.eq(1), stored.value.eq(0)]
                with m.If(is_last):
                    m.d.comb += complete.eq(1)
                    m.next = "frame"
            with m.State("drop"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += ended.eq(ended | word.end)
                    with m.If(word.last):
                        m.next = "frame"
            with m.State("sweeps"), m.If(end):
                m.next = "frame"

    def _read(
        self,
        m: Module,
        record: Any,
        port: Any,
        start: Value,
        held: Value,
        first: Value,
        step: Value,
    ) -> Any:
        """The sweep's input frames, in its order, as a stream of `FrameWord`."""
        words: Any = stream.Signature(FrameWord).create()
        left = Signal(RECORD_BITS)
        base, address = Signal(RECORD_BITS), Signal(RECORD_BITS)
        part = Signal(range(max(self._config.sweep_sources, 2)))
        units = Signal.like(record.sources[0].units)
        aimed = Signal()  # address and units are those of the part
        is_first, issue, advance, ends_part, ends_frame = (Signal() for _ in range(5))
        source = record.sources[part]
        m.d.comb += [
            advance.eq(~words.valid | words.ready),
            issue.eq(advance & aimed),
            ends_part.eq(issue & (units == 1)),
            ends_frame.eq(ends_part & (part == record.source_count - 1)),
            port.addr.eq(address),
            port.en.eq(advance),
            words.payload.value.eq(port.data),
        ]
        with m.If(advance):
            m.d.sync += [
                words.valid.eq(issue),
                words.payload.last.eq(ends_frame),
                words.payload.first.eq(is_first),
            ]
        with m.If((left != 0) & ~aimed):
            m.d.sync += [
                aimed.eq(1),
                address.eq(base + source.offset),
                units.eq(source.units),
            ]
        with m.If(issue):
            m.d.sync += [is_first.eq(0), address.eq(address + 1), units.eq(units - 1)]
        with m.If(ends_part):
            m.d.sync += [aimed.eq(0), part.eq(part + 1)]
        with m.If(ends_frame):
            m.d.sync += [part.eq(0), base.eq(base + step), left.eq(left - 1)]
        with m.If(start):
            m.d.sync += [left.eq(held), base.eq(first), part.eq(0), is_first.eq(1)]
        return words

    def _write(
        self,
        m: Module,
        record: Any,
        stored: Any,
        start: Value,
        held: Value,
        first: Value,
        step: Value,
    ) -> Value:
        """Keeps what the core puts out; a pulse when the sweep's last word has gone its way."""
        left = Signal(RECORD_BITS)
        base, address = Signal(RECORD_BITS), Signal(RECORD_BITS)
        taken, last = Signal(), Signal()
        m.d.comb += [
            taken.eq(
                Mux(
                    record.compute,
                    self.outputs.valid & self.outputs.ready,
                    self.o.valid & self.o.ready,
                )
            ),
            last.eq(self.o.payload.last & taken),
        ]
        with m.If(left != 0):
            m.d.comb += [
                stored.en.eq(record.compute & ~record.emit & taken),
                stored.addr.eq(address),
                stored.value.eq(self.outputs.payload.value),
            ]
            with m.If(taken):
                m.d.sync += address.eq(address + 1)
            with m.If(last):
                m.d.sync += [left.eq(left - 1), base.eq(base + step), address.eq(base + step)]
        with m.If(start):
            target = Signal(RECORD_BITS)
            m.d.comb += target.eq(first + record.target.offset)
            m.d.sync += [left.eq(held), base.eq(target), address.eq(target)]
        done: Value = last & (left == 1)
        return done
