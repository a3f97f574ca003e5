# SPDX-License-Identifier: Apache-2.0
"""From parts to pre-activations: adds up what the paths bring to a gate, and hands it on."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...cells.catalogue import reads
from ...config import AcceleratorConfig
from ...parts.arithmetic import sat16
from ...parts.pipeline import delay
from ..units.words import gate_word
from .words import LayerContext, parts_layout, row_word


class Gates(wiring.Component):
    """Collects the parts of a chunk's gates; with the last path's, p = sat16(their sum) goes out.

    LATENCY: a cycle, from stage COLLECT to stage COMPLETE. THROUGHPUT: a D-word a cycle, also of
    the same gate.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    i : in, stream of `row_word(parts)`, always ready
        Parts, in stage COLLECT; those of `sums_only` leave no trace.
    context : in, `LayerContext`
        Of the layer whose gates go out.
    o : out, stream of `cell_word`, always ready
        Gates that are complete.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        parts = row_word(config, parts_layout(config))
        self._word = gate_word(config)
        super().__init__(
            {
                "i": In(stream.Signature(parts, always_ready=True)),
                "context": In(LayerContext),
                "o": Out(stream.Signature(self._word, always_ready=True)),
            }
        )

    i: stream.Interface
    context: data.View
    o: stream.Interface

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, rows = self._config, range(self._config.unit_word)
        layout = parts_layout(config)
        tag, part = self.i.payload.tag, self.i.payload.values

        # COLLECT: read, add and write in one cycle, so that the same gate may follow at once.
        collected: Any = Memory(shape=layout, depth=config.slots * config.chunk_words, init=[])
        m.submodules.collected = collected
        read, write = collected.read_port(domain="comb"), collected.write_port()
        both: Any = Signal(layout)
        total: Any = Signal(layout, reset_less=True)
        m.d.comb += [
            read.addr.eq(Cat(tag.slot, tag.unit_word)),
            write.addr.eq(read.addr),
            write.data.eq(both),
            write.en.eq(self.i.valid & ~tag.sums_only),
            *(both[n].eq(Mux(tag.init, 0, read.data[n]) + part[n]) for n in rows),
        ]
        m.d.sync += total.eq(both)

        # COMPLETE: saturate, and on to the cell unit.
        has_constants = reads(config.cells, "constants")  # which are the layer's
        begins_layer = Signal()
        m.d.sync += begins_layer.eq(tag.unit == 0)
        done: Any = delay(m, tag, 1, "tag")
        valid = delay(m, self.i.valid, 1, "valid", reset=True)
        word: Any = self.o.payload
        m.d.comb += [
            self.o.valid.eq(valid & done.completes_gate),
            word.slot.eq(done.slot),
            word.last.eq(done.completes_unit_word),
            word.unit.eq(done.unit),
            word.count.eq(done.count),
            word.first.eq(done.first_step),
            word.begin.eq(begins_layer),
            word.end.eq(done.ends_layer),
            word.state.eq(self.context.state_base + done.unit),
            *(
                word[name].eq(self.context[name])
                for name in LayerContext.members
                if name in self._word.members and (name != "layer" or has_constants)
            ),
            *(word.p[n].eq(sat16(total[n])) for n in rows),
        ]
        if "skip" in self._word.members:
            m.d.comb += word.skip.eq(self.context.skip_base + done.unit)
        return m
