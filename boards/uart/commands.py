# SPDX-License-Identifier: Apache-2.0
"""The board's side of the serial protocol: command packets in, actions and replies out.

`protocol` documents the bytes. A packet is checked whole before it acts: a frame's words wait
in a small buffer until their CRC has been seen.
"""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.crc.catalog import CRC16_IBM_3740
from amaranth.lib.wiring import In, Out

from ...hw.bus.axi import AxiLiteSignature, AxiStreamSignature
from .protocol import MAX_WORDS, SYNC, VERSION, Fault

ADDRESS_BYTES, DATA_BYTES = 3, 4
PACKET_BYTE = data.StructLayout({"value": 8, "last": 1})
"""A byte of a packet's type and body; `last` on the final one."""


def crc16(m: Module, name: str) -> Any:
    """A CRC-16 processor, the same code as `protocol.crc`."""
    processor = CRC16_IBM_3740(data_width=8).create()
    m.submodules[name] = processor
    return processor


class _Packet:
    """What is kept of a packet, and the word of its frame that is being sent."""

    def __init__(self) -> None:
        self.kind = Signal(8)
        self.left = Signal(range(ADDRESS_BYTES + DATA_BYTES + 1))
        self.body = Signal(8 * (ADDRESS_BYTES + DATA_BYTES))  # the newest byte in the top bits
        self.count = Signal(range(MAX_WORDS + 1))
        self.first, self.last, self.end = Signal(), Signal(), Signal()
        self.index = Signal(range(MAX_WORDS))
        self.low = Signal(8)
        # From registers: the core multiplies the word in the cycle in which it takes it.
        self.word, self.starts, self.is_last = Signal(16), Signal(), Signal()


Answer = Callable[[str, Any, int], None]
"""Sends a reply: its letter, its body, and how many bytes that has."""


