# SPDX-License-Identifier: Apache-2.0
from collections import deque

import numpy as np
import pytest

from deltaloom.hw.datapath.fetch.rounds import ListPoll, Rounds
from deltaloom.hw.words import COLUMN_BITS
from deltaloom.sim.testing.streams import run, send, set_value

SOURCES = 2


def job(rng, number):
    """A pass over a list of its own, in a sequence's later step."""
    return {
        "pass": {
            "source": number % SOURCES,
            "list": number,
            "recurrent": 0,
            "tally": int(rng.integers(2)),
            "release": int(rng.integers(2)),
            "event_base": 40 * number,
            "columns": 12,
            "weight_base": 1000 * number,
            "digits_log2": int(rng.integers(3)),
            "groups": int(rng.integers(1, 4)),
            "words": int(rng.integers(1, 4)),
            "tail_words": 1,
            "products": 7 * number,
        },
        "step": {"first": 0, "fresh": 0, "parity": number % 2},
    }


def lists_of(rng, count, levels):
    """How many entries each list has in the end: of each level, or one number."""
    if levels is None:
        return [[int(n)] for n in rng.choice([0, 1, 2, 5, 9], count)]
    return [rng.choice([0, 0, 1, 3], levels).tolist() for _ in range(count)]


def places(counts, levels):
    """(index, level, nothing) of each of a list's beats in its order."""
    if levels is None:
        return [(n, None, None) for n in range(counts[0])]
    top = max((n for n, count in enumerate(counts) if count), default=-1)
    return [
        (index, level, int(not counts[level]))
        for level in range(top, -1, -1)
        for index in range(max(counts[level], 1))
    ]


class Bench:
    """`Rounds` between lists that grow and a reader that does not always take an entry."""

    def __init__(self, jobs, lists, *, levels=None, grow=1.0, advance=1.0, room=1.0, seed=0):
        self.jobs, self.lists, self.levels = jobs, lists, levels
        self.odds = grow, advance, room
        self.rng = np.random.default_rng(seed)
        self.uses, self.rounds, self.releases = [], [], []
        self.dut = Rounds(sources=SOURCES, levels=levels)

    def run(self):
        async def jobs(ctx):
            await send(ctx, self.dut.i, self.jobs)

        run(self.dut, jobs, self._around, cycles=20000)
        self._check()
        return self

    async def _around(self, ctx):
        dut, (grow, advance, room) = self.dut, self.odds
        # What a list holds so far; True: it is closed.
        now = [True if grow == 1.0 else 0 for _ in self.lists]
        signals = dut.issue, dut.use, dut.advance, dut.begun.valid, dut.begun.payload
        quiet = 0  # cycles without an entry, after the last round has begun
        while quiet < 30:
            for n, counts in enumerate(self.lists):
                if self.rng.random() < grow and now[n] is not True:
                    if self.levels is not None or now[n] == counts[0]:
                        now[n] = True  # closed
                    else:
                        now[n] += 1
            for source, ports in enumerate(dut.lists):
                asked = ctx.get(ports.query).list
                mine = asked < len(self.lists) and asked % SOURCES == source
                ctx.set(ports.closed, mine and now[asked] is True)
                count = 0
                if mine and now[asked] is True:
                    levels = enumerate(self.lists[asked])
                    count = sum(n << (COLUMN_BITS * level) for level, n in levels)
                elif mine and self.levels is None:
                    count = now[asked]
                ctx.set(ports.count, count)
            ctx.set(dut.advance, self.rng.random() < advance)
            ctx.set(dut.may_end, self.rng.random() < room)
            _, _, issue, use, advances, begins, this = await ctx.tick().sample(*signals)
            done = sum(not this.more for this in self.rounds) == len(self.jobs)
            quiet = quiet + 1 if done and not issue else 0
            if issue:
                self.uses.append(use)
            if use.release and advances:
                self.releases.append(use.list)
            if begins:
                self.rounds.append(this)

    def _check(self):
        uses, rounds = deque(self.uses), deque(self.rounds)
        for number, each in enumerate(self.jobs):
            fields = each["pass"]
            left = places(self.lists[number], self.levels)
            while True:
                this = rounds.popleft()
                taken = []
                for group in range(0 if this.empty else fields["groups"]):
                    got = [uses.popleft()]
                    while not got[-1].last:
                        got.append(uses.popleft())
                    if group == 0:
                        taken, left = left[: len(got)], left[len(got) :]
                    bank = each["step"]["parity"] * fields["columns"]
                    for n, (use, (index, level, nothing)) in enumerate(
                        zip(got, taken, strict=True)
                    ):
                        assert use.address == fields["event_base"] + bank + index
                        assert use.group_base == fields["weight_base"] + group * fields["columns"]
                        assert (use.first, use.used) == (n == 0, group == 0)
                        last = group == fields["groups"] - 1
                        assert use.words == fields["tail_words" if last else "words"]
                        for name in ("source", "list", "digits_log2", "tally"):
                            assert getattr(use, name) == fields[name]
                        if self.levels:
                            assert (use.level, use.nothing) == (level, nothing)
                if not this.more:
                    break
            assert not left
        assert not uses and not rounds
        expected = [each["pass"]["list"] for each in self.jobs if each["pass"]["release"]]
        assert self.releases == expected


