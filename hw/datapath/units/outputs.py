# SPDX-License-Identifier: Apache-2.0
"""The last layer's units on their way out: a queue in which room is reserved ahead."""

from typing import Any

from amaranth.hdl import Module, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...cells.catalogue import cell_output
from ...config import AcceleratorConfig
from ...parts.queue import Credits, Queue
from ...parts.widths import Narrow, parts

OutputWord = data.StructLayout({"value": signed(16), "last": unsigned(1)})
"""One word of the output stream; `last` ends a frame."""

OUTPUT_WORDS = 128
"""Outputs that may wait for their reader before the network does, at the least."""

UNIT_WORDS = 12
"""Unit-words whose outputs have room: those on their way through the cells, and two ahead."""


def output_word(elements: int) -> data.StructLayout:
    """`OutputWord` for several values a beat, those behind a frame's last one undefined."""
    if elements == 1:
        return OutputWord
    return data.StructLayout({"value": data.ArrayLayout(signed(16), elements), "last": unsigned(1)})


def output_words(config: AcceleratorConfig) -> int:
    """Outputs that the queue holds."""
    return max(OUTPUT_WORDS, UNIT_WORDS * config.unit_word)


class Outputs(wiring.Component):
    """Units from the cells, `cell_units` at a time, to beats of `output_elements`.

    Members
    -------
    i: units of the last layer; there must be room; o: beats
    room: for the outputs of two unit-words; take, units: reserves it for so many units
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(cell_output(config.cell_units), always_ready=True)),
                "o": Out(stream.Signature(output_word(config.output_elements))),
                "room": Out(1),
                "take": In(1),
                "units": In(range(config.unit_word + 1)),
            }
        )

    i: stream.Interface
    o: stream.Interface
    room: Signal
    take: Signal
    units: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, unit = self._config, self.i.payload
        together, elements = config.cell_units, config.output_elements
        beats = together // elements
        shape = OutputWord if together == 1 else parts(16 * elements, beats)
        depth = output_words(config) // together
        m.submodules.queue = queue = Queue(shape, depth=depth, buffered=True)
        m.submodules.credits = credits = Credits(total=depth, need=2 * config.drain_rows)
        word: Any = queue.i.payload
        if together == 1:
            m.d.comb += word.value.eq(unit.h)
            wiring.connect(m, queue.o, wiring.flipped(self.o))
        else:
            # The beats that hold a unit: those up to the last one of the mask.
            m.submodules.narrow = narrow = Narrow(
                self.o.payload.shape(), width=16 * elements, count=beats
            )
            wiring.connect(m, queue.o, narrow.i)
            wiring.connect(m, narrow.o, wiring.flipped(self.o))
            m.d.comb += Value.cast(word.parts).eq(Value.cast(unit.h))
            for beat in range(1, beats):
                with m.If(unit.mask[beat * elements]):
                    m.d.comb += word.used.eq(beat)
        m.d.comb += [
            queue.i.valid.eq(self.i.valid),
            word.last.eq(unit.end),
            credits.take.eq(self.take),
            credits.amount.eq((self.units + together - 1) >> (together.bit_length() - 1)),
            credits.give.eq(queue.o.valid & queue.o.ready),
            self.room.eq(credits.room),
        ]
        return m
