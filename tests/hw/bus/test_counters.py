# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from deltaloom.hw.bus.counters import Counters
from deltaloom.sim.testing.streams import run


class Reader:
    """Reads of one counter at a time, while a model adds what the device adds."""

    def __init__(self, ctx, dut, widths, amounts):
        self.ctx, self.dut, self.amounts = ctx, dut, amounts
        self.counts = [0] * len(widths)
        self.history = []

    async def tick(self):
        amounts = self.amounts()
        for n, amount in enumerate(amounts):
            self.ctx.set(self.dut.amount(n), amount)
        await self.ctx.tick()
        self.counts = [count + amount for count, amount in zip(self.counts, amounts, strict=True)]

    async def read(self, index):
        """(the value, all values that the counter had meanwhile)."""
        ctx, dut = self.ctx, self.dut
        ctx.set(dut.index, index)
        ctx.set(dut.ask, 1)
        seen = [self.counts[index]]
        for _ in range(1000):
            await self.tick()
            ctx.set(dut.ask, 0)
            seen.append(self.counts[index])
            if ctx.get(dut.valid):
                return ctx.get(dut.value), seen
        raise AssertionError("no answer")

    async def clear(self):
        self.ctx.set(self.dut.clear, 1)
        await self.tick()
        self.ctx.set(self.dut.clear, 0)
        self.counts = [0] * len(self.counts)


@pytest.mark.parametrize("pause", [0, 1, 3, 400])
@pytest.mark.parametrize("widths", [[1], [1, 5], [1, 1, 32, 14, 1, 1, 1], [1] * 38])
def test_nothing_is_lost_at_the_highest_rates(widths, pause):
    """The largest amounts in every cycle, and reads as often as they can be, or seldom."""
    rng = random.Random(pause)
    dut = Counters(widths)

    async def testbench(ctx):
        reader = Reader(ctx, dut, widths, lambda: [(1 << width) - 1 for width in widths])
        for _ in range(60 if pause < 400 else 12):
            index = rng.randrange(len(widths))
            value, seen = await reader.read(index)
            assert value in seen
            for _ in range(rng.randint(0, pause)):
                await reader.tick()

    run(dut, testbench, cycles=60000)


@pytest.mark.parametrize("seed", range(3))
def test_random_amounts_and_clears(seed):
    rng = random.Random(seed)
    widths = [1, 9, 1, 32, 3]
    dut = Counters(widths)

    async def testbench(ctx):
        reader = Reader(
            ctx, dut, widths, lambda: [rng.getrandbits(width) * busy for width in widths]
        )
        for busy in [1, 0] * 60:
            for _ in range(rng.randint(0, 30)):
                await reader.tick()
            if rng.random() < 0.2:
                await reader.clear()
            for index in rng.sample(range(5), 2):
                value, seen = await reader.read(index)
                assert value in seen
                if not busy:
                    assert value == reader.counts[index]

    run(dut, testbench, cycles=60000)


def test_a_clear_while_a_read_is_under_way():
    """The read is answered after all, with what was counted since."""
    dut = Counters([1, 1])

    async def testbench(ctx):
        for wait in range(24):
            ctx.set(dut.amount(1), 1)
            await ctx.tick().repeat(50)
            ctx.set(dut.index, 1)
            ctx.set(dut.ask, 1)
            await ctx.tick()
            ctx.set(dut.ask, 0)
            answered = ctx.get(dut.valid)
            for _ in range(wait):
                await ctx.tick()
                answered |= ctx.get(dut.valid)
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            if not answered:
                (value,) = await ctx.tick().sample(dut.value).until(dut.valid)
                assert value <= 40

    run(dut, testbench, cycles=5000)


def test_a_carry_through_all_bits():
    """2**32 - 1 added again and again, against a sum."""
    dut = Counters([32])

    async def testbench(ctx):
        ctx.set(dut.amount(0), 0xFFFFFFFF)
        await ctx.tick().repeat(3000)
        ctx.set(dut.amount(0), 0)
        ctx.set(dut.ask, 1)
        await ctx.tick()
        ctx.set(dut.ask, 0)
        (value,) = await ctx.tick().sample(dut.value).until(dut.valid)
        assert value == 3000 * 0xFFFFFFFF

    run(dut, testbench, cycles=5000)
