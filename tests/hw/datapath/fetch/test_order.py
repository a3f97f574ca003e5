# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from deltaloom.hw.datapath.fetch.order import EventOrder, TermOrder
from deltaloom.hw.words import COLUMN_BITS
from deltaloom.sim.testing.streams import run, set_value

PULSES = ("renew", "known_empty", "take", "step", "repeat", "finish")


async def cycle(ctx, dut, *pulses, **answer):
    """One cycle with these pulses, and with an answer if there is one."""
    for name in PULSES:
        ctx.set(getattr(dut, name), name in pulses)
    fields = {"following": 0, "closed": 0, "count": 0, "least": 0}
    set_value(ctx, dut.answer, fields | {"valid": int(bool(answer))} | answer)
    await ctx.tick()


async def play(ctx, dut, groups):
    """Replay a round over so many groups; the places of each."""
    found = []
    for group in range(groups):
        places = []
        while True:
            assert ctx.get(dut.current.plays)
            places.append(ctx.get(dut.place))
            if ctx.get(dut.current.at_last):
                break
            await cycle(ctx, dut, "step")
        found.append(places)
        last = ["finish"] if group == groups - 1 else []
        await cycle(ctx, dut, "step", "repeat", *last)
    return found


def packed(counts):
    return sum(count << (COLUMN_BITS * n) for n, count in enumerate(counts))


def test_events_of_a_closed_list_once_per_group():
    dut = EventOrder()

    async def testbench(ctx):
        for count in (1, 2, 5):
            await cycle(ctx, dut, "renew")
            await cycle(ctx, dut, "take")
            assert not ctx.get(dut.current.set)
            await cycle(ctx, dut, closed=1, count=count)
            assert ctx.get(dut.current.final)
            groups = await play(ctx, dut, 3)
            assert [[place.index for place in places] for places in groups] == 3 * [
                list(range(count))
            ]
            assert not ctx.get(dut.current.plays)

    run(dut, testbench, cycles=200)


def test_a_list_that_grows_is_replayed_in_rounds():
    dut = EventOrder()

    async def testbench(ctx):
        await cycle(ctx, dut, "renew")
        await cycle(ctx, dut, "take")
        found = []
        for count, closed in ((3, 0), (4, 0), (7, 1)):
            await cycle(ctx, dut, count=count - 1, least=count)  # not yet enough
            assert not ctx.get(dut.current.set)
            await cycle(ctx, dut, count=count, least=count, closed=closed)
            assert ctx.get(dut.current.final) == closed
            groups = await play(ctx, dut, 2)
            assert groups[0] == groups[1]
            found.append([place.index for place in groups[0]])
            assert ctx.get(dut.current.start) == count
            await cycle(ctx, dut)
        assert found == [[0, 1, 2], [3], [4, 5, 6]]

    run(dut, testbench, cycles=200)


def test_what_is_left_of_a_list_may_be_nothing():
    dut = EventOrder()

    async def testbench(ctx):
        await cycle(ctx, dut, "renew")
        await cycle(ctx, dut, "take")
        await cycle(ctx, dut, count=2, least=2)
        await play(ctx, dut, 1)
        await cycle(ctx, dut, count=2, least=4, closed=1)
        assert ctx.get(dut.current.empty) and ctx.get(dut.current.final)
        assert not ctx.get(dut.current.plays)

    run(dut, testbench, cycles=100)


@pytest.mark.parametrize("make", [EventOrder, lambda: TermOrder(3)])
def test_the_pass_that_waits_learns_of_its_list_while_the_other_plays(make):
    dut = make()

    async def testbench(ctx):
        await cycle(ctx, dut, "renew")
        await cycle(ctx, dut, "renew", "take")
        await cycle(ctx, dut, closed=1, count=3)
        assert not ctx.get(dut.waits_set)
        await cycle(ctx, dut, following=1, closed=1, count=2)
        assert ctx.get(dut.waits_set)
        await cycle(ctx, dut, following=1, closed=1, count=9)  # it knows already
        await cycle(ctx, dut, closed=1, count=9)
        (places,) = await play(ctx, dut, 1)
        assert len(places) == 3
        await cycle(ctx, dut, "renew", "take")
        assert not ctx.get(dut.waits_set)
        (places,) = await play(ctx, dut, 1)
        assert len(places) == 2

    run(dut, testbench, cycles=100)


@pytest.mark.parametrize("make", [EventOrder, lambda: TermOrder(3)])
def test_an_answer_is_late_where_its_round_or_pass_ends(make):
    dut = make()

    async def testbench(ctx):
        await cycle(ctx, dut, "renew")
        await cycle(ctx, dut, "renew", "take")
        for pulse in ("take", "finish"):
            await cycle(ctx, dut, pulse, closed=1, count=3)
            assert not ctx.get(dut.current.set)
        await cycle(ctx, dut, "take", following=1, closed=1, count=3)
        assert not ctx.get(dut.current.set) and not ctx.get(dut.waits_set)

    run(dut, testbench, cycles=100)


@pytest.mark.parametrize("make", [EventOrder, lambda: TermOrder(3)])
def test_a_list_that_is_known_to_be_empty(make):
    dut = make()

    async def testbench(ctx):
        await cycle(ctx, dut, "renew", "known_empty")
        assert ctx.get(dut.waits_set)
        await cycle(ctx, dut, "take")
        at = ctx.get(dut.current)
        assert (at.set, at.final, at.empty, at.plays) == (1, 1, 1, 0)

    run(dut, testbench, cycles=100)


def by_level(counts):
    """(level, index, nothing, lower) of each beat."""
    top = max(n for n, count in enumerate(counts) if count)
    return [
        (level, index, int(not counts[level]), int(index == 0 and level < top))
        for level in range(top, -1, -1)
        for index in range(max(counts[level], 1))
    ]


@pytest.mark.parametrize("levels", [2, 3, 5])
def test_terms_level_by_level(levels):
    rng = np.random.default_rng(levels)
    lists = [rng.choice([0, 0, 1, 2, 5], levels).tolist() for _ in range(20)]
    lists += [[3, *[0] * (levels - 1)], [*[0] * (levels - 1), 1]]
    dut = TermOrder(levels)

    async def testbench(ctx):
        for counts in filter(any, lists):
            await cycle(ctx, dut, "renew")
            await cycle(ctx, dut, "take")
            await cycle(ctx, dut, count=packed(counts))  # not closed
            assert not ctx.get(dut.current.set)
            await cycle(ctx, dut, closed=1, count=packed(counts))
            groups = await play(ctx, dut, 2)
            assert [
                [(p.level, p.index, p.nothing, p.lower) for p in places] for places in groups
            ] == 2 * [by_level(counts)]

    run(dut, testbench, cycles=5000)
