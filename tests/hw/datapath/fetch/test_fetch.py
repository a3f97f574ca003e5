# SPDX-License-Identifier: Apache-2.0
from collections import Counter, deque
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from deltaloom.golden.delta import signed_digits
from deltaloom.hw.datapath.events.event_lists import EventLists
from deltaloom.hw.datapath.events.term_lists import TermLists
from deltaloom.hw.datapath.fetch.fetch import Fetch
from deltaloom.hw.datapath.fetch.weight_store import BlockRamStore
from deltaloom.sim.testing.kinds import crossed
from deltaloom.sim.testing.streams import run, send, set_value

DELTA_BITS = 9
LEVELS = 5
"""Of the lists of terms."""
WORDS = 512
LATENCY = 5
"""Of the array."""


def weight(address):
    return (address * 40503 + 7) & 0xFFFFFF


@dataclass(frozen=True)
class Pass:
    """One pass of the program. list, source, base: as in `FetchPass`; groups at weight `base`."""

    list: int
    source: int
    columns: int
    groups: int
    tail: int
    weight_base: int
    event_base: int
    recurrent: int = 0
    digits: int = 0
    tally: int = 1
    release: int = 1

    def job(self, words, first, fresh, parity):
        fields = {
            "source": self.source,
            "list": self.list,
            "recurrent": self.recurrent,
            "tally": self.tally,
            "release": self.release,
            "event_base": self.event_base,
            "columns": self.columns,
            "weight_base": self.weight_base,
            "digits_log2": self.digits,
            "groups": self.groups,
            "words": words,
            "tail_words": self.tail,
            "products": 5 * self.groups,
        }
        step = {"first": first, "fresh": fresh, "parity": parity}
        return {"pass": fields, "step": step}


ONE = (Pass(0, 0, 6, 1, 2, 100, 0),)
LAYERS = (
    Pass(0, 1, 5, 3, 2, 0, 0, recurrent=1, release=0),
    Pass(1, 0, 7, 2, 1, 20, 4, release=0),
    Pass(0, 1, 5, 1, 1, 40, 0, recurrent=1, tally=0),
    Pass(1, 0, 7, 2, 2, 60, 4, tally=0),
    Pass(2, 1, 4, 2, 2, 80, 10),
)


@dataclass
class Store:
    """What answers: None is block RAM; otherwise the odds of being ready, and most cycles late."""

    ready: float = 1.0
    latency: int = 0


@dataclass
class Seen:
    beats: list = field(default_factory=list)
    ends: list = field(default_factory=list)
    cycles: list = field(default_factory=list)
    events: Counter = field(default_factory=Counter)
    rounds: list = field(default_factory=list)
    macs: int = 0


