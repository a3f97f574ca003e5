# SPDX-License-Identifier: Apache-2.0
"""The serial line to a board's accelerator: registers, frames and outputs over one UART.

`protocol` documents the bytes.
"""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from ...hw.bus.axi import AxiLiteSignature, AxiStreamSignature
from .commands import PACKET_BYTE, CommandUnit, crc16
from .line import UartReceiver, UartTransmitter
from .protocol import FLAG_LAST, MAX_WORDS, SYNC


class StreamRegister(wiring.Component):
    """A register in a stream, for timing: block RAMs are slow to answer.

    LATENCY: 1 cycle. THROUGHPUT: a transfer every 2 cycles, far more than the line carries.

    Parameters
    ----------
    shape
        The payload's.

    Members
    -------
    i: in, stream of `shape`
    o: out, stream of `shape`: the same payloads
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: Any) -> None:
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid)
        with m.If(self.o.valid):
            m.d.sync += self.o.valid.eq(~self.o.ready)
        with m.Else():
            m.d.sync += [self.o.payload.eq(self.i.payload), self.o.valid.eq(self.i.valid)]
        return m


class PacketSender(wiring.Component):
    """Sends the packets of two sources, whole packets in turn, with `SYNC` and CRC around each.

    Members
    -------
    replies: in, stream of `PACKET_BYTE`: type and body of packets; they go first when both wait
    outputs: in, stream of `PACKET_BYTE`: the same
    o: out, stream of 8 bits: bytes for the transmitter
    """

    replies: stream.Interface
    outputs: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        source = stream.Signature(PACKET_BYTE)
        super().__init__(
            {"replies": In(source), "outputs": In(source), "o": Out(stream.Signature(8))}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        check = crc16(m, "crc")
        from_replies = Signal()
        value, last, valid, ready = Signal(8), Signal(), Signal(), Signal()
        with m.If(from_replies):
            m.d.comb += [Cat(value, last).eq(self.replies.payload.as_value())]
            m.d.comb += [valid.eq(self.replies.valid), self.replies.ready.eq(ready)]
        with m.Else():
            m.d.comb += [Cat(value, last).eq(self.outputs.payload.as_value())]
            m.d.comb += [valid.eq(self.outputs.valid), self.outputs.ready.eq(ready)]

        with m.FSM(name="send"):
            with m.State("SYNC"):
                m.d.comb += [check.start.eq(1), self.o.payload.eq(SYNC)]
                m.d.sync += from_replies.eq(self.replies.valid)
                with m.If(self.replies.valid | self.outputs.valid):
                    m.next = "START"
            with m.State("START"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(SYNC)]
                with m.If(self.o.ready):
                    m.next = "BODY"
            with m.State("BODY"):
                m.d.comb += [self.o.valid.eq(valid), self.o.payload.eq(value)]
                m.d.comb += [ready.eq(self.o.ready), check.data.eq(value)]
                with m.If(valid & ready):
                    m.d.comb += check.valid.eq(1)
                    with m.If(last):
                        m.next = "CRC_LOW"
            with m.State("CRC_LOW"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(check.crc[:8])]
                with m.If(self.o.ready):
                    m.next = "CRC_HIGH"
            with m.State("CRC_HIGH"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(check.crc[8:])]
                with m.If(self.o.ready):
                    m.next = "SYNC"
        return m


class OutputPacker(wiring.Component):
    """Packs the accelerator's output words into the bodies of `O` packets.

    A packet goes out when a frame ends or `MAX_WORDS` words are there. Backpressure holds `i`.

    Members
    -------
    i: in, AXI4-Stream of 16-bit words: outputs
    o: out, stream of `PACKET_BYTE`: type and body of packets
    """

    i: Any
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__({"i": In(AxiStreamSignature(16)), "o": Out(stream.Signature(PACKET_BYTE))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.words = words = SyncFIFOBuffered(width=16, depth=8 * MAX_WORDS)
        m.submodules.word = word = StreamRegister(16)
        m.submodules.chunks = chunks = SyncFIFOBuffered(width=8, depth=16)  # {last, count}
        taken = Signal(range(MAX_WORDS))  # words of the packet that fills up
        count = Signal(range(MAX_WORDS + 1))
        ends = Signal()
        accept = Signal()
        m.d.comb += [
            self.i.tready.eq(words.w_rdy & chunks.w_rdy),
            accept.eq(self.i.tvalid & self.i.tready),
            words.w_data.eq(self.i.tdata),
            words.w_en.eq(accept),
            count.eq(taken + 1),
            ends.eq(self.i.tlast | (taken == MAX_WORDS - 1)),
            chunks.w_data.eq(Cat(count, self.i.tlast)),
            chunks.w_en.eq(accept & ends),
        ]
        with m.If(accept):
            m.d.sync += taken.eq(Mux(ends, 0, count))

        m.d.comb += [
            word.i.payload.eq(words.r_data),
            word.i.valid.eq(words.r_rdy),
            words.r_en.eq(word.i.ready),
        ]
        left = Signal(range(MAX_WORDS + 1))
        chunk_count, chunk_last = chunks.r_data[:7], chunks.r_data[7]
        out = self.o.payload
        with m.FSM(name="pack"):
            with m.State("TYPE"):
                m.d.comb += [self.o.valid.eq(chunks.r_rdy), out.value.eq(ord("O"))]
                with m.If(self.o.valid & self.o.ready):
                    m.next = "COUNT"
            with m.State("COUNT"):
                m.d.comb += [self.o.valid.eq(1), out.value.eq(chunk_count)]
                m.d.sync += left.eq(chunk_count)
                with m.If(self.o.ready):
                    m.next = "FLAGS"
            with m.State("FLAGS"):
                m.d.comb += [self.o.valid.eq(1), out.value.eq(Mux(chunk_last, FLAG_LAST, 0))]
                with m.If(self.o.ready):
                    m.d.comb += chunks.r_en.eq(1)
                    m.next = "LOW"
            with m.State("LOW"):
                m.d.comb += [self.o.valid.eq(word.o.valid), out.value.eq(word.o.payload[:8])]
                with m.If(self.o.valid & self.o.ready):
                    m.next = "HIGH"
            with m.State("HIGH"):
                m.d.comb += [self.o.valid.eq(1), out.value.eq(word.o.payload[8:])]
                m.d.comb += out.last.eq(left == 1)
                with m.If(self.o.ready):
                    m.d.comb += word.o.ready.eq(1)
                    m.d.sync += left.eq(left - 1)
                    m.next = "LOW"
                    with m.If(left == 1):
                        m.next = "TYPE"
        return m


class UartBridge(wiring.Component):
    """UART to AXI4-Lite and AXI4-Stream, see `protocol`.

    Parameters
    ----------
    clock_hz, baud
        Rates of the clock and of the line.
    window
        Bytes that the host may have under way: the depth of the receive buffer.

    Members
    -------
    rx: in, 1 bit: the line to the board, idle high, asynchronous to the clock
    tx: out, 1 bit: the line to the host, idle high
    words: out, AXI4-Stream of 16-bit words with 2 user bits: frames, to the core's `s_axis`
    outputs: in, AXI4-Stream of 16-bit words: from the core's `m_axis`
    bus: out, AXI4-Lite: registers, to the core's `s_axil`
    fault: out, 1 bit: commands are refused until the host greets again
    """

    rx: Signal
    tx: Signal
    words: Any
    outputs: Any
    bus: Any
    fault: Signal

    def __init__(self, *, clock_hz: float, baud: float, window: int = 2048) -> None:
        smallest = 2 * MAX_WORDS + 6  # one whole packet
        if not smallest <= window < 1 << 16:
            raise ValueError(f"window must be {smallest} to {(1 << 16) - 1}, not {window!r}")
        self._clock_hz, self._baud, self._window = clock_hz, baud, window
        super().__init__(
            {
                "rx": In(1),
                "tx": Out(1),
                "words": Out(AxiStreamSignature(16, user=2)),
                "outputs": In(AxiStreamSignature(16)),
                "bus": Out(AxiLiteSignature()),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.rx = rx = UartReceiver(clock_hz=self._clock_hz, baud=self._baud)
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=8, depth=self._window)
        m.submodules.commands = commands = CommandUnit(window=self._window)
        m.submodules.received = received = StreamRegister(8)
        m.submodules.packed = packed = StreamRegister(PACKET_BYTE)
        m.submodules.packer = packer = OutputPacker()
        m.submodules.sender = sender = PacketSender()
        m.submodules.tx = tx = UartTransmitter(clock_hz=self._clock_hz, baud=self._baud)

        m.d.comb += [
            rx.rx.eq(self.rx),
            fifo.w_data.eq(rx.data),
            fifo.w_en.eq(rx.valid),
            commands.lost.eq(rx.error | (rx.valid & ~fifo.w_rdy)),
            received.i.payload.eq(fifo.r_data),
            received.i.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(received.i.ready),
            self.fault.eq(commands.fault),
            self.tx.eq(tx.tx),
        ]
        wiring.connect(m, wiring.flipped(self.words), commands.words)
        wiring.connect(m, wiring.flipped(self.bus), commands.bus)
        wiring.connect(m, wiring.flipped(self.outputs), packer.i)
        wiring.connect(m, commands.replies, sender.replies)
        wiring.connect(m, received.o, commands.i)
        wiring.connect(m, packer.o, packed.i)
        wiring.connect(m, packed.o, sender.outputs)
        wiring.connect(m, sender.o, tx.i)
        return m
