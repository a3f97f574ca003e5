# SPDX-License-Identifier: Apache-2.0
"""Runs the network's program once per frame: hands each pass to the fetch unit and the rows."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...parts.memory import MemoryWrite, block_ram
from ...parts.queue import Queue
from ...words import SLOTS, StepTag, pass_word
from .words import FetchJob, row_job

STEPS = 4
"""Steps that may wait for a receiver."""

PASS_CYCLES = 4
"""From a pass that a receiver takes to the next one: counted, read, registered, handed out."""


class Sequencer(wiring.Component):
    """Reads the program from `start` to the pass marked `step_end`, for every step.

    Each receiver has the program's part for it to itself, and goes through it at its own pace: the
    fetch unit is some passes ahead of the rows.

    THROUGHPUT: a pass every `PASS_CYCLES` cycles.

    Parameters
    ----------
    depth : int
        Passes that the program can have.
    init : list of int
        Initial program, as words; or empty.
    slots : int
        Most gates of a cell.

    Members
    -------
    start : in, range(depth)
        The first pass of the steps to come; it changes only while there is none.
    i : in, stream of `StepTag`
        One per step.
    fetch : out, stream of `FetchJob`
        The passes, for the fetch unit.
    rows : out, stream of `row_job`
        The passes, for the accumulators.
    load : in, `MemoryWrite(depth, pass_word(slots).size)`
        Writes the program.
    """

    def __init__(self, *, depth: int, init: list[int], slots: int = SLOTS) -> None:
        self._depth = depth
        self._init = init
        self._word = pass_word(slots)
        super().__init__(
            {
                "start": In(range(max(depth, 2))),
                "i": In(stream.Signature(StepTag)),
                "fetch": Out(stream.Signature(FetchJob)),
                "rows": Out(stream.Signature(row_job(slots))),
                "load": In(MemoryWrite(depth, self._word.size)),
            }
        )

    start: Signal
    i: stream.Interface
    fetch: stream.Interface
    rows: stream.Interface
    load: Any

    def elaborate(self, platform: object) -> Module:
        m = Module()
        queues = [self._run(m, "fetch", self.fetch), self._run(m, "rows", self.rows)]
        taken = Signal()
        m.d.comb += [
            taken.eq(queues[0].i.ready & queues[1].i.ready),
            self.i.ready.eq(taken),
            *(queue.i.payload.eq(self.i.payload) for queue in queues),
            *(queue.i.valid.eq(self.i.valid & taken) for queue in queues),
        ]
        return m

    def _run(self, m: Module, name: str, out: stream.Interface) -> Queue:
        """One receiver's program, the field `name` of `Pass`; the queue of its steps."""
        layout = self._word
        shapes = {"pass": layout[name].shape, "step_end": layout["step_end"].shape}
        part = data.StructLayout(shapes)
        program = block_ram(
            part.size, depth=self._depth, init=[_part(layout, w, name) for w in self._init]
        )
        queue = Queue(StepTag, depth=STEPS)
        m.submodules[f"{name}_program"], m.submodules[f"{name}_steps"] = program, queue
        write, read = program.write_port(), program.read_port()
        word: Any = data.View(layout, self.load.data)
        instruction: Any = Signal(part, name=f"{name}_instruction", reset_less=True)
        counter = Signal(range(max(self._depth, 2)), name=f"{name}_counter")
        waits = Signal(2, init=2, name=f"{name}_waits")  # for the memory and its register
        push = Signal(name=f"{name}_push")
        pushed = Signal(name=f"{name}_pushed")
        between = Signal(init=1, name=f"{name}_between")  # two steps
        m.d.comb += [
            write.en.eq(self.load.en),
            write.addr.eq(self.load.addr),
            write.data.eq(Value.cast(word[name]) | word.step_end << layout[name].width),
            read.addr.eq(counter),
            out.valid.eq(queue.o.valid & (waits == 0) & ~pushed),
            out.payload["pass"].eq(instruction["pass"]),
            out.payload.step.eq(queue.o.payload),
            push.eq(out.valid & out.ready),
            queue.o.ready.eq(pushed & instruction.step_end),
        ]
        m.d.sync += [Value.cast(instruction).eq(read.data), pushed.eq(push)]
        with m.If(pushed):
            m.d.sync += [
                counter.eq(Mux(instruction.step_end, self.start, counter + 1)),
                between.eq(instruction.step_end),
                waits.eq(2),
            ]
        with m.Elif(between & ~queue.o.valid):  # the next step may be of another sweep
            m.d.sync += [counter.eq(self.start), waits.eq(2)]
        with m.Elif(waits != 0):
            m.d.sync += waits.eq(waits - 1)
        return queue


def _part(layout: data.StructLayout, word: int, name: str) -> int:
    """The part of a program word that is for one receiver."""
    field, end = layout[name], layout["step_end"]
    return (word >> field.offset & ((1 << field.width) - 1)) | (word >> end.offset) << field.width
