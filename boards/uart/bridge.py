# SPDX-License-Identifier: Apache-2.0
"""The serial line to a board's accelerator: registers, frames and outputs over one UART.

`protocol` documents the bytes.
"""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from ...hw.bus.axi import AxiLiteSignature, AxiStreamSignature
from ..link.framer import BYTE
from ..link.link import Link
from .commands import CommandUnit
from .line import UartReceiver, UartTransmitter
from .protocol import FLAG_LAST, MAX_WORDS


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


class MessageMerger(wiring.Component):
    """Puts the messages of two sources into one stream, whole messages in turn.

    Members
    -------
    replies: in, stream of `BYTE`: messages; they go first when both wait
    outputs: in, stream of `BYTE`: messages
    o: out, stream of 8 bits
    """

    replies: stream.Interface
    outputs: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        source = stream.Signature(BYTE)
        super().__init__(
            {"replies": In(source), "outputs": In(source), "o": Out(stream.Signature(8))}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        from_replies = Signal()
        with m.FSM(name="merge"):
            with m.State("CHOOSE"):
                m.d.sync += from_replies.eq(self.replies.valid)
                with m.If(self.replies.valid | self.outputs.valid):
                    m.next = "PASS"
            with m.State("PASS"):
                for source, chosen in ((self.replies, from_replies), (self.outputs, ~from_replies)):
                    with m.If(chosen):
                        m.d.comb += [
                            self.o.payload.eq(source.payload.value),
                            self.o.valid.eq(source.valid),
                            source.ready.eq(self.o.ready),
                        ]
                        with m.If(source.valid & self.o.ready & source.payload.last):
                            m.next = "CHOOSE"
        return m


class OutputPacker(wiring.Component):
    """Packs the accelerator's output words into the `O` messages.

    A message goes out when a frame ends or `MAX_WORDS` words are there. Backpressure holds `i`.

    Members
    -------
    i: in, AXI4-Stream of 16-bit words: outputs
    o: out, stream of `BYTE`: messages
    """

    i: Any
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__({"i": In(AxiStreamSignature(16)), "o": Out(stream.Signature(BYTE))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.words = words = SyncFIFOBuffered(width=16, depth=2 * MAX_WORDS)
        m.submodules.word = word = StreamRegister(16)
        count = Signal(range(MAX_WORDS + 1))
        m.submodules.chunks = chunks = SyncFIFOBuffered(width=len(count) + 1, depth=4)
        taken = Signal(range(MAX_WORDS))  # words of the packet that fills up
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
        chunk_count, chunk_last = chunks.r_data[:-1], chunks.r_data[-1]
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
    """UART to AXI4-Lite and AXI4-Stream, see `protocol`, over a link that loses nothing.

    Parameters
    ----------
    clock_hz, baud: rates of the clock and of the line.
    design, network: 32 bits that tell one from another, see `CommandUnit`.
    window: bytes of the two buffers, from and to the host.

    Members
    -------
    rx: in, 1 bit: the line to the board, idle high, asynchronous to the clock
    tx: out, 1 bit: the line to the host, idle high
    words: out, AXI4-Stream of 16-bit words with 2 user bits: frames, to the core's `s_axis`
    outputs: in, AXI4-Stream of 16-bit words: from the core's `m_axis`
    bus: out, AXI4-Lite: registers, to the core's `s_axil`
    restart: out, 1 bit, pulse: a host opened the link; the core must be reset, too
    fault: out, 1 bit: commands are refused until a host opens the link
    """

    rx: Signal
    tx: Signal
    words: Any
    outputs: Any
    bus: Any
    restart: Signal
    fault: Signal

    def __init__(
        self,
        *,
        clock_hz: float,
        baud: float,
        design: int = 0,
        network: int = 0,
        window: int = 2048,
    ) -> None:
        self._clock_hz, self._baud = clock_hz, baud
        self._design, self._network, self._window = design, network, window
        super().__init__(
            {
                "rx": In(1),
                "tx": Out(1),
                "words": Out(AxiStreamSignature(16, user=2)),
                "outputs": In(AxiStreamSignature(16)),
                "bus": Out(AxiLiteSignature()),
                "restart": Out(1),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.rx = rx = UartReceiver(clock_hz=self._clock_hz, baud=self._baud)
        m.submodules.link = link = Link(window=self._window)
        again = ResetInserter(link.restart)
        commands = CommandUnit(design=self._design, network=self._network)
        packer, merger = OutputPacker(), MessageMerger()
        m.submodules.commands = again(commands)
        m.submodules.packer = again(packer)
        m.submodules.merger = again(merger)
        m.submodules.tx = tx = UartTransmitter(clock_hz=self._clock_hz, baud=self._baud)

        m.d.comb += [
            rx.rx.eq(self.rx),
            link.byte.eq(rx.data),
            link.valid.eq(rx.valid),
            self.restart.eq(link.restart),
            self.fault.eq(commands.fault),
            self.tx.eq(tx.tx),
        ]
        wiring.connect(m, wiring.flipped(self.words), commands.words)
        wiring.connect(m, wiring.flipped(self.bus), commands.bus)
        wiring.connect(m, wiring.flipped(self.outputs), packer.i)
        wiring.connect(m, link.o, commands.i)
        wiring.connect(m, commands.replies, merger.replies)
        wiring.connect(m, packer.o, merger.outputs)
        wiring.connect(m, merger.o, link.i)
        wiring.connect(m, link.line, tx.i)
        return m
