# SPDX-License-Identifier: Apache-2.0
"""The output-stationary MAC array: one weight word and one delta in per cycle, R sums per group.

A lane multiplies a digit of a weight with the delta and keeps the sum in a register; how, is its
kind: with a multiplier (`multiply`), or term by term (`shift_add`). A group's last beat moves all
sums to registers that hold them while D of them leave per cycle, and the next group is already
being summed. Where a design knows several weight widths, the narrowest is a lane's, and
a wider weight lies in several lanes, D rows' top digits first; their sums are put together behind
the drain, once per group and not once per product: total = total * 2**digit_bits + digit sum.
"""

from collections.abc import Callable, Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...parts.memory import of_macros
from ...parts.pipeline import select
from ...words import WORD_COUNT_BITS
from .block import LaneBlock
from .multiplier import multiplier_lanes
from .shift_add import shift_add_lanes
from .words import beat_tag, delta_shape

LANES: dict[str, Callable[[LaneBlock], None]] = {
    "multiplier": multiplier_lanes,
    "shift_add": shift_add_lanes,
}
"""What builds some lanes of each of LANE_KINDS; `words.delta_shape` says what they take."""


def array_latency(widths: Sequence[int]) -> int:
    """As `MacArray.latency`, from the widths of weights, or the digits that each of them has."""
    return 4 + (len(widths) > 1)


class MacArray(wiring.Component):
    """Lanes of one kind, their drain, and what puts digits together.

    LATENCY: `latency` cycles from a group's last beat to its first D-word. THROUGHPUT: one beat a
    cycle, never stalls. The caller keeps the last beats of two groups as many cycles apart as the
    first of them has D-words times digits to drain.

    Parameters
    ----------
    lanes : int
        Products per cycle.
    weight_bits : tuple of int
        Widths of weights, rising; the first is a lane's.
    delta_bits : int
        Width of a delta.
    drain_rows : int
        D, sums that leave a cycle; divides the lanes by the most digits.
    lane_bits, sum_bits : int
        Widths of a lane's sum, and of a row's.
    lane_kind : str
        One of `LANE_KINDS`.

    Members
    -------
    valid : in, 1 bit
        A beat: an event's weights of one group. An empty group is one beat with d = 0, or without
        a term.
    weights : in, a digit of weight_bits[0] bits for each lane
    tag : in, `beat_tag`
        The delta, or a term of it, and the group's marks.
    o : out, stream of D sums of sum_bits, always ready
        D-words: a group's sums, word after word.
    """

    def __init__(
        self,
        *,
        lanes: int,
        weight_bits: tuple[int, ...],
        delta_bits: int,
        drain_rows: int,
        lane_bits: int,
        sum_bits: int,
        lane_kind: str = "multiplier",
    ) -> None:
        self._lanes = lanes
        self._digit_bits = weight_bits[0]
        self._digits = [width // weight_bits[0] for width in weight_bits]
        self._tag = beat_tag(delta_shape(lane_kind, delta_bits))
        self._build = LANES[lane_kind]
        self._rows = drain_rows
        self._lane_bits = lane_bits
        self._sum_bits = sum_bits
        super().__init__(
            {
                "valid": In(1),
                "weights": In(data.ArrayLayout(unsigned(self._digit_bits), lanes)),
                "tag": In(self._tag),
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

    @property
    def latency(self) -> int:
        """Cycles from a group's last beat to its first D-word, where a weight is one digit."""
        return array_latency(self._digits)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        tag: Any = Signal(self._tag)
        later: list[Any] = [Signal(self._tag, name=f"tag_{n}") for n in range(2)]
        valid, load = Signal(2), Signal(2)
        m.d.sync += [
            tag.eq(self.tag),
            later[0].eq(tag),
            later[1].eq(later[0]),
            valid.eq(Cat(self.valid, valid[0])),
            load.eq(Cat(valid[0] & tag.last, load[0])),
        ]

        sums: Any = Signal(data.ArrayLayout(signed(self._lane_bits), self._lanes))
        for n in range(0, self._lanes, self._rows):
            some = range(n, n + self._rows)
            self._build(
                LaneBlock(
                    m=m,
                    name=n,
                    totals=[sums[k] for k in some],
                    digits=[Value.cast(self.weights[k]) for k in some],
                    top=self._is_top(n // self._rows, self.tag.digits_log2),
                    coming=self.tag,
                    now=tag,
                    later=later[0],
                    add=valid[1],
                    shared=not of_macros(platform),
                )
            )
        self._drain(m, Value.cast(sums), load[1], later[1])
        return m

    def _drain(self, m: Module, sums: Value, load: Value, tag: data.View) -> None:
        """D-words of a group, from the cycle after `load` on, which the sums are there in."""
        step = self._rows * self._lane_bits
        drained: Any = Signal(data.ArrayLayout(signed(self._lane_bits), self._rows))
        held = Signal(len(sums) - step)
        words = [sums[:step], *(held[at : at + step] for at in range(0, len(held), step))]
        # The D-word that is next; 0, what is being summed, whenever a group may be loaded.
        index = Signal(range(len(words)))
        left, some = Signal(WORD_COUNT_BITS + 1), Signal()  # some: left != 0
        digits = Signal(2)
        count = Signal.like(left)
        m.d.comb += count.eq(tag.words << tag.digits_log2)
        with m.If(load):
            m.d.sync += [
                held.eq(sums[step:]),
                digits.eq(tag.digits_log2),
                left.eq(count),
                some.eq(1),
                index.eq(count > 1),
            ]
        with m.Elif(some):
            m.d.sync += [
                left.eq(left - 1),
                some.eq(left != 1),
                index.eq(Mux(left <= 2, 0, index + 1)),
            ]
        with m.If(load | some):
            m.d.sync += Value.cast(drained).eq(select(words, index))
        self._join(m, drained, some, digits)

    def _is_top(self, block: int, digits: Value) -> Value | None:
        """Whether a block of D lanes holds top digits, weights having 2**digits; None: always."""
        tops = [digits == count.bit_length() - 1 for count in self._digits if block % count == 0]
        return None if len(tops) == len(self._digits) else Cat(*tops).any()

    def _join(self, m: Module, drained: Any, some: Value, digits: Value) -> None:
        """D-words out: as they drain, or put together from their digits."""
        if self._digits == [1]:
            m.d.comb += self.o.valid.eq(some)
            m.d.comb += [self.o.payload[n].eq(drained[n]) for n in range(self._rows)]
            return
        index = Signal(3)
        last = (index + 1) >> digits != 0
        m.d.sync += self.o.valid.eq(some & last)
        with m.If(some):
            m.d.sync += index.eq(Mux(last, 0, index + 1))
            for n in range(self._rows):
                total = self.o.payload[n]
                before = Mux(index == 0, 0, total << self._digit_bits)
                m.d.sync += total.eq(before + drained[n])
