# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from deltaloom.golden.delta import signed_digits
from deltaloom.hw.datapath.events.term_lists import TermLists
from deltaloom.hw.words import term_levels
from deltaloom.sim.testing.streams import run, set_value

COUNT_BITS = 13


def by_level(events, digits):
    """The terms (j, twice, negative, head) of events (j, d), level by level."""
    levels = [[] for _ in range(term_levels(digits))]
    for j, d in events:
        found = signed_digits(np.array(d), 2 * len(levels)).reshape(-1, 2)
        present = [n for n, pair in enumerate(found) if pair.any()]
        for n in present:
            negative = int(found[n].sum() < 0)
            levels[n].append((j, int(found[n][1] != 0), negative, int(n == present[-1])))
    return levels


async def cycle(ctx, dut, **fields):
    """One clock cycle with these inputs of `writer` or `reader.entries`, and no other pulses."""
    writer, entries = dut.writer, dut.reader.entries
    pulses = writer.open, writer.push, writer.close, entries.release
    for pulse in pulses:
        ctx.set(pulse, 0)
    for name, value in fields.items():
        ports = writer if name in writer.signature.members else entries
        set_value(ctx, getattr(ports, name), value)
    await ctx.tick()
    for pulse in pulses:
        ctx.set(pulse, 0)


async def write(ctx, dut, number, bank, base, events):
    await cycle(ctx, dut, open=1, key={"list": number, "bank": bank}, base=base)
    for n, (j, d) in enumerate(events):
        # the last one comes with the close in every other list
        last = n == len(events) - 1 and number % 2
        await cycle(ctx, dut, push=1, event={"j": j, "d": d}, close=int(last))
    if not (events and number % 2):
        await cycle(ctx, dut, close=1)


async def read(ctx, dut, base, level, count):
    """One term a cycle, each two cycles after it was asked for."""
    found = []
    for n in range(count + 1):
        await cycle(ctx, dut, en=1, addr=base + min(n, count - 1), level=level)
        found.append(ctx.get(dut.reader.entries.data))
    return [(word.j, word.twice, word.negative, word.head) for word in found[1:]]


async def state(ctx, dut, number, bank):
    set_value(ctx, dut.reader.state.query, {"list": number, "bank": bank})
    await ctx.tick()
    count = ctx.get(dut.reader.state.count)
    levels = len(dut.reader.state.count) // COUNT_BITS
    mask = (1 << COUNT_BITS) - 1
    return ctx.get(dut.reader.state.closed), [
        count >> (COUNT_BITS * n) & mask for n in range(levels)
    ]


def make(bits=8, digits=None, depth=600):
    digits = digits or bits + 1
    levels = term_levels(digits)
    return TermLists(depth=depth, delta_bits=bits + 1, digits=digits, levels=levels, lists=3)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_every_delta(bits):
    most = (1 << bits) - 1
    events = [(n, d) for n, d in enumerate(range(-most, most + 1)) if d]
    expected = by_level(events, bits + 1)
    dut = make(bits)

    async def testbench(ctx):
        await write(ctx, dut, 2, 1, 5, events)
        await cycle(ctx, dut)
        assert await state(ctx, dut, 2, 1) == (1, [len(level) for level in expected])
        for n, level in enumerate(expected):
            assert await read(ctx, dut, 5, n, len(level)) == level

    run(dut, testbench, cycles=20000)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_powers_of_two_need_one_digit_less(bits):
    events = [(7, sign << n) for n in range(bits) for sign in (1, -1)]
    expected = by_level(events, bits)
    dut = make(bits, digits=bits)

    async def testbench(ctx):
        await write(ctx, dut, 0, 0, 0, events)
        await cycle(ctx, dut)
        for n, level in enumerate(expected):
            if level:
                assert await read(ctx, dut, 0, n, len(level)) == level
        assert sum((await state(ctx, dut, 0, 0))[1]) == len(events)

    run(dut, testbench, cycles=2000)


def test_lists_follow_each_other_without_a_pause():
    """The next list opens in the cycle after the last one's close."""
    rng = np.random.default_rng(1)
    lists = {
        (n, bank): [
            (int(rng.integers(4096)), int(d)) for d in rng.integers(1, 256, rng.integers(5))
        ]
        for n in (0, 1, 2)
        for bank in (0, 1)
    }
    dut = make()

    async def testbench(ctx):
        for at, (one, events) in enumerate(lists.items()):
            await write(ctx, dut, *one, 10 * at, events)
        await cycle(ctx, dut)
        for at, (one, events) in enumerate(lists.items()):
            expected = by_level(events, 9)
            assert await state(ctx, dut, *one) == (1, [len(level) for level in expected])
            for n, level in enumerate(expected):
                if level:
                    assert await read(ctx, dut, 10 * at, n, len(level)) == level

    run(dut, testbench, cycles=2000)


def test_taken_from_close_to_release():
    dut = make()

    async def testbench(ctx):
        await write(ctx, dut, 1, 0, 0, [(3, 5)])
        await cycle(ctx, dut)
        assert ctx.get(dut.writer.taken)
        set_value(ctx, dut.writer.key, {"list": 1, "bank": 1})
        assert not ctx.get(dut.writer.taken)
        await cycle(ctx, dut, release=1, release_key={"list": 1, "bank": 0})
        assert (await state(ctx, dut, 1, 0))[0] == 0

    run(dut, testbench, cycles=100)


def test_a_word_that_is_read_stays_while_the_reader_waits():
    dut = make()

    async def testbench(ctx):
        await write(ctx, dut, 0, 0, 0, [(1, 1), (2, 1), (3, 1)])
        await cycle(ctx, dut)
        await cycle(ctx, dut, en=1, addr=0, level=0)
        await cycle(ctx, dut, en=1, addr=1, level=0)
        assert ctx.get(dut.reader.entries.data).j == 1
        for _ in range(3):
            await cycle(ctx, dut, en=0, addr=2, level=1)
            assert ctx.get(dut.reader.entries.data).j == 1
        await cycle(ctx, dut, en=1, addr=2, level=0)
        assert ctx.get(dut.reader.entries.data).j == 2

    run(dut, testbench, cycles=100)
