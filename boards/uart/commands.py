# SPDX-License-Identifier: Apache-2.0
"""The board's side of the protocol: commands in, actions and replies out.

`protocol` documents the bytes.
"""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...hw.bus.axi import AxiLiteSignature, AxiStreamSignature
from ...hw.bus.register_map import ADDRESS_BITS
from ..link.framer import BYTE
from .protocol import VERSION

ADDRESS_BYTES, DATA_BYTES = 3, 4
_MOST_BYTES = 6
"""Of a reply that are sent at once."""


class _Reply:
    """Bytes of a message that are being sent, by the state REPLY.

    bytes, left: what goes, the lowest first; how many follow the first
    ends: the message ends with them; otherwise READ goes on with it, or NETWORK
    hello: it is a `p`
    refuses: nothing is done after it
    """

    def __init__(self) -> None:
        self.bytes = Signal(8 * _MOST_BYTES)
        self.left = Signal(range(_MOST_BYTES))
        self.ends, self.refuses, self.hello = Signal(), Signal(), Signal()

    def send(self, m: Module, *parts: Any, ends: bool = True) -> None:
        """Send these bits, a multiple of 8."""
        bits = Cat(*parts)
        m.d.sync += [self.bytes.eq(bits), self.left.eq(len(bits) // 8 - 1), self.ends.eq(ends)]
        m.next = "REPLY"


class _Registers:
    """What is kept of a `W` or an `R`.

    write: it is a `W`
    left: bytes of the address or the data that follow the next one
    address, data, count: of the next access; how many there are, with it
    response: the errors of all of them
    sum: over all writes, see `protocol`
    """

    def __init__(self) -> None:
        self.write, self.left = Signal(), Signal(range(DATA_BYTES))
        self.address, self.data = Signal(ADDRESS_BITS), Signal(32)
        self.count, self.response = Signal(8), Signal(2)
        self.sum = Signal(32)


class CommandUnit(wiring.Component):
    """Reads commands, carries them out one after the other and answers.

    Parameters
    ----------
    design, network: 32 bits that tell one from another, for the host: the design, and the network
        that is in its memories from the start.

    Members
    -------
    i: in, stream of 8 bits: the host's stream
    replies: out, stream of `BYTE`: letter and body of messages
    words: out, AXI4-Stream of 16-bit words: frames, to the core's `s_axis`; user bit 0 on a
        sequence's first word, bit 1 on the words of its last frame
    bus: out, AXI4-Lite: registers, to the core's `s_axil`
    fault: out, 1 bit, level: a byte was no command; all that comes is dropped until a reset
    """

    i: stream.Interface
    replies: stream.Interface
    words: Any
    bus: Any
    fault: Signal

    def __init__(self, *, design: int = 0, network: int = 0) -> None:
        self._design, self._network = design, network
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "replies": Out(stream.Signature(BYTE)),
                "words": Out(AxiStreamSignature(16, user=2)),
                "bus": Out(AxiLiteSignature()),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        reply, registers = _Reply(), _Registers()
        # Like the memories, it outlives a reset.
        network = Signal(32, init=self._network, reset_less=True)
        m.d.comb += [
            self.replies.payload.value.eq(reply.bytes[:8]),
            self.replies.payload.last.eq(reply.ends & (reply.left == 0)),
        ]
        with m.FSM(name="command"):
            with m.State("LETTER"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [registers.left.eq(ADDRESS_BYTES - 1), registers.response.eq(0)]
                m.d.sync += registers.write.eq(self.i.payload == ord("W"))
                m.d.sync += reply.hello.eq(self.i.payload == ord("P"))
                with m.If(self.i.valid), m.Switch(self.i.payload):
                    with m.Case(ord("W"), ord("R")):
                        m.next = "ADDRESS"
                    with m.Case(ord("F")):
                        m.next = "COUNT_OF_FRAME"
                    with m.Case(ord("C")):
                        reply.send(m, Const(ord("c"), 8), registers.sum)
                        m.d.sync += registers.sum.eq(0)
                    with m.Case(ord("P")):
                        version, design = Const(VERSION, 8), Const(self._design, 32)
                        reply.send(m, Const(ord("p"), 8), version, design, ends=False)
                    with m.Case(ord("N")):
                        m.d.sync += registers.left.eq(DATA_BYTES - 1)
                        m.next = "NUMBER"
                    with m.Default():
                        self._refuse(m, reply)
            with m.State("REPLY"):
                m.d.comb += self.replies.valid.eq(1)
                with m.If(self.replies.ready):
                    m.d.sync += [reply.bytes.eq(reply.bytes[8:]), reply.left.eq(reply.left - 1)]
                    with m.If(reply.left == 0):
                        m.next = "LETTER"
                        with m.If(~reply.ends & reply.hello):
                            m.next = "NETWORK"
                        with m.Elif(~reply.ends):
                            m.next = "READ"
                        with m.Elif(reply.refuses):
                            m.next = "FAULT"
            with m.State("NETWORK"):
                reply.send(m, network)
            with m.State("NUMBER"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += network.eq(Cat(network[8:], self.i.payload))
                    m.d.sync += registers.left.eq(registers.left - 1)
                    with m.If(registers.left == 0):
                        reply.send(m, Const(ord("w"), 8), Const(0, 8))
            with m.State("FAULT"):
                m.d.comb += [self.i.ready.eq(1), self.fault.eq(1)]
            self._access(m, registers, reply)
            self._frame(m, reply)
        return m

    def _refuse(self, m: Module, reply: _Reply) -> None:
        """Say which byte it was, and then nothing."""
        reply.send(m, Const(ord("n"), 8), self.i.payload)
        m.d.sync += reply.refuses.eq(1)

    def _access(self, m: Module, registers: _Registers, reply: _Reply) -> None:
        """A `W` or an `R` behind its letter."""
        byte, taken, bus = self.i.payload, self.i.valid & self.i.ready, self.bus
        address, data, count = registers.address, registers.data, registers.count
        address_done, data_done = Signal(), Signal()
        response, after = Signal(2), Signal(ADDRESS_BITS)
        rotated = Cat(registers.sum[-1], registers.sum[:-1])
        m.d.comb += [
            *(bus.awaddr.eq(address), bus.araddr.eq(address)),
            *(bus.wdata.eq(data), bus.wstrb.eq(0b1111)),
            after.eq(address + 4),
        ]
        with m.State("ADDRESS"):
            m.d.comb += self.i.ready.eq(1)
            with m.If(taken):
                m.d.sync += [address.eq(Cat(address[8:], byte))]
                m.d.sync += registers.left.eq(registers.left - 1)
                with m.If(registers.left == 0):
                    m.next = "COUNT"
        with m.State("COUNT"):
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += [count.eq(byte), registers.left.eq(DATA_BYTES - 1)]
            with m.If(taken):
                with m.If(byte == 0):
                    self._refuse(m, reply)
                with m.Elif(registers.write):
                    m.next = "DATA"
                with m.Else():
                    reply.send(m, Const(ord("r"), 8), byte, ends=False)
        with m.State("DATA"):
            m.d.comb += self.i.ready.eq(1)
            with m.If(taken):
                m.d.sync += [data.eq(Cat(data[8:], byte)), registers.left.eq(registers.left - 1)]
                with m.If(registers.left == 0):
                    m.next = "WRITE"
        with m.State("WRITE"):
            m.d.comb += [bus.awvalid.eq(~address_done), bus.wvalid.eq(~data_done)]
            m.d.sync += address_done.eq(address_done | bus.awready)
            m.d.sync += data_done.eq(data_done | bus.wready)
            m.d.sync += registers.left.eq(DATA_BYTES - 1)
            m.d.comb += bus.bready.eq(address_done & data_done)
            m.d.comb += response.eq(registers.response | bus.bresp)
            with m.If(bus.bvalid & bus.bready):
                m.d.sync += [address_done.eq(0), data_done.eq(0), registers.response.eq(response)]
                m.d.sync += registers.sum.eq(rotated + (data ^ address))
                m.d.sync += [address.eq(after), count.eq(count - 1)]
                m.next = "DATA"
                with m.If(count == 1):
                    reply.send(m, Const(ord("w"), 8), response, Const(0, 6))
        with m.State("READ"):
            m.d.comb += bus.arvalid.eq(1)
            with m.If(bus.arready):
                m.next = "VALUE"
        with m.State("VALUE"):
            m.d.comb += bus.rready.eq(1)
            m.d.comb += response.eq(registers.response | bus.rresp)
            with m.If(bus.rvalid):
                m.d.sync += registers.response.eq(response)
                m.d.sync += [address.eq(after), count.eq(count - 1)]
                with m.If(count == 1):
                    reply.send(m, bus.rdata, response, Const(0, 6))
                with m.Else():
                    reply.send(m, bus.rdata, ends=False)

    def _frame(self, m: Module, reply: _Reply) -> None:
        """An `F` behind its letter."""
        byte, taken = self.i.payload, self.i.valid & self.i.ready
        count, word = Signal(8), Signal(16)
        # From registers: the core multiplies the word in the cycle in which it takes it.
        first, last, end, final = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            self.words.tdata.eq(word),
            self.words.tuser.eq(Cat(first, end)),
            self.words.tlast.eq(final),
        ]
        with m.State("COUNT_OF_FRAME"):
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += count.eq(byte)
            with m.If(taken):
                m.next = "FLAGS"
                with m.If(byte == 0):
                    self._refuse(m, reply)
        with m.State("FLAGS"):
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += Cat(first, last, end).eq(byte)
            with m.If(taken):
                m.next = "LOW"
        with m.State("LOW"):
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += [word[:8].eq(byte), final.eq(last & (count == 1))]
            with m.If(taken):
                m.next = "HIGH"
        with m.State("HIGH"):
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += word[8:].eq(byte)
            with m.If(taken):
                m.next = "WORD"
        with m.State("WORD"):
            m.d.comb += self.words.tvalid.eq(1)
            with m.If(self.words.tready):
                m.d.sync += [count.eq(count - 1), first.eq(0)]
                m.next = "LOW"
                with m.If(count == 1):
                    m.next = "LETTER"
