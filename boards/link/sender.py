# SPDX-License-Identifier: Apache-2.0
"""The board's sender: keeps what it sends until the host has it, and tells the host where it is."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .framer import BYTE
from .frames import BOARD_HEADER, MAX_DATA, POSITIONS, VERSION

POSITION_BITS = POSITIONS.bit_length() - 1


class LinkSender(wiring.Component):
    """Cuts a stream into segments, which it can send again until they are acknowledged.

    It never sends again by itself: the host asks. A segment goes out when there is data to send,
    when an answer is due, or when `limit` passes a multiple of half the receiver's buffer.

    THROUGHPUT: a byte of the header a cycle, of data every 3 cycles.

    Parameters
    ----------
    window: bytes that are kept, a power of two.
    peer_window: bytes of the receiver's buffer.

    Members
    -------
    i: in, stream of 8 bits: the board's stream
    session, expected, limit: in, 8, 16 and 16 bits: from the receiver
    acked, heard, resend: in, 16, 1 and 1 bits: from the receiver
    answer, gap, syn: in, 1 bit each: from the receiver
    o: out, stream of `BYTE`: segments
    """

    i: stream.Interface
    session: Signal
    expected: Signal
    limit: Signal
    acked: Signal
    heard: Signal
    resend: Signal
    answer: Signal
    gap: Signal
    syn: Signal
    o: stream.Interface

    def __init__(self, *, window: int = 2048, peer_window: int = 2048) -> None:
        if not 512 <= window <= POSITIONS // 2 or window & (window - 1):
            raise ValueError(f"window must be a power of two, 512 to 32768, not {window!r}")
        self._window, self._peer_window = window, peer_window
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "session": In(8),
                "expected": In(POSITION_BITS),
                "limit": In(POSITION_BITS),
                "acked": In(POSITION_BITS),
                "heard": In(1),
                "resend": In(1),
                "answer": In(1),
                "gap": In(1),
                "syn": In(1),
                "o": Out(stream.Signature(BYTE)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        buffer: Any = memory.Memory(shape=8, depth=self._window, init=[])
        m.submodules.buffer = buffer
        write, read = buffer.write_port(), buffer.read_port()
        # Positions: the host has all before `base`; `next` goes next; `head` comes next.
        base, following, head = (Signal(POSITION_BITS, name=n) for n in ("base", "next", "head"))
        kept, after = Signal(POSITION_BITS), Signal(POSITION_BITS)
        m.d.comb += [
            kept.eq(head - base),
            after.eq(following + 1),
            self.i.ready.eq(~kept[self._window.bit_length() - 1]),
            write.addr.eq(head),
            write.data.eq(self.i.payload),
            write.en.eq(self.i.valid & self.i.ready),
            read.addr.eq(following),
        ]
        m.d.sync += head.eq(head + write.en)

        # What the host said since the last segment.
        acked, heard, resend = Signal(POSITION_BITS), Signal(), Signal()
        due, gap, syn, start = Signal(), Signal(), Signal(), Signal()
        with m.If(self.heard):
            m.d.sync += [acked.eq(self.acked), heard.eq(1), resend.eq(resend | self.resend)]
        with m.If(start):
            m.d.sync += [due.eq(0), gap.eq(0), syn.eq(0)]
        with m.If(self.answer):
            m.d.sync += [due.eq(1), gap.eq((gap & ~start) | self.gap)]
            m.d.sync += syn.eq((syn & ~start) | self.syn)
        half = self.limit[(self._peer_window // 2).bit_length() - 1 :]
        told = Signal(len(half), init=1)  # as it is at first
        wide = Signal()
        m.d.comb += wide.eq(half != told)

        # The header first, from a register; then data.
        header, count = Signal(8 * BOARD_HEADER), Signal(range(BOARD_HEADER))
        more, last, sent = Signal(), Signal(), Signal(range(MAX_DATA))
        behind, beyond = Signal(POSITION_BITS), Signal(POSITION_BITS)
        byte, out = Signal(8), self.o.payload
        control = Cat(syn, gap, Const(0, 2), Const(VERSION, 4))
        with m.FSM(name="send"):
            with m.State("IDLE"):
                m.d.sync += [behind.eq(acked - base), beyond.eq(following - base)]
                m.d.sync += [more.eq(following != head), count.eq(0), sent.eq(0)]
                with m.If(heard):
                    m.next = "HEARD"
                with m.Elif(due | wide | (following != head)):
                    m.d.comb += start.eq(1)
                    m.d.sync += told.eq(half)
                    m.d.sync += header.eq(
                        Cat(self.session, control, following, self.expected, self.limit)
                    )
                    m.next = "HEADER"
            with m.State("HEARD"):
                # An acknowledgement of what was never sent, or one from the past, is an old one.
                known = behind <= kept
                m.d.sync += [heard.eq(0), resend.eq(0)]
                with m.If(known):
                    m.d.sync += base.eq(acked)
                with m.If(resend | (known & (behind > beyond))):
                    m.d.sync += following.eq(Mux(known, acked, base))
                m.next = "IDLE"
            with m.State("HEADER"):
                m.d.comb += [self.o.valid.eq(1), out.value.eq(header[:8])]
                m.d.comb += out.last.eq((count == BOARD_HEADER - 1) & ~more)
                with m.If(self.o.ready):
                    m.d.sync += [header.eq(header[8:]), count.eq(count + 1)]
                    with m.If(count == BOARD_HEADER - 1):
                        m.next = "IDLE"
                        with m.If(more):
                            m.next = "READ"
            with m.State("READ"):
                m.next = "LOAD"
            with m.State("LOAD"):
                m.d.sync += [byte.eq(read.data), following.eq(after)]
                m.d.sync += last.eq((after == head) | (sent == MAX_DATA - 1))
                m.next = "DATA"
            with m.State("DATA"):
                m.d.comb += [self.o.valid.eq(1), out.value.eq(byte), out.last.eq(last)]
                with m.If(self.o.ready):
                    m.d.sync += sent.eq(sent + 1)
                    m.next = "READ"
                    with m.If(last):
                        m.next = "IDLE"
        return m
