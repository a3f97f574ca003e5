# SPDX-License-Identifier: Apache-2.0
"""A layer's values between the statistics, which need them all, and the normalisation."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...parts.memory import block_ram
from ...parts.pipeline import delay
from ...words import NORM_BITS, SLOTS
from .words import UNIT_WORDS_BITS

READ = 2
"""Cycles from a kept value's address to the value: read, registered."""


class Replay(wiring.Component):
    """Keep a layer's values, and give them again in the order in which they came.

    LATENCY: READ + 1 cycles from start to the first value. THROUGHPUT: a value a cycle.

    Parameters
    ----------
    depth : int
        Most values of a layer.
    unit_word : int
        Units of a unit-word.

    Members
    -------
    clear : in, 1 bit
        A layer begins.
    write, written : in, 1 bit, signed(16)
        There is one of its values.
    start : in, 1 bit
        All are written; they are to be given, from the next cycle on.
    room : in, 1 bit
        The next value may be read.
    unit_words, tail, gates : in
        Those of `Gather`, held from start on.
    take : out, 1 bit
        A value is read, which comes READ cycles later.
    valid, value : out, 1 bit, signed(16)
    gate : out, range(SLOTS)
        Which word of its unit-word the value belongs to.
    """

    clear: Signal
    write: Signal
    written: Signal
    start: Signal
    room: Signal
    unit_words: Signal
    tail: Signal
    gates: Signal
    take: Signal
    valid: Signal
    value: Signal
    gate: Signal

    def __init__(self, *, depth: int, unit_word: int) -> None:
        self.depth = depth
        self.unit_word = unit_word
        super().__init__(
            {
                "clear": In(1),
                "write": In(1),
                "written": In(signed(16)),
                "start": In(1),
                "room": In(1),
                "unit_words": In(UNIT_WORDS_BITS),
                "tail": In(range(unit_word + 1)),
                "gates": In(range(SLOTS + 1)),
                "take": Out(1),
                "valid": Out(1),
                "value": Out(signed(16)),
                "gate": Out(range(SLOTS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = block_ram(signed(16), depth=max(self.depth, 2))
        write, read = memory.write_port(), memory.read_port()
        at = Signal(NORM_BITS)
        runs, gate = Signal(), Signal(range(SLOTS))
        index, unit_word = Signal(range(self.unit_word + 1)), Signal(UNIT_WORDS_BITS)
        count, ends = Signal(range(self.unit_word + 1)), Signal()
        m.d.comb += [
            write.addr.eq(at),
            write.data.eq(self.written),
            write.en.eq(self.write),
            read.addr.eq(at),
            ends.eq(unit_word == self.unit_words),
            count.eq(Mux(ends, self.tail, self.unit_word)),
            self.take.eq(runs & self.room),
            self.valid.eq(delay(m, self.take, READ, "there", reset=True)),
            self.value.eq(delay(m, read.data, READ - 1, "value")),
            self.gate.eq(delay(m, gate, READ, "gate")),
        ]
        with m.If(self.write | self.take):
            m.d.sync += at.eq(at + 1)
        with m.If(self.take):
            m.d.sync += index.eq(index + 1)
            with m.If(index == count):
                m.d.sync += [index.eq(1), gate.eq(gate + 1)]
                with m.If(gate == self.gates - 1):
                    m.d.sync += [gate.eq(0), unit_word.eq(unit_word + 1), runs.eq(~ends)]
        with m.If(self.clear | self.start):
            m.d.sync += [at.eq(0), index.eq(1), gate.eq(0), unit_word.eq(1), runs.eq(self.start)]
        return m
