# SPDX-License-Identifier: Apache-2.0
"""A layer's values between the statistics, which need them all, and the normalisation."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from ...parts.memory import block_ram
from ...parts.pipeline import delay
from ...words import NORM_BITS, SLOTS
from .words import UNIT_WORDS_BITS

READ = 2
"""Cycles from a kept value's address to the value: read, registered."""


class Replay(wiring.Component):
    """Keep a layer's values, and give them again in the order in which they came.

    LATENCY: READ + 1 cycles from start to the first values. THROUGHPUT: `lanes` values a cycle.

    Parameters
    ----------
    depth : int
        Most values of a layer, each word's rounded up to whole cycles.
    unit_word : int
        Units of a unit-word.
    lanes : int
        Values a cycle; it divides unit_word.

    Members
    -------
    clear : in, 1 bit
        A layer begins.
    write, written : in, 1 bit, signed(16) by lane
        There are some of its values.
    start : in, 1 bit
        All are written; they are to be given, from the next cycle on.
    room : in, 1 bit
        The next values may be read.
    unit_words, tail, gates : in
        Those of `Gather`, held from start on.
    take : out, 1 bit
        Values are read, which come READ cycles later.
    valid, value : out, 1 bit, signed(16) by lane
    gate_ahead : out, range(SLOTS)
        Which word of its unit-word they belong to, a cycle before valid.
    gate : out, range(SLOTS)
        The same with valid.
    """

    clear: Signal
    write: Signal
    written: Any
    start: Signal
    room: Signal
    unit_words: Signal
    tail: Signal
    gates: Signal
    take: Signal
    valid: Signal
    value: Any
    gate_ahead: Signal
    gate: Signal

    def __init__(self, *, depth: int, unit_word: int, lanes: int = 1) -> None:
        self.lanes = lanes
        self.depth = depth
        self.unit_word = unit_word
        values = ArrayLayout(signed(16), lanes)
        super().__init__(
            {
                "clear": In(1),
                "write": In(1),
                "written": In(values),
                "start": In(1),
                "room": In(1),
                "unit_words": In(UNIT_WORDS_BITS),
                "tail": In(range(unit_word + 1)),
                "gates": In(range(SLOTS + 1)),
                "take": Out(1),
                "valid": Out(1),
                "value": Out(values),
                "gate_ahead": Out(range(SLOTS)),
                "gate": Out(range(SLOTS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self.lanes
        depth = max(-(-self.depth // lanes), 2)
        m.submodules.memory = memory = block_ram(16 * lanes, depth=depth)
        write, read = memory.write_port(), memory.read_port()
        at = Signal(NORM_BITS)
        runs, gate = Signal(), Signal(range(SLOTS))
        index, unit_word = Signal(range(self.unit_word + 1)), Signal(UNIT_WORDS_BITS)
        count, ends = Signal(range(self.unit_word + 1)), Signal()
        m.d.comb += [
            write.addr.eq(at),
            write.data.eq(Value.cast(self.written)),
            write.en.eq(self.write),
            read.addr.eq(at),
            ends.eq(unit_word == self.unit_words),
            count.eq(Mux(ends, self.tail, self.unit_word)),
            self.take.eq(runs & self.room),
            self.valid.eq(delay(m, self.take, READ, "there", reset=True)),
            Value.cast(self.value).eq(delay(m, read.data, READ - 1, "value")),
            self.gate_ahead.eq(delay(m, gate, READ - 1, "gate")),
            self.gate.eq(delay(m, self.gate_ahead, 1, "gate_late")),
        ]
        with m.If(self.write | self.take):
            m.d.sync += at.eq(at + 1)
        with m.If(self.take):
            m.d.sync += index.eq(index + lanes)
            with m.If(index >= count):
                m.d.sync += [index.eq(lanes), gate.eq(gate + 1)]
                with m.If(gate == self.gates - 1):
                    m.d.sync += [gate.eq(0), unit_word.eq(unit_word + 1), runs.eq(~ends)]
        with m.If(self.clear | self.start):
            m.d.sync += [
                at.eq(0),
                index.eq(lanes),
                gate.eq(0),
                unit_word.eq(1),
                runs.eq(self.start),
            ]
        return m