@dataclass
class Bench:
    """Fetch with two encoders' lists, which a writer fills as early as their banks are free.

    lists: by list, the events of each step; firsts: steps that start a sequence; terms: the lists
    are `TermLists`.
    """

    program: tuple
    lists: dict
    firsts: set
    store: Store | None = None
    gaps: float = 0.0
    drain: float = 1.0
    group_words: int = 2
    queue_words: int = 8
    seed: int = 0
    terms: bool = False

    def run(self):
        m = Module()
        m.submodules.fetch = self.fetch = fetch = Fetch(
            sources=2,
            delta_bits=DELTA_BITS,
            group_words=self.group_words,
            queue_words=self.queue_words,
            address_bits=9,
            word_bits=24,
            store_steady=self.store is None,
            store_outstanding=4,
            levels=LEVELS if self.terms else None,
        )
        self.sources = [self._lists() for _ in range(2)]
        for n, lists in enumerate(self.sources):
            m.submodules[f"lists{n}"] = lists
            wiring.connect(m, fetch.lists[n], lists.reader)
        self.steps = len(next(iter(self.lists.values())))
        self.total = self._count()
        self.seen = Seen()
        testbenches = [self._jobs, self._writer(0), self._writer(1), self._array]
        if self.store is None:
            words = [weight(n) for n in range(WORDS)]
            m.submodules.store = store = BlockRamStore(depth=WORDS, word_bits=24, init=words)
            wiring.connect(m, fetch.store, store.store)
        else:
            testbenches.append(self._answer)
        run(m, *testbenches, cycles=20000)
        self._check()
        return self.seen

    def _lists(self):
        if self.terms:
            return TermLists(depth=64, delta_bits=DELTA_BITS, digits=9, levels=LEVELS, lists=3)
        return EventLists(depth=64, delta_bits=DELTA_BITS, lists=3)

    def words(self, one):
        """D-words of a whole group."""
        return max(self.group_words >> one.digits, one.tail)

    def _events(self, one, step):
        if not one.recurrent:
            return self.lists[one.list][step]
        return [] if step in self.firsts else self.lists[one.list][step - 1]

    def _count(self):
        """All beats: every event once per group, or what its terms take."""
        total = 0
        self.after = {}
        for step in range(self.steps):
            for one in self.program:
                total += one.groups * len(self._beats(self._events(one, step)))
                if one.recurrent:
                    self.after[one.list, step] = total
        return total

    def _check(self):
        """Every pass is one round after the other, each with the list's next events per group."""
        beats, rounds = deque(self.seen.beats), deque(self.seen.rounds)
        for step in range(self.steps):
            for one in self.program:
                events = self._events(one, step)
                while True:
                    this = rounds.popleft()
                    assert this.more <= (not this.empty)
                    taken = []
                    for group in range(0 if this.empty else one.groups):
                        base = one.weight_base + group * one.columns
                        words = one.tail if group == one.groups - 1 else self.words(one)
                        got = [beats.popleft()]
                        while not got[-1][3]:
                            got.append(beats.popleft())
                        if group == 0:
                            size = len(events) if self.terms else len(got)
                            taken, events = self._beats(events[:size]), events[size:]
                        assert got == [
                            (
                                None if j is None else weight(base + j),
                                *(d, int(n == 0), int(n == len(taken) - 1), words, one.digits),
                            )
                            for n, (j, d) in enumerate(taken)
                        ]
                    if not this.more:
                        break
                assert not events
        assert not beats and not rounds

    def _done(self):
        passes = sum(not this.more for this in self.seen.rounds)
        return len(self.seen.beats) == self.total and passes == self.steps * len(self.program)

    def _beats(self, events):
        """(j, d) of a list's replay, d as (negative, twice, raise) where lists hold terms."""
        if not (self.terms and events):
            return events
        split = [(j, signed_digits(np.array(d), 2 * LEVELS).reshape(-1, 2)) for j, d in events]
        found = []
        for level in range(LEVELS - 1, -1, -1):
            mine = [
                (j, (int(pairs[level].sum() < 0), int(pairs[level][1] != 0), 0))
                for j, pairs in split
                if pairs[level].any()
            ]
            if found or not level:
                j, d = mine[0] if mine else (None, (0, 0, 0))
                mine[:1] = [(j, (*d[:2], int(bool(found))))]
            found += mine
        return found

    async def _jobs(self, ctx):
        jobs = [
            one.job(self.words(one), int(step in self.firsts), int(step == 0), step % 2)
            for step in range(self.steps)
            for one in self.program
        ]
        await send(ctx, self.fetch.i, jobs)

    def _writer(self, source):
        lists = self.sources[source].writer
        mine = {one.list: one for one in self.program if one.source == source}
        rng = np.random.default_rng(self.seed)

        async def rest(ctx):
            while rng.random() < self.gaps:
                await ctx.tick()

        async def testbench(ctx):
            for step in range(self.steps):
                for one in mine.values():
                    bank = step % 2
                    set_value(ctx, lists.key, {"list": one.list, "bank": bank})
                    set_value(ctx, lists.base, one.event_base + bank * one.columns)
                    # A layer's next state comes of sums that its last one went into.
                    after = self.after.get((one.list, step), 0)
                    while ctx.get(lists.taken) or len(self.seen.beats) < after:
                        await ctx.tick()
                    ctx.set(lists.open, 1)
                    await ctx.tick()
                    ctx.set(lists.open, 0)
                    await ctx.tick()
                    for j, d in self.lists[one.list][step]:
                        await rest(ctx)
                        set_value(ctx, lists.event, {"j": j, "d": d})
                        ctx.set(lists.push, 1)
                        await ctx.tick()
                        ctx.set(lists.push, 0)
                    await rest(ctx)
                    await ctx.tick()
                    ctx.set(lists.close, 1)
                    await ctx.tick()
                    ctx.set(lists.close, 0)

        return testbench

    async def _array(self, ctx):
        """The array's end: takes beats, drains their groups, and holds them to the rules."""
        fetch, seen = self.fetch, self.seen
        rng = np.random.default_rng(self.seed + 1)
        arriving, waiting = deque(), 0
        cycle = 0
        begun = fetch.begun.valid, fetch.begun.payload
        signals = fetch.valid, fetch.weights, fetch.tag, fetch.event, fetch.event_list, fetch.macs
        while not self._done():
            _, _, *found = await ctx.tick().sample(*signals, *begun)
            valid, weights, tag, event, number, macs, begins, this = found
            cycle += 1
            if valid:
                d, nothing = tag.d, 0
                if self.terms:
                    d, nothing = (d.negative, d.twice, d["raise"]), d.nothing
                    d = (0, 0, d[2]) if nothing else d
                word = None if nothing else weights
                seen.beats.append((word, d, tag.first, tag.last, tag.words, tag.digits_log2))
                seen.cycles.append(cycle)
                if tag.last:
                    if seen.ends:
                        before, draining = seen.ends[-1]
                        assert cycle - before >= draining
                    seen.ends.append((cycle, tag.words << tag.digits_log2))
                    arriving.extend(
                        cycle + LATENCY + (n << tag.digits_log2) for n in range(tag.words)
                    )
            if event:
                seen.events[number] += 1
            if begins:
                seen.rounds.append(this)
            seen.macs += macs
            while arriving and arriving[0] <= cycle:
                arriving.popleft()
                waiting += 1
            assert waiting <= self.queue_words
            drained = waiting > 0 and rng.random() < self.drain
            waiting -= drained
            ctx.set(fetch.drained, drained)

    async def _answer(self, ctx):
        """A store that answers in order after a random time, and is not always ready."""
        request, response = self.fetch.store.request, self.fetch.store.response
        rng = np.random.default_rng(self.seed + 2)
        pending = deque()
        cycle = 0
        while not self._done():
            ready = rng.random() < self.store.ready
            ctx.set(request.ready, ready)
            _, _, valid, address = await ctx.tick().sample(request.valid, request.payload)
            cycle += 1
            if valid and ready:
                late = int(rng.integers(self.store.latency + 1))
                pending.append((cycle + late, weight(address)))
            answers = pending and pending[0][0] <= cycle
            ctx.set(response.valid, bool(answers))
            if answers:
                ctx.set(response.payload, pending.popleft()[1])


