# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from amaranth.hdl import signed
from amaranth.lib import data

from deltaloom.hw.parts.queue import Credits, Queue
from deltaloom.sim.testing.streams import receive, run, send

SHAPE = data.StructLayout({"value": signed(7), "flag": 1})


@pytest.mark.parametrize("pass_through", [False, True])
@pytest.mark.parametrize("buffered", [False, True])
@pytest.mark.parametrize(("slow_in", "slow_out"), [(0, 0), (3, 0), (0, 3), (2, 2)])
def test_words_keep_their_order_shape_and_sign(buffered, pass_through, slow_in, slow_out):
    rng = np.random.default_rng(slow_in + 4 * slow_out)
    words = [{"value": int(v), "flag": int(v) & 1} for v in rng.integers(-64, 64, 40)]
    dut = Queue(SHAPE, depth=5, buffered=buffered, pass_through=pass_through)
    received = []

    async def source(ctx):
        await send(ctx, dut.i, words, lambda: int(rng.integers(slow_in + 1)))

    async def sink(ctx):
        for word in await receive(ctx, dut.o, len(words), lambda: int(rng.integers(slow_out + 1))):
            received.append({"value": word.value, "flag": word.flag})

    run(dut, source, sink, cycles=1000)
    assert received == words


@pytest.mark.parametrize("pass_through", [False, True])
@pytest.mark.parametrize("buffered", [False, True])
def test_holds_exactly_its_depth(buffered, pass_through):
    dut = Queue(signed(8), depth=6, buffered=buffered, pass_through=pass_through)
    taken = 0

    async def testbench(ctx):
        nonlocal taken
        ctx.set(dut.i.valid, 1)
        for _ in range(20):
            taken += (await ctx.tick().sample(dut.i.ready))[2]

    run(dut, testbench, cycles=100)
    assert taken == 6


def test_a_word_leaves_the_cycle_after_it_came_and_one_every_cycle():
    dut = Queue(signed(8), depth=2)
    seen = []

    async def testbench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for n in range(8):
            ctx.set(dut.i.payload, -n)
            _, _, valid, value = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            seen.append(value if valid else None)

    run(dut, testbench, cycles=100)
    assert seen == [None, *(-n for n in range(7))]


@pytest.mark.parametrize("buffered", [False, True])
def test_words_pass_through_at_once_while_it_is_empty(buffered):
    """Then one that is not taken waits, and those behind it keep their place."""
    dut = Queue(signed(8), depth=6, buffered=buffered, pass_through=True)
    seen = []

    async def testbench(ctx):
        for n in range(20):
            ctx.set(dut.o.ready, n != 4)
            ctx.set(dut.i.valid, n < 8)
            ctx.set(dut.i.payload, -n)
            _, _, valid, value = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid and n != 4:
                seen.append((n, value))

    run(dut, testbench, cycles=100)
    first = 7 if buffered else 5
    assert seen == [
        *((n, -n) for n in range(4)),
        *((first + n, -4 - n) for n in range(4)),
    ]


def test_credits_follow_what_is_taken_and_given():
    """Against a count: room for `need`, whatever is taken and given; what is given counts later."""
    rng = np.random.default_rng(0)
    dut = Credits(total=9, need=3)

    async def testbench(ctx):
        left, given = 9, 0
        for _ in range(300):
            assert ctx.get(dut.room) == (left >= 3)
            take = left >= 3 and rng.random() < 0.6
            amount = int(rng.integers(1, 4))
            give = left + given < 9 and rng.random() < 0.7
            ctx.set(dut.take, take)
            ctx.set(dut.amount, amount)
            ctx.set(dut.give, give)
            left += given - (amount if take else 0)
            given = int(give)
            await ctx.tick()

    run(dut, testbench, cycles=400)
