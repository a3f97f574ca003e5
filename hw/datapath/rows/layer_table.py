# SPDX-License-Identifier: Apache-2.0
"""Which layer it is: its record for the accumulators, the cell unit and the state encoders."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...parts.memory import MemoryWrite, block_ram, connect_write
from ...words import LAYER_BITS, StepTag, layer_record
from ..detect.words import Context
from .words import LayerContext

LOOK_UP = 2
"""Cycles from a layer's number to its record: a layer can be ready so many cycles later."""


class LayerTable(wiring.Component):
    """The records of all layers, looked up for one after the other.

    The accumulators begin a layer while units of the one before are still on their way. The new
    record is held until the encoders are through with those, and begin:

        cycle      0      1      2      3      n      n + 1
        layer      B                    C
        start                    high
        ready                    high
        context                         B ..
        busy       high   high   high   high   low
        begin                                  high
        contexts                        B ..   B
        output                                        B ..

    LATENCY: `LOOK_UP` cycles from `layer` to `ready`, where nothing else is waited for.

    Parameters
    ----------
    layers : int
        Depth of the table.
    encoders : int
        State encoders.
    init : sequence of int
        Initial records, as words.

    Members
    -------
    layer : in, 5 bits
        The layer that is next; known as early as possible, for the look-up.
    step : in, `StepTag`
        With start: the step in which it is.
    start : in, 1 bit
        The accumulators want to begin the layer.
    ready : out, 1 bit
        With start: they may.
    context : out, `LayerContext`
        What the cell unit must know of it: `output` from the cycle after ready on, the other
        fields a cycle later.
    busy : in, 1 bit
        An encoder is not through with the layer before.
    begin : out, 1 bit
        The encoders begin the layer.
    contexts : out, `Context` for each encoder
        With begin.
    output : out, 1 bit
        The layer whose units leave the cells is the last: they go out.
    load : in, `MemoryWrite(layers, ..)`
        Writes the records.
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

        # The record is that of two cycles ago, unless it is held for the encoders. The layer must
        # have been the same since, and the record not held.
        record: Any = Signal(self._layout, reset_less=True)
        held, free = Signal(), Signal()
        asked, same = Signal.like(self.layer), Signal()
        m.d.sync += [
            free.eq(~held),
            asked.eq(self.layer),
            same.eq(self.layer == asked),
        ]
        with m.If(~held):
            m.d.sync += Value.cast(record).eq(read.data)
        m.d.comb += [
            self.ready.eq(self.start & same & (self.layer == asked) & free & ~held),
            self.begin.eq(held & ~self.busy),
        ]

        # `output` is asked for at once; the other fields have as long as the rescalers take.
        step: Any = Signal(StepTag)
        taken = Signal()
        taken_layer = Signal.like(self.layer)
        m.d.sync += [taken.eq(self.ready), taken_layer.eq(self.layer)]
        with m.If(taken):
            later = [name for name in LayerContext.members if name not in ("output", "layer")]
            m.d.sync += [self.context[name].eq(record[name]) for name in later]
            m.d.sync += self.context.layer.eq(taken_layer)
        with m.If(self.ready):
            m.d.sync += self.context.output.eq(record.output)
            m.d.sync += [held.eq(1), step.eq(self.step)]
        with m.Elif(self.begin):
            m.d.sync += [held.eq(0), self.output.eq(record.output)]
        for n, context in enumerate(self.contexts):
            m.d.comb += [
                context.record.eq(record.encoders[n]),
                context.first.eq(step.first),
                context.parity.eq(step.parity),
            ]
        return m