def random_lists(program, steps, seed, *, sizes=None):
    """Events of every list and step: any number of them, or one of `sizes`."""
    rng = np.random.default_rng(seed)
    columns = {one.list: one.columns for one in program}
    lists = {}
    for number, most in columns.items():
        lists[number] = []
        for _ in range(steps):
            count = int(rng.integers(most + 1)) if sizes is None else int(rng.choice(sizes))
            js = np.sort(rng.permutation(most)[:count])
            ds = rng.integers(1, 200, count) * rng.choice([-1, 1], count)
            lists[number].append([(int(j), int(d)) for j, d in zip(js, ds, strict=True)])
    return lists


def bench(program, steps, seed=0, *, sizes=None, firsts=(0,), **options):
    lists = random_lists(program, steps, seed, sizes=sizes)
    return Bench(program, lists, set(firsts), seed=seed, **options)


STORES = [None, Store(), Store(0.5, 0), Store(1.0, 9), Store(0.4, 5), Store(0.08, 25)]


TERMS = pytest.mark.parametrize("terms", [False, True])
"""Lists of events, and of terms."""


@TERMS
@pytest.mark.parametrize(("store", "gaps"), crossed(STORES, [0.0, 0.7]))
def test_any_latency_and_lists_that_grow(store, gaps, terms):
    bench(LAYERS, 6, 1, firsts=(0, 3), store=store, gaps=gaps, terms=terms).run()


@TERMS
@pytest.mark.parametrize(("store", "sizes"), crossed(STORES, [[0], [1], [0, 1], [2]]))
def test_short_lists(store, sizes, terms):
    bench(LAYERS, 4, 2, sizes=sizes, store=store, terms=terms).run()


@TERMS
@pytest.mark.parametrize(("store", "sizes"), crossed(STORES, [[1], [3], [0, 1, 6], None]))
def test_a_bank_is_overwritten_no_sooner_than_it_was_read(store, sizes, terms):
    """One pass a step, and a writer that waits for nothing but the bank's release."""
    bench(ONE, 12, 3, sizes=sizes, store=store, terms=terms).run()


@TERMS
@pytest.mark.parametrize("store", [None, Store(0.7, 3)])
@pytest.mark.parametrize("drain", [0.05, 0.4])
def test_a_slow_drain_never_overflows(store, drain, terms):
    options = {"sizes": [0, 1, 4], "store": store, "drain": drain, "firsts": (0, 2)}
    bench(LAYERS, 4, 4, terms=terms, **options).run()


@pytest.mark.parametrize(("group_words", "queue_words"), [(1, 3), (4, 16), (4, 24), (7, 28)])
def test_groups_of_any_number_of_words(group_words, queue_words):
    program = tuple(
        replace(one, tail=1 + one.groups * n % group_words) for n, one in enumerate(LAYERS)
    )
    for store in (None, Store(0.6, 4)):
        bench(
            program, 3, 5, store=store, drain=0.5, group_words=group_words, queue_words=queue_words
        ).run()


@TERMS
def test_events_are_counted_once_a_step_and_their_products_once_a_pass(terms):
    one = bench(LAYERS, 6, 6, firsts=(0, 4), terms=terms)
    seen = one.run()
    expected, macs = Counter(), 0
    for step in range(6):
        for each in LAYERS:
            count = len(one._events(each, step))
            macs += count * 5 * each.groups
            if each.tally:
                expected[each.list] += count
    assert seen.events == +expected
    assert seen.macs == macs


@TERMS
def test_no_cycle_is_lost_between_groups_and_passes(terms):
    program = tuple(replace(one, tail=2, recurrent=0, groups=max(one.groups, 2)) for one in LAYERS)
    seen = bench(program, 8, 7, sizes=[4], queue_words=16, terms=terms).run()
    steady = seen.cycles[len(seen.cycles) // 4 :]
    assert np.diff(steady).tolist() == [1] * (len(steady) - 1)


@pytest.mark.parametrize("store", [None, Store(0.7, 3)])
def test_weights_of_several_digits_drain_as_long_as_they_have_digits(store):
    program = tuple(
        replace(one, digits=digits, tail=max(1, 8 >> digits) - (digits == 0))
        for one, digits in zip(LAYERS, (2, 0, 3, 1, 2), strict=True)
    )
    bench(program, 4, 8, sizes=[0, 1, 4], store=store, group_words=8, queue_words=32).run()