def bench(seed, *, levels=None, **options):
    rng = np.random.default_rng(seed)
    jobs = [job(rng, n) for n in range(20)]
    return Bench(jobs, lists_of(rng, len(jobs), levels), levels=levels, seed=seed, **options).run()


LEVELS = pytest.mark.parametrize("levels", [None, 3])
"""Lists of events, and of terms."""


@LEVELS
@pytest.mark.parametrize("seed", range(3))
def test_every_entry_once_per_group(seed, levels):
    bench(seed, levels=levels)


@LEVELS
@pytest.mark.parametrize("seed", range(3))
def test_lists_that_grow_and_a_reader_that_waits(seed, levels):
    found = bench(seed, levels=levels, grow=0.02, advance=0.6, room=0.5)
    assert any(this.more for this in found.rounds) == (levels is None)


def test_no_cycle_is_lost_between_passes():
    """Lists that are there and not empty, and a reader that takes an entry every cycle."""
    rng = np.random.default_rng(9)
    jobs = [job(rng, n) for n in range(8)]
    for each in jobs:
        each["pass"]["groups"] = 3
    one = Bench(jobs, [[4]] * 8)
    cycles = []

    async def watch(ctx):
        while len(cycles) < 3 * 4 * 8:
            _, _, issue = await ctx.tick().sample(one.dut.issue)
            if issue or cycles:
                cycles.append(issue)

    async def feed(ctx):
        await send(ctx, one.dut.i, jobs)

    run(one.dut, feed, one._around, watch, cycles=1000)
    assert all(cycles)


def test_first_steps_have_no_list_of_the_step_before():
    """fresh: it is not even asked for. first: what it has is left."""
    rng = np.random.default_rng(3)
    jobs = [job(rng, n) for n in range(4)]
    for n, each in enumerate(jobs):
        each["pass"]["recurrent"] = 1
        each["step"] |= {"first": int(n != 3), "fresh": int(n < 2), "parity": 1}
    one = Bench(jobs, [[5], [5], [5], [5]])

    async def feed(ctx):
        await send(ctx, one.dut.i, jobs)

    run(one.dut, feed, one._around, cycles=1000)
    assert [(this.empty, this.more) for this in one.rounds] == [(1, 0)] * 3 + [(0, 0)]
    assert {use.list for use in one.uses} == {3}
    assert {use.address - 120 for use in one.uses} == set(range(5))  # the other bank


def test_poll_goes_to_the_current_pass_first():
    dut = ListPoll(sources=1)
    asks = {"valid": 1, "void": 0, "source": 0, "start": 0, "words": 2, "digits_log2": 1}
    current = {"key": {"list": 1, "bank": 0}, **asks, "start": 3}
    following = {"key": {"list": 2, "bank": 1}, **asks}

    async def testbench(ctx):
        set_value(ctx, dut.current, current)
        set_value(ctx, dut.following, following)
        await ctx.tick()
        assert ctx.get(dut.lists[0].query).list == 1
        ctx.set(dut.lists[0].count, 7)
        set_value(ctx, dut.current, current | {"valid": 0})
        await ctx.tick()
        answer = ctx.get(dut.answer)
        assert (answer.valid, answer.following, answer.count, answer.least) == (1, 0, 7, 3 + 4)
        assert ctx.get(dut.lists[0].query).list == 2
        ctx.set(dut.lists[0].closed, 1)
        await ctx.tick()
        answer = ctx.get(dut.answer)
        assert (answer.valid, answer.following, answer.closed, answer.least) == (1, 1, 1, 4)

    run(dut, testbench, cycles=20)


@pytest.mark.parametrize("late", [0, 1])
def test_poll_follows_the_passes_that_move_on(late):
    """`take` in the first or the second cycle after the question."""
    dut = ListPoll(sources=1)
    asks = {"void": 0, "source": 0, "start": 0, "words": 1, "digits_log2": 0}
    idle = {"key": {"list": 0, "bank": 0}, **asks, "valid": 0}
    wants = idle | {"valid": 1}

    async def testbench(ctx):
        set_value(ctx, dut.current, idle)
        set_value(ctx, dut.following, wants)
        ctx.set(dut.take, not late)
        await ctx.tick()
        ctx.set(dut.take, late)
        await ctx.tick()
        ctx.set(dut.take, 0)
        answer = ctx.get(dut.answer)
        assert (answer.valid, answer.following) == (late, 0 if late else answer.following)

    run(dut, testbench, cycles=20)


@pytest.mark.parametrize("pulse", ["take", "finish", "releasing"])
def test_poll_drops_the_current_passs_answer(pulse):
    dut = ListPoll(sources=1)
    asks = {"key": {"list": 0, "bank": 0}, "void": 0, "source": 0, "start": 0, "words": 1}

    async def testbench(ctx):
        set_value(ctx, dut.current, {**asks, "digits_log2": 0, "valid": 1})
        await ctx.tick()
        ctx.set(getattr(dut, pulse), 1)
        await ctx.tick()
        assert not ctx.get(dut.answer.valid)

    run(dut, testbench, cycles=20)
