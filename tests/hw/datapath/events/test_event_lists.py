# SPDX-License-Identifier: Apache-2.0
import numpy as np

from deltaloom.hw.datapath.events.event_lists import EventLists
from deltaloom.sim.testing.streams import run, set_value


def key(number, bank=0):
    return {"list": number, "bank": bank}


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


async def write(ctx, dut, number, bank, base, events, close=True):
    await cycle(ctx, dut, open=1, key=key(number, bank), base=base)
    await cycle(ctx, dut)
    for j, d in events:
        await cycle(ctx, dut, push=1, event={"j": j, "d": d})
    if close:
        await cycle(ctx, dut, close=1)


async def read(ctx, dut, base, count):
    found = []
    for n in range(count):
        await cycle(ctx, dut, en=1, addr=base + n)
        await cycle(ctx, dut, en=1, addr=0)
        event = ctx.get(dut.reader.entries.data)
        found.append((event.j, event.d))
    return found


async def state(ctx, dut, number, bank=0):
    """(closed, count) as the reader sees them a cycle from now."""
    set_value(ctx, dut.reader.state.query, key(number, bank))
    await ctx.tick()
    return ctx.get(dut.reader.state.closed), ctx.get(dut.reader.state.count)


def taken(ctx, dut, number, bank=0):
    set_value(ctx, dut.writer.key, key(number, bank))
    return ctx.get(dut.writer.taken)


def simulate(testbench, *, depth=16, lists=5):
    dut = EventLists(depth=depth, delta_bits=9, lists=lists)
    run(dut, lambda ctx: testbench(ctx, dut), cycles=5000)


def test_lists_and_banks_keep_what_was_pushed():
    rng = np.random.default_rng(0)
    written = {
        (n, bank): [
            (int(rng.integers(4096)), int(rng.integers(-256, 256)))
            for _ in range(int(rng.integers(0, 5)))
        ]
        for n in (0, 3, 4)
        for bank in (0, 1)
    }

    async def testbench(ctx, dut):
        bases = {one: 4 * n for n, one in enumerate(written)}
        for one, events in written.items():
            await write(ctx, dut, *one, bases[one], events)
        for one, events in written.items():
            assert await state(ctx, dut, *one) == (1, len(events))
            assert await read(ctx, dut, bases[one], len(events)) == events
        assert await state(ctx, dut, 1) == (0, 0)

    simulate(testbench, depth=24)


def test_a_chasing_reader_can_read_what_it_counts():
    """An event is counted the cycle after its push, and readable in the next one."""
    events = [(n, 3 * n - 4) for n in range(5)]

    async def testbench(ctx, dut):
        await cycle(ctx, dut, open=1, key=key(2, 1), base=8)
        await cycle(ctx, dut)
        assert await state(ctx, dut, 2, 1) == (0, 0)
        for n, (j, d) in enumerate(events):
            assert await state(ctx, dut, 2, 1) == (0, n)
            await cycle(ctx, dut, push=1, event={"j": j, "d": d})
            assert await state(ctx, dut, 2, 1) == (0, n + 1)
            assert await state(ctx, dut, 2, 0) == (0, 0)
            assert await read(ctx, dut, 8 + n, 1) == [(j, d)]
        await cycle(ctx, dut, close=1)
        assert await state(ctx, dut, 2, 1) == (1, 5)

    simulate(testbench)


def test_the_last_event_comes_with_the_close():
    async def testbench(ctx, dut):
        await write(ctx, dut, 2, 0, 0, [(1, 1), (2, 2)], close=False)
        await cycle(ctx, dut, push=1, event={"j": 9, "d": 3}, close=1)
        await write(ctx, dut, 2, 1, 4, [(5, 5)])
        assert await state(ctx, dut, 2, 0) == (1, 3)
        assert await state(ctx, dut, 2, 1) == (1, 1)
        assert await read(ctx, dut, 2, 1) == [(9, 3)]

    simulate(testbench)


def test_push_and_read_in_the_same_cycle():
    async def testbench(ctx, dut):
        await write(ctx, dut, 0, 0, 0, [(7, -8)], close=False)
        await cycle(ctx, dut, push=1, event={"j": 9, "d": 1}, en=1, addr=0)
        await cycle(ctx, dut, en=1, addr=1)
        event = ctx.get(dut.reader.entries.data)
        assert (event.j, event.d) == (7, -8)
        assert await read(ctx, dut, 1, 1) == [(9, 1)]

    simulate(testbench)


def test_read_data_stays_while_not_enabled():
    async def testbench(ctx, dut):
        await write(ctx, dut, 0, 0, 0, [(1, 1), (2, 2)])
        await read(ctx, dut, 0, 1)
        await cycle(ctx, dut, en=0, addr=1)
        assert ctx.get(dut.reader.entries.data).j == 1

    simulate(testbench)


def test_taken_from_close_to_release():
    async def testbench(ctx, dut):
        assert not taken(ctx, dut, 1, 1)
        await write(ctx, dut, 1, 1, 0, [(1, 1)], close=False)
        assert not taken(ctx, dut, 1, 1)
        await cycle(ctx, dut, close=1)
        assert taken(ctx, dut, 1, 1)
        assert not taken(ctx, dut, 1, 0)
        assert not taken(ctx, dut, 0, 1)
        await cycle(ctx, dut, release=1, release_key=key(1, 1))
        assert not taken(ctx, dut, 1, 1)
        assert await state(ctx, dut, 1, 1) == (0, 0)

    simulate(testbench)


def test_release_and_close_in_the_same_cycle():
    """The reader is done with one bank just when the other becomes final."""

    async def testbench(ctx, dut):
        await write(ctx, dut, 4, 0, 0, [(1, 1)])
        await write(ctx, dut, 4, 1, 4, [(2, 2), (3, 3)], close=False)
        await cycle(ctx, dut, close=1, release=1, release_key=key(4, 0))
        assert await state(ctx, dut, 4, 0) == (0, 0)
        assert await state(ctx, dut, 4, 1) == (1, 2)

    simulate(testbench)


def test_a_bank_that_is_opened_again_counts_from_zero():
    async def testbench(ctx, dut):
        await write(ctx, dut, 0, 0, 0, [(1, 1), (2, 2)])
        await cycle(ctx, dut, release=1, release_key=key(0, 0))
        await write(ctx, dut, 0, 0, 0, [], close=False)
        assert await state(ctx, dut, 0) == (0, 0)
        await cycle(ctx, dut, close=1)
        assert await state(ctx, dut, 0) == (1, 0)

    simulate(testbench, lists=1)
