# SPDX-License-Identifier: Apache-2.0
"""A test core with the accelerator's ports that only echoes: for boards and their serial line."""

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from ...hw.bus.axi import AxiLite, AxiLiteSignature, AxiStreamSignature

IDENTITY = 0x6F6F6C64  # "dloo"
SCRATCH_WORDS = 4


class Loopback(wiring.Component):
    """Sends every frame back unchanged.

    Registers (byte addresses): 0x00 RO `IDENTITY`; 0x04 RO frames seen; 0x08 RO sequences seen;
    0x10 to 0x1c RW scratch words. Everything else answers with an error.

    LATENCY: 1 cycle through the queue. THROUGHPUT: a word a cycle.

    Parameters
    ----------
    depth
        Words of the queue between the streams.

    Members
    -------
    s_axis: in, AXI4-Stream of 16-bit words with 2 user bits: frames
    m_axis: out, AXI4-Stream of 16-bit words: the same frames
    s_axil: in, AXI4-Lite: the registers
    """

    s_axis: Any
    m_axis: Any
    s_axil: Any

    def __init__(self, *, depth: int = 16) -> None:
        self._depth = depth
        super().__init__(
            {
                "s_axis": In(AxiStreamSignature(16, user=2)),
                "m_axis": Out(AxiStreamSignature(16)),
                "s_axil": In(AxiLiteSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=17, depth=self._depth)
        m.submodules.slave = slave = AxiLite()
        frames, sequences = Signal(32), Signal(32)
        scratch = [Signal(32, name=f"scratch_{index}") for index in range(SCRATCH_WORDS)]
        m.d.comb += [
            fifo.w_data.eq(Cat(self.s_axis.tdata, self.s_axis.tlast)),
            fifo.w_en.eq(self.s_axis.tvalid),
            self.s_axis.tready.eq(fifo.w_rdy),
            Cat(self.m_axis.tdata, self.m_axis.tlast).eq(fifo.r_data),
            self.m_axis.tvalid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.m_axis.tready),
        ]
        with m.If(self.s_axis.tvalid & self.s_axis.tready):
            m.d.sync += frames.eq(frames + self.s_axis.tlast)
            m.d.sync += sequences.eq(sequences + self.s_axis.tuser[0])

        wiring.connect(m, wiring.flipped(self.s_axil), slave.axil)
        bus = slave.bus
        readable = Array([Const(IDENTITY, 32), frames, sequences, Const(0, 32), *scratch])
        m.d.comb += [
            bus.w_ready.eq(1),
            bus.w_error.eq((bus.w_addr < 4) | (bus.w_addr >= 4 + SCRATCH_WORDS)),
            bus.r_valid.eq(1),
            bus.r_data.eq(readable[bus.r_addr[:3]]),
            bus.r_error.eq((bus.r_addr == 3) | (bus.r_addr >= 4 + SCRATCH_WORDS)),
        ]
        with m.If(bus.w_valid & ~bus.w_error), m.Switch(bus.w_addr[:2]):
            for index, word in enumerate(scratch):
                with m.Case(index):
                    m.d.sync += word.eq(bus.w_data)
        return m
