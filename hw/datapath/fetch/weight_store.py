# SPDX-License-Identifier: Apache-2.0
"""Where weights live: the store in on-chip block RAM, behind `weight_store_signature`.

A store answers requests in order, with any latency. Whoever asks may have no more requests open
than it was built for, and takes every answer at once.
"""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring

from ...parts.memory import BANK_BITS, BANK_WORDS, block_ram, connect_write, of_macros
from ...parts.pipeline import delay, select
from .words import store_members


def store_latency(words: int) -> int:
    """Cycles from a request to a block RAM's answer: memory, register, and putting banks together,
    four to one in a cycle."""
    return 2 + bank_levels(-(-words // BANK_WORDS))


def bank_levels(banks: int) -> int:
    """Levels of multiplexers that four go into, one behind the other."""
    return ((banks - 1).bit_length() + 1) // 2


class BlockRamStore(wiring.Component):
    """Weights in block RAM.

    The words lie in banks, each with a register of its own behind the memory's slow output, so that
    nothing stands between the two however deep the memory is: where block RAMs have such registers,
    synthesis uses them. Four banks are chosen from in a cycle, since they lie far apart on the
    chip. A bank that is no power of two would be built from two shapes and a multiplexer (yosys
    0.70).

    LATENCY: `latency` cycles from a request to its answer. THROUGHPUT: a request a cycle.

    Parameters
    ----------
    depth : int
        Words.
    word_bits : int
        Bits of a word.
    init : list of int
        Initial words, or none.

    Members
    -------
    store : in, the requests, and out, the answers, of `weight_store_signature`
    load : in, `MemoryWrite(depth, word_bits)`
        Writes words while no request is open.
    load_ready : out, 1 bit
        There is room for words: always.
    """

    STEADY = True
    """Answers keep the requests' spacing."""

    spacing = 1
    """Cycles between two answers, at the least."""

    def __init__(self, *, depth: int, word_bits: int, init: list[int]) -> None:
        self.depth = depth
        self._word_bits = word_bits
        self._init = init
        self.address_bits = max(1, (depth - 1).bit_length())
        super().__init__(store_members(depth=depth, word_bits=word_bits))

    store: Any
    load: Any
    load_ready: Signal

    @property
    def latency(self) -> int:
        """Cycles from a request to its answer."""
        return store_latency(self.depth)

    @property
    def outstanding(self) -> int:
        """Requests that it takes before it has answered the first."""
        return self.latency + 2

    @property
    def _banks(self) -> list[range]:
        """The addresses in each bank; the last one is rounded up to a power of two."""
        banks = [range(at, at + BANK_WORDS) for at in range(0, self.depth, BANK_WORDS)]
        last = banks[-1].start
        rest = 1 << (self.depth - last - 1).bit_length()
        return [*banks[:-1], range(last, last + rest)]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        request, response = self.store.request, self.store.response
        words = []
        for n, addresses in enumerate(self._banks):
            memory = block_ram(
                self._word_bits,
                depth=len(addresses),
                init=self._init[addresses.start : addresses.stop],
            )
            m.submodules[f"bank_{n}"] = memory
            write, read = memory.write_port(), memory.read_port()
            word = Signal(self._word_bits, name=f"word_{n}", reset_less=True)
            here = request.payload[BANK_BITS:] == n
            m.d.comb += [
                read.addr.eq(request.payload),
                read.en.eq(here & request.valid if of_macros(platform) else here),
            ]
            connect_write(m, self.load, write, where=self.load.addr[BANK_BITS:] == n)
            m.d.sync += word.eq(read.data)
            words.append(word)

        bank = delay(m, request.payload[BANK_BITS:], 2, "bank")
        for level in range(bank_levels(len(words))):
            chosen = [
                Signal(self._word_bits, name=f"chosen_{level}_{n}", reset_less=True)
                for n in range(-(-len(words) // 4))
            ]
            m.d.sync += [
                word.eq(select(words[4 * n : 4 * n + 4], bank)) for n, word in enumerate(chosen)
            ]
            words, bank = chosen, delay(m, bank[2:], 1, f"bank_{level}")
        m.d.comb += [
            self.load_ready.eq(1),
            request.ready.eq(1),
            response.valid.eq(delay(m, request.valid, self.latency, "valid", reset=True)),
            response.payload.eq(words[0]),
        ]
        return m
