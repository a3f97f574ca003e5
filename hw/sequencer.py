# SPDX-License-Identifier: Apache-2.0
"""Runs the network's program once per frame: hands each pass to the fetch unit and the rows."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .fetch import FetchJob
from .layouts import Pass, RowPass, StepTag
from .ram import block_ram

RowJob = data.StructLayout({"pass": RowPass, "step": StepTag})
"""A pass in a certain step, for the accumulators."""


class Sequencer(wiring.Component):
    """Reads the program from `start` to the pass marked `step_end`, for every step.

    THROUGHPUT: a pass every second cycle; both receivers queue them.

    Members
    -------
    start: the first pass of the steps to come; it changes only while there is none
    i: one tag per step; fetch, rows: the pass, to both at once
    w_en, w_addr, w_data: loading
    """

    def __init__(self, *, depth: int, init: list[int]) -> None:
        self._depth = depth
        self._init = init
        super().__init__(
            {
                "start": In(range(max(depth, 2))),
                "i": In(stream.Signature(StepTag)),
                "fetch": Out(stream.Signature(FetchJob)),
                "rows": Out(stream.Signature(RowJob)),
                "w_en": In(1),
                "w_addr": In(range(max(depth, 2))),
                "w_data": In(Pass.size),
            }
        )

    start: Signal
    i: stream.Interface
    fetch: stream.Interface
    rows: stream.Interface
    w_en: Signal
    w_addr: Signal
    w_data: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        program = block_ram(Pass.size, depth=self._depth, init=self._init)
        m.submodules.program = program
        write, read = program.write_port(), program.read_port()
        instruction = data.View(Pass, read.data)
        between = Signal(init=1)  # two steps
        counter, fresh, push = Signal(range(max(self._depth, 2))), Signal(), Signal()
        m.d.comb += [
            write.en.eq(self.w_en),
            write.addr.eq(self.w_addr),
            write.data.eq(self.w_data),
            read.addr.eq(counter),
            push.eq(self.i.valid & fresh & self.fetch.ready & self.rows.ready),
            self.fetch.valid.eq(push),
            self.rows.valid.eq(push),
            self.fetch.payload["pass"].eq(instruction.fetch),
            self.rows.payload["pass"].eq(instruction.rows),
            self.fetch.payload.step.eq(self.i.payload),
            self.rows.payload.step.eq(self.i.payload),
            self.i.ready.eq(push & instruction.step_end),
        ]
        m.d.sync += fresh.eq(~push)
        with m.If(push):
            m.d.sync += [
                counter.eq(Mux(instruction.step_end, self.start, counter + 1)),
                between.eq(instruction.step_end),
            ]
        with m.Elif(between & ~self.i.valid):
            m.d.sync += counter.eq(self.start)
        return m
