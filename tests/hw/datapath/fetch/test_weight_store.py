# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from deltaloom.hw.datapath.fetch.weight_store import BANK_WORDS, BlockRamStore
from deltaloom.sim.testing.streams import run

WORDS = [int(word) for word in np.random.default_rng(0).integers(0, 1 << 40, 21)]


@pytest.mark.parametrize(
    "depth", [21, BANK_WORDS, *(n * BANK_WORDS + 7 for n in (1, 3, 4, 7, 15, 16))]
)
def test_answers_in_order_and_with_the_requests_spacing(depth):
    rng = np.random.default_rng(1)
    asked = [(bool(rng.integers(2)), int(rng.integers(depth))) for _ in range(60)]
    asked[-3:] = [(True, depth - 1), (True, 0), (True, depth - 1)]
    words = [int(word) for word in rng.integers(0, 1 << 40, depth)]
    dut = BlockRamStore(depth=depth, word_bits=40, init=words)
    answers = []

    async def testbench(ctx):
        for valid, address in asked + [(False, 0)] * dut.latency:
            ctx.set(dut.store.request.valid, valid)
            ctx.set(dut.store.request.payload, address)
            signals = dut.store.request.ready, dut.store.response.valid, dut.store.response.payload
            _, _, ready, answer, word = await ctx.tick().sample(*signals)
            assert ready
            answers.append(word if answer else None)

    run(dut, testbench, cycles=200)
    expected = [words[address] if valid else None for valid, address in asked]
    assert answers[dut.latency :] == expected


def test_loaded_words_are_answered():
    dut = BlockRamStore(depth=21, word_bits=40, init=[])
    answers = []

    async def testbench(ctx):
        ctx.set(dut.load.en, 1)
        for address, word in enumerate(WORDS):
            ctx.set(dut.load.addr, address)
            ctx.set(dut.load.data, word)
            await ctx.tick()
        ctx.set(dut.load.en, 0)
        ctx.set(dut.store.request.valid, 1)
        for address in range(len(WORDS)):
            ctx.set(dut.store.request.payload, address)
            await ctx.tick().repeat(dut.latency)
            answers.append(ctx.get(dut.store.response.payload))

    run(dut, testbench, cycles=200)
    assert answers == WORDS


def test_one_word():
    dut = BlockRamStore(depth=1, word_bits=8, init=[200])

    async def testbench(ctx):
        ctx.set(dut.store.request.valid, 1)
        await ctx.tick().repeat(dut.latency)
        assert ctx.get(dut.store.response.valid)
        assert ctx.get(dut.store.response.payload) == 200

    run(dut, testbench, cycles=20)
