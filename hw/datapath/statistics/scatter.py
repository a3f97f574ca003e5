# SPDX-License-Identifier: Apache-2.0
"""A layer's gates on their way out of the layer normalisation: values become words again."""

from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from ...words import SLOTS
from .words import UNIT_WORDS_BITS


class Scatter(wiring.Component):
    """Put a layer's values together to the words that they were, with what `Gather` has kept.

    LATENCY: 1, from a word's last value. THROUGHPUT: `lanes` values a cycle.

    Parameters
    ----------
    word : StructLayout
        A `cell_word`, of `unit_word` units.
    unit_word : int
    lanes : int
        Values a cycle, of one word; it divides unit_word.

    Members
    -------
    start : in, 1 bit
        A layer begins; no value comes before the cycle after.
    i : in, stream of signed(16) by lane
    base, unit_words, tail, gates, order : in
        Those of `Gather`, held from start on.
    o : out, stream of word
    """

    start: Signal
    i: stream.Interface
    base: Any
    unit_words: Signal
    tail: Signal
    gates: Signal
    order: Any
    o: stream.Interface

    def __init__(self, word: StructLayout, *, unit_word: int, lanes: int = 1) -> None:
        self.unit_word = unit_word
        self.lanes = lanes
        super().__init__(
            {
                "start": In(1),
                "i": In(stream.Signature(ArrayLayout(signed(16), lanes))),
                "base": In(word),
                "unit_words": In(UNIT_WORDS_BITS),
                "tail": In(range(unit_word + 1)),
                "gates": In(range(SLOTS + 1)),
                "order": In(range(SLOTS)).array(SLOTS),
                "o": Out(stream.Signature(word)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word: Any = self.o.payload
        full, index = Signal(), Signal(range(max(self.unit_word, 2)))
        gate, unit_word = Signal(range(SLOTS)), Signal(UNIT_WORDS_BITS)
        values = [Signal(signed(16), name=f"value_{n}") for n in range(self.unit_word)]
        step = {name: Signal.like(word[name], name=name) for name in _steps(word)}
        ends, count = Signal(), Signal(range(self.unit_word + 1))
        m.d.comb += [
            ends.eq(unit_word == self.unit_words - 1),
            count.eq(Mux(ends, self.tail, self.unit_word)),
            self.i.ready.eq(~full | self.o.ready),
            word.eq(self.base),
            *(word.p[n].eq(value) for n, value in enumerate(values)),
            *(word[name].eq(value) for name, value in step.items()),
            word.slot.eq(Array(self.order)[gate]),
            word.last.eq(gate == self.gates - 1),
            word.count.eq(count),
            word.begin.eq(unit_word == 0),
            word.end.eq(ends),
            self.o.valid.eq(full),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [full.eq(0), gate.eq(Mux(word.last, 0, gate + 1))]
            with m.If(word.last):
                m.d.sync += unit_word.eq(unit_word + 1)
                m.d.sync += [value.eq(value + self.unit_word) for value in step.values()]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += index.eq(index + self.lanes)
            for first in range(0, self.unit_word, self.lanes):
                with m.If(index == first):
                    m.d.sync += [values[first + n].eq(self.i.payload[n]) for n in range(self.lanes)]
            # The word's count is the next one's only where that is of another unit-word.
            word_count = self._count(m, count, ends, unit_word)
            with m.If(index + self.lanes >= word_count):
                m.d.sync += [index.eq(0), full.eq(1)]
        with m.If(self.start):
            m.d.sync += [gate.eq(0), unit_word.eq(0), index.eq(0)]
            m.d.sync += [value.eq(self.base[name]) for name, value in step.items()]
        return m

    def _count(self, m: Module, count: Signal, ends: Signal, unit_word: Signal) -> Any:
        """Of the word whose values come, which may be the one behind that which goes out."""
        goes = self.o.valid & self.o.ready & self.o.payload.last
        next_ends = unit_word + 2 == self.unit_words
        return Mux(goes, Mux(next_ends, self.tail, self.unit_word), count)


def _steps(word: Any) -> list[str]:
    """What rises from unit-word to unit-word."""
    return [name for name in ("unit", "state", "skip") if name in word.shape().members]
