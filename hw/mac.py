# SPDX-License-Identifier: Apache-2.0
"""The output-stationary MAC array: one weight word and one delta in per cycle, R sums per group.

Each lane multiplies its weight with the delta and keeps its row's sum in a register. A group's last
beat moves all sums to the drain register, from which D rows leave per cycle while the next group
is already being summed.
"""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .layouts import WORD_COUNT_BITS


def beat_tag(delta_bits: int) -> data.StructLayout:
    """What comes with a weight word: the delta, and where the group starts and ends."""
    return data.StructLayout(
        {
            "d": signed(delta_bits),
            "first": unsigned(1),
            "last": unsigned(1),
            "words": unsigned(WORD_COUNT_BITS),  # D-words to drain after the last beat
        }
    )


class MacArray(wiring.Component):
    """R multiplier lanes and their drain.

    THROUGHPUT: one beat a cycle, never stalls. The caller keeps the last beats of two groups
    as many cycles apart as the first of them has D-words to drain.

    Parameters
    ----------
    lanes, weight_bits, delta_bits, drain_rows, sum_bits

    Members
    -------
    valid, weights, tag: one beat; an empty group is one beat with d = 0
    o: D sums of a group, word after word
    """

    LATENCY = 4
    """From a group's last beat to its first D-word."""

    def __init__(
        self, *, lanes: int, weight_bits: int, delta_bits: int, drain_rows: int, sum_bits: int
    ) -> None:
        self._lanes = lanes
        self._weight_bits = weight_bits
        self._delta_bits = delta_bits
        self._rows = drain_rows
        self._sum_bits = sum_bits
        super().__init__(
            {
                "valid": In(1),
                "weights": In(data.ArrayLayout(signed(weight_bits), lanes)),
                "tag": In(beat_tag(delta_bits)),
                "o": Out(
                    stream.Signature(
                        data.ArrayLayout(signed(sum_bits), drain_rows), always_ready=True
                    )
                ),
            }
        )

    valid: Signal
    weights: data.View
    tag: data.View
    o: stream.Interface

    def elaborate(self, platform: object) -> Module:
        m = Module()
        tag: Any = Signal(beat_tag(self._delta_bits))
        first, valid, load = Signal(), Signal(2), Signal(2)
        words = [Signal(WORD_COUNT_BITS, name=f"words_{n}") for n in range(2)]
        m.d.sync += [
            tag.eq(self.tag),
            valid.eq(Cat(self.valid, valid[0])),
            first.eq(tag.first),
            load.eq(Cat(valid[0] & tag.last, load[0])),
            words[0].eq(tag.words),
            words[1].eq(words[0]),
        ]

        sums: Any = Signal(data.ArrayLayout(signed(self._sum_bits), self._lanes))
        for n in range(self._lanes):
            weight = Signal(signed(self._weight_bits), name=f"weight_{n}")
            product = Signal(signed(self._weight_bits + self._delta_bits), name=f"product_{n}")
            m.d.sync += [weight.eq(self.weights[n]), product.eq(weight * tag.d)]
            with m.If(valid[1]):
                m.d.sync += sums[n].eq(Mux(first, 0, sums[n]) + product)

        drain: Any = Signal(data.ArrayLayout(signed(self._sum_bits), self._lanes))
        left = Signal(WORD_COUNT_BITS)
        with m.If(load[1]):
            m.d.sync += [drain.eq(sums), left.eq(words[1])]
        with m.Elif(self.o.valid):
            step = self._rows * self._sum_bits
            m.d.sync += [Value.cast(drain).eq(Value.cast(drain) >> step), left.eq(left - 1)]
        m.d.comb += [
            self.o.valid.eq(left != 0),
            Value.cast(self.o.payload).eq(Value.cast(drain)[: self._rows * self._sum_bits]),
        ]
        return m
