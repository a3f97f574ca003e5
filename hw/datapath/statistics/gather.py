# SPDX-License-Identifier: Apache-2.0
"""A layer's gates on their way into the layer normalisation: some values after the others."""

from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from ...words import SLOTS
from .words import UNIT_WORDS_BITS


class Gather(wiring.Component):
    """Take a layer's gate words apart, and keep what is the same in all of them.

    Words of a unit-word come with their gates in one order, which is that of the first unit-word.

    LATENCY: 1. THROUGHPUT: `lanes` values a cycle, without a pause between words.

    Parameters
    ----------
    word : StructLayout
        A `cell_word`, of `unit_word` units.
    unit_word : int
    lanes : int
        Values a cycle; it divides unit_word.

    Members
    -------
    i : in, stream of word
    open : in, 1 bit
        Words may be taken, a layer's from its first one on; not in the cycle after `ends`.
    ends : out, 1 bit
        The layer's last word is taken.
    valid : out, 1 bit
        There are values, of neighbouring units; the number of the first one of all of the layer's,
        each word rounded up to whole cycles, is that of its gain and bias.
    value : out, signed(16) by lane
    mask : out, 1 bit by lane
        With valid: which of them there are, from the first one on.
    gate : out, range(SLOTS)
        Which word of its unit-word they come from.
    begins : out, 1 bit
        With valid: the gate's first values in the layer.
    final : out, 1 bit
        With valid: the gate's last values in the layer.
    closes : out, 1 bit
        With final: the gate is the layer's last one.
    index : out, range(unit_word)
        Of the first one's unit in the unit-word.
    base : out, word
        The layer's first word, of which all fields hold that do not change.
    state : out, state address
        Of the word's first unit.
    unit_words : out, unsigned
        How many the layer has.
    tail : out, range(unit_word + 1)
        Units of the last one.
    gates : out, range(SLOTS + 1)
        Words of a unit-word.
    order : out, range(SLOTS) by word
        Their slots.
    """

    i: stream.Interface
    open: Signal
    ends: Signal
    valid: Signal
    value: Any
    mask: Signal
    gate: Signal
    begins: Signal
    final: Signal
    closes: Signal
    index: Signal
    base: Any
    state: Signal
    unit_words: Signal
    tail: Signal
    gates: Signal
    order: Any

    def __init__(self, word: StructLayout, *, unit_word: int, lanes: int = 1) -> None:
        self.unit_word = unit_word
        self.lanes = lanes
        super().__init__(
            {
                "i": In(stream.Signature(word)),
                "open": In(1),
                "ends": Out(1),
                "valid": Out(1),
                "value": Out(ArrayLayout(signed(16), lanes)),
                "mask": Out(lanes),
                "gate": Out(range(SLOTS)),
                "begins": Out(1),
                "final": Out(1),
                "closes": Out(1),
                "index": Out(range(max(unit_word, 2))),
                "base": Out(word),
                "state": Out(word.members["state"]),
                "unit_words": Out(UNIT_WORDS_BITS),
                "tail": Out(range(unit_word + 1)),
                "gates": Out(range(SLOTS + 1)),
                "order": Out(range(SLOTS)).array(SLOTS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word: Any = self.i.payload
        left = Signal(range(self.unit_word + 1))  # values of the word that is held
        lanes = self.lanes
        values = Signal(16 * self.unit_word, reset_less=True)
        ended, begun, next_gate = Signal(), Signal(), Signal(range(SLOTS))
        takes, is_last = Signal(), Signal()
        m.d.comb += [
            is_last.eq(left <= lanes),
            self.i.ready.eq(self.open & is_last),
            takes.eq(self.i.valid & self.i.ready),
            self.ends.eq(takes & word.last & word.end),
            self.valid.eq(left != 0),
            Value.cast(self.value).eq(values),
            *(self.mask[n].eq(left > n) for n in range(lanes)),
            self.begins.eq(begun & (self.index == 0)),
            self.final.eq(self.valid & is_last & ended),
        ]
        with m.If(self.valid):
            m.d.sync += [
                left.eq(Mux(is_last, 0, left - lanes)),
                values.eq(values >> 16 * lanes),
                self.index.eq(self.index + lanes),
            ]
        with m.If(takes):
            m.d.sync += [
                left.eq(word.count),
                values.eq(word.p),
                self.index.eq(0),
                self.state.eq(word.state),
                self.gate.eq(next_gate),
                next_gate.eq(Mux(word.last, 0, next_gate + 1)),
                begun.eq(word.begin),
                ended.eq(word.end),
                self.closes.eq(word.last),
                self.tail.eq(word.count),
            ]
            with m.If(word.begin):
                m.d.sync += [
                    Array(self.order)[next_gate].eq(word.slot),
                    self.gates.eq(next_gate + 1),
                    self.unit_words.eq(0),
                ]
                with m.If(next_gate == 0):
                    m.d.sync += self.base.eq(word)
            with m.If(word.last):
                m.d.sync += self.unit_words.eq(Mux(word.begin, 0, self.unit_words) + 1)
        return m
