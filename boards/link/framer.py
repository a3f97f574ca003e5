# SPDX-License-Identifier: Apache-2.0
"""Frames on the line: flags, escapes and CRC, off and on. `frames` has the same in Python."""

from typing import Any

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from .frames import CRC_BYTES, ESCAPE, FLAG, FLIP

BYTE = data.StructLayout({"value": 8, "last": 1})
"""A byte of a segment or a packet; `last` on the final one."""


class Deframer(wiring.Component):
    """Takes flags and escapes out of received bytes.

    LATENCY: 0 from `byte` to `data` and `end`; `good` is of the bytes before. THROUGHPUT: a byte a
    cycle.

    Members
    -------
    byte: in, 8 bits: what the line brought
    valid: in, 1 bit, pulse: with each byte; nobody can hold it back
    data: out, 8 bits: a byte of a frame, CRC included
    data_valid: out, 1 bit, pulse
    end: out, 1 bit, pulse: a flag: a frame ends and another begins, either may be empty
    good: out, 1 bit, with `end`: the frame's CRC is right
    """

    byte: Signal
    valid: Signal
    data: Signal
    data_valid: Signal
    end: Signal
    good: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "byte": In(8),
                "valid": In(1),
                "data": Out(8),
                "data_valid": Out(1),
                "end": Out(1),
                "good": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        check = CRC32_ISO_HDLC(data_width=8).create()
        m.submodules.crc = ResetInserter(self.end)(check)  # cheaper than its own start
        escaped = Signal()
        flag, escape = Signal(), Signal()
        m.d.comb += [
            flag.eq(self.byte == FLAG),
            escape.eq(self.byte == ESCAPE),
            self.data.eq(self.byte ^ (escaped << FLIP.bit_length() - 1)),
            self.data_valid.eq(self.valid & ~flag & ~escape),
            self.end.eq(self.valid & flag),
            self.good.eq(check.match_detected),
            check.data.eq(self.data),
            check.valid.eq(self.data_valid),
        ]
        with m.If(self.valid):
            m.d.sync += escaped.eq(escape)
        return m


class Framer(wiring.Component):
    """Puts segments into frames: their bytes, the CRC, escapes, a flag on both sides.

    THROUGHPUT: a byte every 9 cycles, as the CRC is done bit by bit; a line is slower.

    Members
    -------
    i: in, stream of `BYTE`: segments
    o: out, stream of 8 bits: what goes on the line
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(BYTE)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        check, begin = CRC32_ISO_HDLC(data_width=1).create(), Signal()
        m.submodules.crc = ResetInserter(begin)(check)  # cheaper than its own start
        byte, offered, done = Signal(8), Signal(), Signal()
        bits, last, bit = Signal(8), Signal(), Signal(range(8))  # of the byte for the CRC
        escaping, flip = Signal(), Signal()
        count = Signal(range(CRC_BYTES))
        # An escape goes before the byte, which then goes flipped.
        m.d.comb += [
            escaping.eq(((byte == FLAG) | (byte == ESCAPE)) & ~flip),
            self.o.payload.eq(byte ^ (flip << FLIP.bit_length() - 1)),
            done.eq(offered & self.o.ready & ~escaping),
            check.data.eq(bits[0]),
        ]
        with m.If(offered):
            m.d.comb += self.o.valid.eq(1)
            with m.If(escaping):
                m.d.comb += self.o.payload.eq(ESCAPE)
        with m.If(offered & self.o.ready):
            m.d.sync += flip.eq(escaping)

        with m.FSM(name="frame"):
            with m.State("BEGIN"):
                m.d.comb += [self.o.payload.eq(FLAG), self.o.valid.eq(self.i.valid)]
                m.d.comb += begin.eq(1)
                with m.If(self.i.valid & self.o.ready):
                    m.next = "BODY"
            with m.State("BODY"):
                m.d.comb += [byte.eq(self.i.payload.value), offered.eq(self.i.valid)]
                m.d.comb += self.i.ready.eq(done)
                m.d.sync += [bits.eq(byte), last.eq(self.i.payload.last), bit.eq(0), count.eq(0)]
                with m.If(done):
                    m.next = "SUM"
            with m.State("SUM"):
                m.d.comb += check.valid.eq(1)
                m.d.sync += [bits.eq(bits[1:]), bit.eq(bit + 1)]
                with m.If(bit == 7):
                    m.next = "BODY"
                    with m.If(last):
                        m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += [byte.eq(check.crc.word_select(count, 8)), offered.eq(1)]
                with m.If(done):
                    m.d.sync += count.eq(count + 1)
                    with m.If(count == CRC_BYTES - 1):
                        m.next = "END"
            with m.State("END"):
                m.d.comb += [self.o.payload.eq(FLAG), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.next = "BEGIN"
        return m
