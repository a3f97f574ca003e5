# SPDX-License-Identifier: Apache-2.0
"""From sums to parts of pre-activations: each row's own scale and bias."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...config import AcceleratorConfig
from ...parts.arithmetic import add_halves
from ...parts.memory import MemoryWrite, block_ram, connect_write
from ...parts.pipeline import delay
from .stages import SCALE, rescale_cycles, rescaler
from .words import parts_layout, row_word, sums_layout


class Scale(wiring.Component):
    """part = rshr(M * mult, shift) + bias, for each row of a D-word.

    A flushed D-word comes with M = 0 and gets no bias: its part is 0.

    LATENCY: `rescale_cycles` + 1 cycles, from stage SCALE to stage COLLECT. THROUGHPUT: a D-word
    a cycle.

    Parameters
    ----------
    config : AcceleratorConfig
    init : list of int
        Initial row parameters, as words.

    Members
    -------
    row : in, range(row_words)
        Address of the parameters of the D-word in stage TURN, SCALE cycles before it comes.
    i : in, stream of `row_word(sums)`, always ready
        M, in stage SCALE.
    o : out, stream of `row_word(parts)`, always ready
    load : in, `MemoryWrite(row_words, ..)`
        Writes row parameters, while nothing is under way.
    """

    def __init__(self, config: AcceleratorConfig, *, init: list[int]) -> None:
        self._config = config
        self._init = init
        sums = row_word(config, sums_layout(config))
        parts = row_word(config, parts_layout(config))
        self._layout = config.row_parameters
        load = MemoryWrite(config.row_words, self._layout.size)
        super().__init__(
            {
                "row": In(range(max(config.row_words, 2))),
                "i": In(stream.Signature(sums, always_ready=True)),
                "o": Out(stream.Signature(parts, always_ready=True)),
                "load": In(load),
            }
        )

    row: Signal
    i: stream.Interface
    o: stream.Interface
    load: Any

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, layout = self._config, self._layout
        memory = block_ram(layout.size, depth=config.row_words, init=self._init)
        m.submodules.parameters = memory
        read = memory.read_port()
        connect_write(m, self.load, memory.write_port())
        m.d.comb += read.addr.eq(self.row)
        # Two registers between the memory and the multipliers, which lie far apart.
        late = delay(m, read.data, SCALE - 1, "parameters")
        parameters: Any = data.View(layout, late)

        tag = self.i.payload.tag
        cycles = rescale_cycles(config)
        part: Any = Signal(parts_layout(config), reset_less=True)
        m.d.sync += [part[n].eq(value) for n, value in enumerate(self._parts(m, parameters))]
        m.d.comb += [
            self.o.valid.eq(delay(m, self.i.valid, cycles + 1, "valid", reset=True)),
            self.o.payload.tag.eq(delay(m, tag, cycles + 1, "tag")),
            self.o.payload.values.eq(part),
        ]
        return m

    def _parts(self, m: Module, parameters: Any) -> list[Value]:
        """Each row's part, in front of the last registers."""
        config, tag, cycles = self._config, self.i.payload.tag, rescale_cycles(self._config)
        parts = []
        for n in range(config.unit_word):
            m.submodules[f"rescale_{n}"] = rescale = rescaler(config)
            bias: Value = Mux(tag.flush, 0, parameters[n].bias)
            m.d.comb += [
                rescale.value.eq(self.i.payload.values[n]),
                rescale.mult.eq(parameters[n].mult),
                rescale.shift.eq(tag.shift),
            ]
            parts.append(add_halves(delay(m, bias, cycles, f"bias_{n}"), rescale.o))
        return parts
