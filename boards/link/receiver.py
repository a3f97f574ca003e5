# SPDX-License-Identifier: Apache-2.0
"""The board's receiver: of the frames that come, what continues the stream goes on, in order."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .framer import Deframer
from .frames import ASK, CRC_BYTES, HOST_HEADER, POSITIONS, RESEND, SYN

POSITION_BITS = POSITIONS.bit_length() - 1


class LinkReceiver(wiring.Component):
    """Checks frames and keeps the data of those that continue the stream, until it is taken.

    A segment's data waits in the buffer's free part until its CRC is known; one that does not begin
    at `expected`, is of another session or does not fit leaves nothing.

    THROUGHPUT: a byte a cycle in, one every 3 cycles out.

    Parameters
    ----------
    window: bytes of the buffer, a power of two.

    Members
    -------
    byte: in, 8 bits: what the line brought
    valid: in, 1 bit, pulse: with each byte
    o: out, stream of 8 bits: the host's stream
    session: out, 8 bits: the host's number for it; 0: none yet
    expected: out, 16 bits: position of the byte that is wanted next
    limit: out, 16 bits: position up to which there is room
    acked: out, 16 bits: position up to which the host has the board's stream
    heard: out, 1 bit, pulse: a segment of this session came, with `acked` and `resend`
    resend: out, 1 bit, with `heard`: the host wants all from `acked` on again
    answer: out, 1 bit, pulse: the host is to be told where its stream is
    gap: out, 1 bit, with `answer`: bytes before the segment's are missing
    syn: out, 1 bit, with `answer`: the host opened the session
    restart: out, 1 bit, pulse: a new session begins; everything else goes back to its start
    """

    byte: Signal
    valid: Signal
    o: stream.Interface
    session: Signal
    expected: Signal
    limit: Signal
    acked: Signal
    heard: Signal
    resend: Signal
    answer: Signal
    gap: Signal
    syn: Signal
    restart: Signal

    def __init__(self, *, window: int = 2048) -> None:
        if not 512 <= window <= POSITIONS // 2 or window & (window - 1):
            raise ValueError(f"window must be a power of two, 512 to 32768, not {window!r}")
        self._window = window
        super().__init__(
            {
                "byte": In(8),
                "valid": In(1),
                "o": Out(stream.Signature(8)),
                "session": Out(8),
                "expected": Out(POSITION_BITS),
                "limit": Out(POSITION_BITS),
                "acked": Out(POSITION_BITS),
                "heard": Out(1),
                "resend": Out(1),
                "answer": Out(1),
                "gap": Out(1),
                "syn": Out(1),
                "restart": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.frames = frames = Deframer()
        buffer: Any = memory.Memory(shape=8, depth=self._window, init=[])
        m.submodules.buffer = buffer
        write, read = buffer.write_port(), buffer.read_port()
        taken = Signal(POSITION_BITS)  # by whoever reads `o`
        filled = Signal(POSITION_BITS)  # with the frame under way
        m.d.comb += [
            frames.byte.eq(self.byte),
            frames.valid.eq(self.valid),
            write.addr.eq(filled),
            write.data.eq(frames.data),
            read.addr.eq(taken),
            self.limit.eq(taken + (self._window - CRC_BYTES)),
        ]
        header, index = Signal(8 * HOST_HEADER), Signal(range(HOST_HEADER + 1))
        overflow, past = Signal(), Signal(range(CRC_BYTES + 1))  # bytes past the header
        full = Signal()  # the two are no further apart than the window
        m.d.comb += full.eq((filled ^ taken)[: self._window.bit_length()] == self._window)
        with m.If(frames.data_valid):
            with m.If(index != HOST_HEADER):
                m.d.sync += [header.eq(Cat(header[8:], frames.data)), index.eq(index + 1)]
            with m.Elif(full):
                m.d.sync += overflow.eq(1)
            with m.Else():
                m.d.comb += write.en.eq(1)
                m.d.sync += filled.eq(filled + 1)
                with m.If(past != CRC_BYTES):
                    m.d.sync += past.eq(past + 1)
        good = Signal()
        with m.If(frames.end):
            m.d.sync += [index.eq(0), past.eq(0), overflow.eq(0)]
            m.d.sync += good.eq(frames.good & (past == CRC_BYTES) & ~overflow)
            with m.If(~(frames.good & (past == CRC_BYTES) & ~overflow)):
                m.d.sync += filled.eq(self.expected)
        with m.If(good):
            m.d.sync += good.eq(0)
        self._judge(m, header, good, filled, taken)
        self._hand_out(m, read, taken)
        return m

    def _judge(
        self, m: Module, header: Signal, good: Signal, filled: Signal, taken: Signal
    ) -> None:
        """What becomes of a whole segment, in the cycle after its end."""
        session, control, seq = header[:8], header[8:16], header[16:32]
        asked = {bit: control[bit.bit_length() - 1] for bit in (SYN, ASK, RESEND)}
        end, ahead = Signal(POSITION_BITS), Signal(POSITION_BITS)
        some = Signal()
        m.d.comb += [
            end.eq(filled - CRC_BYTES),
            ahead.eq(seq - self.expected),
            some.eq(end != self.expected),
            self.acked.eq(header[32:48]),
            self.resend.eq(asked[RESEND]),
            self.syn.eq(asked[SYN]),
            self.gap.eq(some & (ahead != 0) & ~ahead[-1] & (session == self.session)),
        ]
        with m.If(good):
            m.d.sync += filled.eq(self.expected)
            with m.If(asked[SYN] & (session != self.session)):
                m.d.comb += [self.restart.eq(1), self.answer.eq(1)]
                m.d.sync += [self.session.eq(session), self.expected.eq(0), filled.eq(0)]
                m.d.sync += taken.eq(0)
            with m.Elif(session == self.session):
                m.d.comb += self.heard.eq(1)
                m.d.comb += self.answer.eq(some | asked[ASK] | asked[SYN])
                with m.If(some & (ahead == 0) & ~asked[SYN]):
                    m.d.sync += [self.expected.eq(end), filled.eq(end)]
            with m.Else():
                m.d.comb += self.answer.eq(1)

    def _hand_out(self, m: Module, read: Any, taken: Signal) -> None:
        """The buffer's bytes, one after the other: address, memory, register."""
        with m.FSM(name="hand_out"):
            with m.State("WAIT"), m.If((taken != self.expected) & ~self.restart):
                m.next = "READ"
            with m.State("READ"):
                m.d.sync += self.o.payload.eq(read.data)
                m.next = "HOLD"
                with m.If(self.restart):
                    m.next = "WAIT"
            with m.State("HOLD"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.restart):
                    m.next = "WAIT"
                with m.Elif(self.o.ready):
                    m.d.sync += taken.eq(taken + 1)
                    m.next = "WAIT"