class CommandUnit(wiring.Component):
    """Reads command packets, carries them out one after the other and answers each.

    Parameters
    ----------
    window
        Bytes that the receive buffer in front holds, as told to the host.

    Members
    -------
    i: in, stream of 8 bits: received bytes
    lost: in, 1 bit: a pulse for each byte that was lost on the way in
    replies: out, stream of `PACKET_BYTE`: a packet's type and body for each command
    words: out, AXI4-Stream of 16-bit words: frames, to the core's `s_axis`; user bit 0 on a
        sequence's first word, bit 1 on the words of its last frame
    bus: out, AXI4-Lite: registers, to the core's `s_axil`
    fault: out, 1 bit: packets are refused until the next `P`
    """

    i: stream.Interface
    lost: Signal
    replies: stream.Interface
    words: Any
    bus: Any
    fault: Signal

    def __init__(self, *, window: int) -> None:
        self._window = window
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "lost": In(1),
                "replies": Out(stream.Signature(PACKET_BYTE)),
                "words": Out(AxiStreamSignature(16, user=2)),
                "bus": Out(AxiLiteSignature()),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        packet = _Packet()
        buffer: Any = memory.Memory(shape=16, depth=MAX_WORDS, init=[])
        m.submodules.buffer = buffer
        write, read = buffer.write_port(), buffer.read_port(domain="comb")
        check = crc16(m, "crc")
        lost = Signal()
        reply, reply_left = Signal(8 * 6), Signal(range(7))

        def answer(letter: str, value: Any, length: int) -> None:
            """Send a reply with a body of ``length`` bytes."""
            m.d.sync += [reply.eq(Cat(Const(ord(letter), 8), value)), reply_left.eq(length)]
            m.next = "REPLY"

        with m.If(self.lost):
            m.d.sync += lost.eq(1)
        m.d.comb += [
            check.data.eq(self.i.payload),
            write.addr.eq(packet.index),
            write.data.eq(Cat(packet.low, self.i.payload)),
            read.addr.eq(packet.index),
            self.bus.awaddr.eq(packet.body[: 8 * ADDRESS_BYTES]),
            self.bus.wdata.eq(packet.body[8 * ADDRESS_BYTES :]),
            self.bus.wstrb.eq(0b1111),
            # A shorter body ends in the top bits.
            self.bus.araddr.eq(packet.body[8 * DATA_BYTES :]),
            self.words.tdata.eq(packet.word),
            self.words.tuser.eq(Cat(packet.starts, packet.end)),
            self.words.tlast.eq(packet.last & packet.is_last),
            self.replies.payload.value.eq(reply[:8]),
            self.replies.payload.last.eq(reply_left == 0),
        ]
        with m.FSM(name="command"):
            self._receive(m, packet, check, write, lost, answer)
            self._act(m, packet, read, answer)
            with m.State("REPLY"):
                m.d.comb += self.replies.valid.eq(1)
                with m.If(self.replies.ready):
                    m.d.sync += [reply.eq(reply[8:]), reply_left.eq(reply_left - 1)]
                    with m.If(reply_left == 0):
                        m.next = "SYNC"
        return m

    def _receive(
        self, m: Module, packet: _Packet, check: Any, write: Any, lost: Signal, answer: Answer
    ) -> None:
        """A packet's bytes, up to its CRC."""
        byte, taken = self.i.payload, self.i.valid & self.i.ready
        wrong = Signal()
        kind, left, body, index = packet.kind, packet.left, packet.body, packet.index

        def refuse(why: Fault) -> None:
            """Answer `n` and ignore what comes; say nothing when that is so already."""
            m.d.sync += self.fault.eq(1)
            m.next = "SYNC"
            with m.If(~self.fault):
                answer("n", Const(why, 8), 1)

        with m.State("SYNC"):
            m.d.comb += [self.i.ready.eq(self.fault | ~lost), check.start.eq(1)]
            with m.If(lost & ~self.fault):
                refuse(Fault.LOST)
            with m.Elif(self.i.valid & (byte == SYNC)):
                m.next = "TYPE"
        with m.State("TYPE"):
            m.d.comb += [self.i.ready.eq(1), check.valid.eq(taken)]
            m.d.sync += [kind.eq(byte), index.eq(0)]
            with m.If(taken), m.Switch(byte):
                with m.Case(ord("W")):
                    m.d.sync += left.eq(ADDRESS_BYTES + DATA_BYTES)
                    m.next = "BODY"
                with m.Case(ord("R")):
                    m.d.sync += left.eq(ADDRESS_BYTES)
                    m.next = "BODY"
                with m.Case(ord("F")):
                    m.next = "COUNT"
                with m.Case(ord("P")):
                    m.next = "CRC_LOW"
                with m.Default():
                    refuse(Fault.TYPE)
        with m.State("BODY"):
            m.d.comb += [self.i.ready.eq(1), check.valid.eq(taken)]
            with m.If(taken):
                m.d.sync += [body.eq(Cat(body[8:], byte)), left.eq(left - 1)]
                with m.If(left == 1):
                    m.next = "CRC_LOW"
        with m.State("COUNT"):
            m.d.comb += [self.i.ready.eq(1), check.valid.eq(taken)]
            m.d.sync += packet.count.eq(byte)
            with m.If(taken):
                m.next = "FLAGS"
                with m.If((byte == 0) | (byte > MAX_WORDS)):
                    refuse(Fault.COUNT)
        with m.State("FLAGS"):
            m.d.comb += [self.i.ready.eq(1), check.valid.eq(taken)]
            m.d.sync += Cat(packet.first, packet.last, packet.end).eq(byte)
            with m.If(taken):
                m.next = "LOW"
        with m.State("LOW"):
            m.d.comb += [self.i.ready.eq(1), check.valid.eq(taken)]
            m.d.sync += packet.low.eq(byte)
            with m.If(taken):
                m.next = "HIGH"
        with m.State("HIGH"):
            m.d.comb += [self.i.ready.eq(1), check.valid.eq(taken), write.en.eq(taken)]
            with m.If(taken):
                m.d.sync += index.eq(index + 1)
                m.next = "LOW"
                with m.If(index == packet.count - 1):
                    m.next = "CRC_LOW"
        with m.State("CRC_LOW"):
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += [wrong.eq(byte != check.crc[:8]), index.eq(0)]
            with m.If(taken):
                m.next = "CRC_HIGH"
        with m.State("CRC_HIGH"):
            m.d.comb += self.i.ready.eq(1)
            with m.If(taken):
                with m.If(wrong | (byte != check.crc[8:])):
                    refuse(Fault.CRC)
                with m.Elif(kind == ord("P")):
                    m.d.sync += [self.fault.eq(0), lost.eq(0)]
                    hello = Cat(Const(VERSION, 8), Const(MAX_WORDS, 8), Const(self._window, 16))
                    answer("p", hello, 4)
                with m.Elif(self.fault):
                    m.next = "SYNC"
                with m.Elif(lost):
                    refuse(Fault.LOST)
                with m.Elif(kind == ord("F")):
                    m.next = "WORD"
                with m.Elif(kind == ord("W")):
                    m.next = "WRITE"
                with m.Else():
                    m.next = "ADDRESS"

    def _act(self, m: Module, packet: _Packet, read: Any, answer: Answer) -> None:
        """What a packet asks for: a frame's words, a write, a read."""
        bus, index = self.bus, packet.index
        address_done, data_done = Signal(), Signal()
        with m.State("WORD"):
            m.d.sync += [packet.word.eq(read.data), packet.starts.eq(packet.first & (index == 0))]
            m.d.sync += [packet.is_last.eq(index == packet.count - 1), index.eq(index + 1)]
            m.next = "FRAME"
        with m.State("FRAME"):
            m.d.comb += self.words.tvalid.eq(1)
            with m.If(self.words.tready):
                m.next = "WORD"
                with m.If(packet.is_last):
                    answer("f", Const(0, 8), 1)
        with m.State("WRITE"):
            m.d.comb += [bus.awvalid.eq(~address_done), bus.wvalid.eq(~data_done)]
            m.d.sync += address_done.eq(address_done | bus.awready)
            m.d.sync += data_done.eq(data_done | bus.wready)
            m.d.comb += bus.bready.eq(address_done & data_done)
            with m.If(bus.bvalid & bus.bready):
                m.d.sync += [address_done.eq(0), data_done.eq(0)]
                answer("w", bus.bresp, 1)
        with m.State("ADDRESS"):
            m.d.comb += bus.arvalid.eq(1)
            with m.If(bus.arready):
                m.next = "READ"
        with m.State("READ"):
            m.d.comb += bus.rready.eq(1)
            with m.If(bus.rvalid):
                value = Cat(bus.rresp, Const(0, 6), bus.rdata)
                answer("r", value, 5)
