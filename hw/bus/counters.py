# SPDX-License-Identifier: Apache-2.0
"""Wide counters that mostly lie in a memory: few flip-flops, and no long carry where it counts."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from ..parts.memory import block_ram

COUNT_BITS = 64
"""Width of every counter."""

_PHASES = 5
"""Cycles of a visit: the memory, its register, what is added, the sum, the write."""


_FIRST_STEP = 4
"""Low parts of which one is chosen in a cycle, before one of those is."""


class Counters(wiring.Component):
    """Adds an amount to each counter in every cycle; one can be read at a time.

    A counter's lowest bits count in flip-flops, of which the topmost is also the lowest of those in
    the memory. All counters are visited in turn; where the two differ, the low part has overflowed
    once since the last visit, and the memory's part is one more. What is read is visited at once.

    LATENCY: a read takes up to 3 visits of 5 cycles; after a reset or a clear, once through all.

    Parameters
    ----------
    amounts : sequence of int
        Width of each counter's amount, unsigned.

    Members
    -------
    amount_N : in, of the Nth width
        Added to counter N in every cycle.
    clear : in, 1 bit, pulse
        All counters are 0 in the next cycle.
    ask : in, 1 bit, pulse
        Read the counter `index`.
    index : in, range(counters)
        Which one; it holds until `valid`.
    valid : out, 1 bit, pulse
        With the answer.
    value : out, 64 bits
        What the counter held in some cycle since it was asked for.
    """

    clear: Signal
    ask: Signal
    index: Signal
    valid: Signal
    value: Signal

    def __init__(self, amounts: Sequence[int]) -> None:
        self._widths = tuple(amounts)
        super().__init__(
            {
                **{f"amount_{n}": In(width) for n, width in enumerate(amounts)},
                "clear": In(1),
                "ask": In(1),
                "index": In(range(max(len(amounts), 2))),
                "valid": Out(1),
                "value": Out(COUNT_BITS),
            }
        )

    def amount(self, n: int) -> Signal:
        """What counter `n` adds in this cycle."""
        signal: Signal = getattr(self, f"amount_{n}")
        return signal

    @property
    def _low_bits(self) -> list[int]:
        """How many bits each counter has below its part in the memory."""
        interval = 2 * _PHASES * (len(self._widths) + 1)  # reads may take every other visit
        return [bits_for(interval * ((1 << width) - 1)) for width in self._widths]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = len(self._widths)
        lows = [Signal(bits + 1, name=f"low_{n}") for n, bits in enumerate(self._low_bits)]
        for n, low in enumerate(lows):
            m.d.sync += low.eq(Mux(self.clear, 0, low + self.amount(n)))

        # Whose turn it is. After a clear the memory's words are stale until they are visited.
        turn, visited = Signal(range(max(count, 2))), Signal(range(max(count, 2)))
        phase, reading, pending, stale = Signal(range(_PHASES)), Signal(), Signal(), Signal(init=1)
        done = phase == _PHASES - 1
        m.d.sync += phase.eq(Mux(done, 0, phase + 1))
        with m.If(self.ask):
            m.d.sync += pending.eq(1)
        with m.If(done):
            with m.If(reading):
                m.d.sync += [reading.eq(0), visited.eq(turn)]
            with m.Else():
                last = turn == count - 1
                following = Mux(last, 0, turn + 1)
                m.d.sync += [turn.eq(following), visited.eq(following), stale.eq(stale & ~last)]
                with m.If(pending & ~stale):
                    m.d.sync += [reading.eq(1), pending.eq(0), visited.eq(self.index)]
        with m.If(self.clear):
            m.d.sync += [phase.eq(0), reading.eq(0), turn.eq(0), visited.eq(0), stale.eq(1)]
            m.d.sync += pending.eq(pending | reading | self.ask)

        # The visit: its word, its low part, and the one that the word may lack.
        words: Any = block_ram(COUNT_BITS, depth=count, force=True)
        m.submodules.words = words
        read, write = words.read_port(), words.write_port()
        word = Signal(COUNT_BITS, reset_less=True)
        sampled = Signal(max(self._low_bits), reset_less=True)
        top, base = Signal(reset_less=True), Signal(COUNT_BITS)
        m.d.comb += [read.addr.eq(visited), write.addr.eq(visited)]
        m.d.sync += word.eq(read.data)
        # Out of all low parts in two steps.
        longest = max(self._low_bits)
        wide = [Cat(low[:-1], Const(0, longest + 1 - len(low)), low[-1]) for low in lows]
        some = [
            Signal(longest + 1, name=f"some_{n}", reset_less=True)
            for n in range(-(-count // _FIRST_STEP))
        ]
        for n, part in enumerate(some):
            group = wide[n * _FIRST_STEP :][:_FIRST_STEP]
            m.d.sync += part.eq(Array(group)[visited[: _FIRST_STEP.bit_length() - 1]])
        m.d.sync += Cat(sampled, top).eq(Array(some)[visited[_FIRST_STEP.bit_length() - 1 :]])
        augend = Signal(COUNT_BITS, reset_less=True)
        added = Signal(COUNT_BITS, reset_less=True)
        m.d.comb += base.eq(Mux(stale, 0, word))
        with m.Switch(visited):
            for n, bits in enumerate(self._low_bits):
                with m.Case(n):
                    m.d.sync += [
                        augend.eq(base[bits:] << bits),
                        added.eq((base[bits] ^ top) << bits | sampled[:bits]),
                    ]
        m.d.sync += self.value.eq(augend + added)
        m.d.comb += write.data.eq(self.value)  # its low bits are never read
        m.d.comb += [write.en.eq(done & ~self.clear), self.valid.eq(done & reading & ~self.clear)]
        return m


class NoCounters(Counters):
    """The ports of `Counters`, and nothing behind: what is asked for is 0, a cycle later."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.valid.eq(self.ask)
        return m
