# SPDX-License-Identifier: Apache-2.0
"""Which layer it is: its record for the accumulators, the cell unit and the state encoders."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...parts.memory import MemoryWrite, block_ram, connect_write
from ...words import LAYER_BITS, StepTag, layer_record
from ..detect.encoder import Context
from .accumulate import LayerContext


class LayerTable(wiring.Component):
    """The records of all layers, looked up for one after the other.

    The accumulators begin a layer while units of the one before are still on their way. Its record
    stays until the encoders are through with those, and begin.

    Parameters
    ----------
    layers: depth; encoders: of states; init: initial words

    Members
    -------
    layer, step: whose turn is next; known as early as possible, as looking up takes two cycles
    start, ready: the accumulators want to begin it, and may: its context is there a cycle later
    busy: an encoder is not through with the layer before
    begin: the encoders begin, with `contexts`
    output: the layer whose units leave the cells is the last
    load: in, writes the records
    """

    def __init__(self, *, layers: int, encoders: int, init: Sequence[int]) -> None:
        self._layout = layer_record(encoders)
        self._depth = layers
        self._init = init
        super().__init__(
            {
                "layer": In(LAYER_BITS),
                "step": In(StepTag),
                "start": In(1),
                "ready": Out(1),
                "context": Out(LayerContext),
                "busy": In(1),
                "begin": Out(1),
                "contexts": Out(Context).array(encoders),
                "output": Out(1),
                "load": In(MemoryWrite(layers, self._layout.size)),
            }
        )

    layer: Signal
    step: data.View
    start: Signal
    ready: Signal
    context: data.View
    busy: Signal
    begin: Signal
    contexts: list[data.View]
    output: Signal
    load: Any

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = block_ram(
            self._layout.size, depth=self._depth, init=list(self._init), force=True
        )
        write, read = memory.write_port(), memory.read_port()
        connect_write(m, self.load, write)
        m.d.comb += read.addr.eq(self.layer)

        # The record is that of two cycles ago, unless it has to stay.
        record: Any = Signal(self._layout, reset_less=True)
        pending, free = Signal(), Signal()
        asked, same = Signal.like(self.layer), Signal()
        m.d.sync += [
            free.eq(~pending),
            asked.eq(self.layer),
            same.eq(self.layer == asked),
        ]
        with m.If(~pending):
            m.d.sync += Value.cast(record).eq(read.data)
        m.d.comb += [
            self.ready.eq(self.start & same & (self.layer == asked) & free & ~pending),
            self.begin.eq(pending & ~self.busy),
        ]

        # What is asked for at once is there at once; the rest has as long as the rescalers take.
        step: Any = Signal(StepTag)
        taken = Signal()
        m.d.sync += taken.eq(self.ready)
        with m.If(taken):
            later = [name for name in LayerContext.members if name != "output"]
            m.d.sync += [self.context[name].eq(record[name]) for name in later]
        with m.If(self.ready):
            m.d.sync += self.context.output.eq(record.output)
            m.d.sync += [pending.eq(1), step.eq(self.step)]
        with m.Elif(self.begin):
            m.d.sync += [pending.eq(0), self.output.eq(record.output)]
        for n, context in enumerate(self.contexts):
            m.d.comb += [
                context.record.eq(record.encoders[n]),
                context.first.eq(step.first),
                context.parity.eq(step.parity),
            ]
        return m
