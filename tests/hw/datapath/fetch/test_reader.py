# SPDX-License-Identifier: Apache-2.0
from collections import deque
from dataclasses import dataclass

import numpy as np
import pytest

from deltaloom.hw.datapath.fetch.reader import BeatReader
from deltaloom.sim.testing.streams import run, set_value

SOURCES = 2
DEPTH = 32
LEVELS = 3


def weight(address):
    return (address * 40503 + 7) & 0xFFFFFF


@dataclass
class Lists:
    """What two sources' lists hold, an entry two cycles with `en` after its address."""

    levels: int | None
    seed: int

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        self.words = {}
        for source in range(SOURCES):
            for level in range(self.levels or 1):
                for address in range(DEPTH):
                    word = {"j": int(rng.integers(50))}
                    if self.levels:
                        word |= {n: int(rng.integers(2)) for n in ("twice", "negative", "head")}
                    else:
                        word["d"] = int(rng.integers(-256, 256))
                    self.words[source, level, address] = word
        self.stages = [[None, None] for _ in range(SOURCES)]

    def clock(self, source, en, level, address):
        """The word that is there after this cycle."""
        stage = self.stages[source]
        if en:
            stage[:] = [self.words[source, level, address], stage[0]]
        return stage[1]


class Bench:
    """The reader between lists and a store; uses whenever it advances, with these odds."""

    def __init__(self, *, levels=None, steady=True, ready=1.0, latency=3, odds=1.0, seed=0):
        self.levels, self.steady, self.ready, self.latency = levels, steady, ready, latency
        self.odds, self.rng = odds, np.random.default_rng(seed)
        self.lists = Lists(levels, seed)
        self.dut = BeatReader(
            sources=SOURCES,
            delta_bits=9,
            address_bits=9,
            word_bits=24,
            store_steady=steady,
            store_outstanding=latency + 2,
            levels=levels,
        )
        self.expected, self.beats = [], []
        self.events, self.macs, self.total = [], 0, 0
        self.expected_releases, self.releases = [], []

    def use(self):
        """An entry to use, and what comes of it."""
        fields = {
            name: int(self.rng.integers(high))
            for name, high in {
                **{"address": DEPTH, "source": SOURCES, "list": 5, "release": 2},
                **{"group_base": 400, "first": 2, "last": 2, "words": 9, "digits_log2": 3},
                **{"used": 2, "tally": 2, "products": 100},
                **({"level": LEVELS, "nothing": 2, "lower": 2} if self.levels else {}),
            }.items()
        }
        fields["key"] = {"list": fields["list"], "bank": int(self.rng.integers(2))}
        return fields

    def expect(self, use):
        word = self.lists.words[use["source"], use.get("level", 0), use["address"]]
        nothing = use.get("nothing", 0)
        if self.levels:
            d = (word["negative"] & ~nothing & 1, word["twice"], nothing, use["lower"])
        else:
            d = word["d"]
        marks = tuple(use[name] for name in ("first", "last", "words", "digits_log2"))
        self.expected.append((weight(use["group_base"] + word["j"]), d, marks))
        if use["used"] and (not self.levels or (word["head"] and not nothing)):
            self.total += use["products"]
            if use["tally"]:
                self.events.append(use["list"])

    def run(self, uses=200):
        got_events = []

        async def testbench(ctx):
            dut, pending, answers, cycle = self.dut, deque(), 0, 0
            request, response = dut.store.request, dut.store.response
            left = uses
            while left or len(self.beats) < len(self.expected) or cycle < 20:
                cycle += 1
                ctx.set(request.ready, self.rng.random() < self.ready)
                due = pending and pending[0][0] <= cycle
                ctx.set(response.valid, bool(due))
                if due:
                    ctx.set(response.payload, weight(pending.popleft()[1]))
                    answers += 1
                issues = left and ctx.get(dut.advance) and self.rng.random() < self.odds
                use = self.use()
                if ctx.get(dut.advance) and use["release"]:
                    self.expected_releases.append((use["source"], use["key"]["list"]))
                ctx.set(dut.issue, bool(issues))
                set_value(ctx, dut.use, use)
                if issues:
                    self.expect(use)
                    left -= 1
                reads = []
                for ports in dut.lists:
                    level = ctx.get(ports.level) if self.levels else 0
                    reads.append((ctx.get(ports.en), level, ctx.get(ports.addr)))
                    if ctx.get(ports.release):
                        key = ctx.get(ports.release_key)
                        self.releases.append((len(reads) - 1, key.list))
                signals = request.valid, request.payload, request.ready, dut.valid
                found = await ctx.tick().sample(
                    *signals, dut.weights, dut.tag, dut.event, dut.event_list, dut.macs
                )
                _, _, asks, address, ready, valid, weights, tag, event, number, macs = found
                if asks and ready:
                    extra = 0 if self.steady else int(self.rng.integers(self.latency))
                    pending.append((cycle + self.latency - extra, address))
                if valid:
                    d = tag.d
                    if self.levels:
                        d = (d.negative, d.twice, d.nothing, d["raise"])
                    marks = (tag.first, tag.last, tag.words, tag.digits_log2)
                    self.beats.append((weights, d, marks))
                if event:
                    got_events.append(number)
                self.macs += macs
                for source, (en, level, at) in enumerate(reads):
                    word = self.lists.clock(source, en, level, at % DEPTH)
                    if word is not None:
                        set_value(ctx, self.dut.lists[source].data, word)

        run(self.dut, testbench, cycles=20000)
        assert self.beats == self.expected
        assert got_events == self.events
        assert self.macs == self.total
        expected = self.expected_releases
        assert self.releases == expected[: len(self.releases)]
        assert len(self.releases) >= len(expected) - 1


TERMS = pytest.mark.parametrize("levels", [None, LEVELS])
"""Lists of events, and of terms."""


@TERMS
@pytest.mark.parametrize("odds", [1.0, 0.5])
def test_a_steady_store(levels, odds):
    Bench(levels=levels, odds=odds).run()


@TERMS
@pytest.mark.parametrize(("ready", "latency"), [(1.0, 6), (0.5, 2), (0.2, 9)])
def test_a_store_that_is_not_always_ready(levels, ready, latency):
    Bench(levels=levels, steady=False, ready=ready, latency=latency).run()


def test_five_cycles_from_a_use_to_its_request():
    one = Bench()

    async def testbench(ctx):
        dut = one.dut
        ctx.set(dut.store.request.ready, 1)
        ctx.set(dut.issue, 1)
        await ctx.tick()
        ctx.set(dut.issue, 0)
        for cycle in range(1, 7):
            assert ctx.get(dut.store.request.valid) == (cycle == 5)
            await ctx.tick()

    run(one.dut, testbench, cycles=20)
