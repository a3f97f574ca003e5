# SPDX-License-Identifier: Apache-2.0
"""A sweep's way through the sequence buffer: its frames out of their records, its results in."""

from typing import Any

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import AcceleratorConfig
from ..datapath.detect.words import FrameWord
from ..parts.memory import MemoryWrite
from ..words import RECORD_BITS, sweep_record

_WAY = {
    "start": In(1),
    "held": In(RECORD_BITS),
    "first": In(RECORD_BITS),
    "step": In(signed(RECORD_BITS + 1)),
}


class SweepReader(wiring.Component):
    """The sweep's input frames, put together from the parts of their records, in its order.

    LATENCY: three cycles from `start` to the first word. THROUGHPUT: a word a cycle, and a cycle
    more for each part of a frame.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    record : in, `sweep_record`
        Of the sweep.
    start : in, 1 bit
        The sweep begins, with the members that follow.
    held : in, 18 bits
        Frames of the sequence.
    first : in, 18 bits
        Where the first frame's record starts.
    step : in, signed 19 bits
        From each frame's record to the next one's.
    r_en, r_addr, r_data : out, out, in; 1, 18 and signed 16 bits
        The buffer's read port: r_data is the word at r_addr, from the cycle after r_en on.
    o : out, stream of `FrameWord`
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._sources = config.sweep_sources
        super().__init__(
            {
                "record": In(sweep_record(config.sweep_sources)),
                **_WAY,
                "r_en": Out(1),
                "r_addr": Out(RECORD_BITS),
                "r_data": In(signed(16)),
                "o": Out(stream.Signature(FrameWord)),
            }
        )

    record: Any
    start: Signal
    held: Signal
    first: Signal
    step: Signal
    r_en: Signal
    r_addr: Signal
    r_data: Signal
    o: stream.Interface

    def elaborate(self, platform: object) -> Module:
        m = Module()
        record = self.record
        frames_left = Signal(RECORD_BITS)
        base, address = Signal(RECORD_BITS), Signal(RECORD_BITS)  # of the record, of the word
        part = Signal(range(max(self._sources, 2)))
        units_left = Signal.like(record.sources[0].units)
        aimed = Signal()  # address and units_left are those of the part
        begins = Signal()  # the word is the frame's first of all
        advance, issue, ends_part, ends_frame = (Signal() for _ in range(4))
        source = record.sources[part]
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            issue.eq(advance & aimed),
            ends_part.eq(issue & (units_left == 1)),
            ends_frame.eq(ends_part & (part == record.source_count - 1)),
            self.r_addr.eq(address),
            self.r_en.eq(advance),
            self.o.payload.value.eq(self.r_data),
        ]
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(issue),
                self.o.payload.last.eq(ends_frame),
                self.o.payload.first.eq(begins),
            ]
        with m.If((frames_left != 0) & ~aimed):
            m.d.sync += [
                aimed.eq(1),
                address.eq(base + source.offset),
                units_left.eq(source.units),
            ]
        with m.If(issue):
            m.d.sync += [begins.eq(0), address.eq(address + 1), units_left.eq(units_left - 1)]
        with m.If(ends_part):
            m.d.sync += [aimed.eq(0), part.eq(part + 1)]
        with m.If(ends_frame):
            m.d.sync += [part.eq(0), base.eq(base + self.step), frames_left.eq(frames_left - 1)]
        with m.If(self.start):
            m.d.sync += [
                frames_left.eq(self.held),
                base.eq(self.first),
                part.eq(0),
                begins.eq(1),
            ]
        return m


class SweepWriter(wiring.Component):
    """Counts the frames that come out of a sweep, and keeps those that later sweeps read.

    THROUGHPUT: a word a cycle.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    record, start, held, first, step : in
        As those of `SweepReader`: the sweep, its beginning, and its way through the records.
    taken : in, 1 bit
        The sweep has put out a word.
    value, last : in, signed 16 bits, 1 bit
        With taken: the word; it is its frame's last.
    write : out, `MemoryWrite(sequence_words, 16)`
        To the buffer.
    done : out, 1 bit
        Pulses with the sweep's last word.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__(
            {
                "record": In(sweep_record(config.sweep_sources)),
                **_WAY,
                "taken": In(1),
                "value": In(signed(16)),
                "last": In(1),
                "write": Out(MemoryWrite(config.sequence_words, 16)),
                "done": Out(1),
            }
        )

    record: Any
    start: Signal
    held: Signal
    first: Signal
    step: Signal
    taken: Signal
    value: Signal
    last: Signal
    write: Any
    done: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        frames_left = Signal(RECORD_BITS)
        base, address = Signal(RECORD_BITS), Signal(RECORD_BITS)  # of the record, of the word
        target = Signal(RECORD_BITS)
        keeps = self.record.compute & ~self.record.emit
        ends_frame = self.taken & self.last
        m.d.comb += [
            self.write.en.eq((frames_left != 0) & keeps & self.taken),
            self.write.addr.eq(address),
            self.write.data.eq(self.value),
            self.done.eq(ends_frame & (frames_left == 1)),
            target.eq(self.first + self.record.target.offset),
        ]
        with m.If(frames_left != 0):
            with m.If(self.taken):
                m.d.sync += address.eq(address + 1)
            with m.If(ends_frame):
                m.d.sync += [
                    frames_left.eq(frames_left - 1),
                    base.eq(base + self.step),
                    address.eq(base + self.step),
                ]
        with m.If(self.start):
            m.d.sync += [frames_left.eq(self.held), base.eq(target), address.eq(target)]
        return m
