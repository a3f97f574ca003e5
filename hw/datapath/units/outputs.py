# SPDX-License-Identifier: Apache-2.0
"""The last layer's units on their way out: a queue in which room is reserved ahead."""

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...cells.catalogue import reads, takes_turns
from ...config import AcceleratorConfig
from ...parts.queue import Credits, Queue
from ...parts.widths import Narrow, parts
from .words import OutputWord, cell_output, output_word

OUTPUT_WORDS = 128
"""Least outputs that may wait for their reader before the network has to."""

UNIT_WORDS = 12
"""Unit-words whose outputs fit at least: those on their way through the cells, and two ahead."""


def output_words(config: AcceleratorConfig) -> int:
    """Outputs that the queue holds.

    A layer whose gates are normalised, or whose units take turns, reserves places for all its units
    before the first one comes.
    """
    words = max(OUTPUT_WORDS, UNIT_WORDS * config.unit_word)
    if reads(config.cells, "norm") or takes_turns(config.cells):
        words = max(words, config.states + 3 * config.unit_word)
    return words


class Outputs(wiring.Component):
    """Units from the cells, `cell_units` at a time, to beats of `output_elements`.

    The cells never wait, so places in the queue are reserved before a unit-word is on its way to
    them; room is known a cycle late where it is used, so it stands for two unit-words.

    LATENCY: three cycles, as the queue is in block RAM. THROUGHPUT: a beat a cycle.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    i : in, stream of `cell_output(cell_units)`, always ready
        Units of the last layer, for which places are reserved.
    o : out, stream of `output_word(output_elements)`
        The output stream.
    room : out, 1 bit
        The outputs of at least two unit-words fit into the queue, beside all that is reserved.
    take : in, 1 bit
        Reserves places for the outputs of `units` units: of one unit-word, before its gates are on
        their way to the cell unit.
    units : in, range(unit_word + 1)
        With take: how many.
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
            # Beats up to that of the mask's last unit are there.
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
