# SPDX-License-Identifier: Apache-2.0
"""Weights in SPRAM: what was written is read, whatever the words' width and the banks."""

import random
from collections.abc import Iterable
from typing import Any

import pytest
from amaranth.back import rtlil
from amaranth.sim import Simulator

from deltaloom.boards.ice40.spram import SPRAM_WORDS, SpramStore, sprams, words_together
from deltaloom.boards.icebreaker import BOARDS


@pytest.mark.parametrize(
    ("depth", "bits"),
    [(1, 4), (3, 4), (37, 4), (129, 8), (2, 16), (50, 32), (20, 12), (40, 64)],
)
def test_what_was_written_is_read(depth: int, bits: int) -> None:
    check(depth, bits, range(depth))


@pytest.mark.parametrize(("depth", "bits"), [(3 * SPRAM_WORDS, 16), (2 * 4 * SPRAM_WORDS, 4)])
def test_several_banks(depth: int, bits: int) -> None:
    generator = random.Random(depth)
    edges = [n * depth // 8 + k for n in range(1, 8) for k in (-1, 0, 1)]
    check(depth, bits, [0, depth - 1, *edges, *(generator.randrange(depth) for _ in range(50))])


def check(depth: int, bits: int, addresses: Iterable[int]) -> None:
    """Write words in any order, then read them back one a cycle, in another order, with gaps."""
    generator = random.Random(bits)
    known = {address: generator.getrandbits(bits) for address in addresses}
    store = SpramStore(depth=depth, word_bits=bits)
    order = list(known) * 2
    generator.shuffle(order)
    asked = generator.sample(order, len(order))
    valid = [generator.random() < 0.8 for _ in asked]
    valid[0] = True
    answers = []

    async def bench(ctx: Any) -> None:
        for address in order:
            ctx.set(store.load.addr, address)
            ctx.set(store.load.data, known[address])
            ctx.set(store.load.en, 1)
            await ctx.tick()
        ctx.set(store.load.en, 0)
        ctx.set(store.load.data, 0)
        for n in range(len(asked) + store.latency):
            late = n - store.latency
            assert ctx.get(store.store.response.valid) == (late >= 0 and valid[late])
            if late >= 0 and valid[late]:
                answers.append(ctx.get(store.store.response.payload))
            now = n < len(asked) and valid[n]
            ctx.set(store.store.request.valid, now)
            if now:
                ctx.set(store.store.request.payload, asked[n])
            await ctx.tick()

    simulator = Simulator(store)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    wanted = [known[address] for address, was in zip(asked, valid, strict=True) if was]
    assert answers == wanted


def as_rtlil(store: SpramStore, platform: Any) -> str:
    """The store by itself, for a platform."""
    request, response, load = store.store.request, store.store.response, store.load
    ports = [request.payload, request.valid, response.payload, response.valid]
    ports += [load.addr, load.data, load.en]
    return rtlil.convert(store, name="top", ports=ports, platform=platform, emit_src=False)


def test_on_the_board_they_are_sprams() -> None:
    store = SpramStore(depth=20_000, word_bits=16)
    (board,) = BOARDS
    text = as_rtlil(store, board.platform())
    assert text.count("cell \\SB_SPRAM256KA") == sprams(20_000, 16) == 2
    assert "memory width" not in text


def test_counts() -> None:
    assert [words_together(bits) for bits in (4, 8, 12, 16, 64)] == [4, 2, 1, 1, 1]
    shapes = ((13_312, 4), (40_000, 8), (1, 64), (65_536, 16))
    assert [sprams(depth, bits) for depth, bits in shapes] == [1, 2, 4, 4]
