# SPDX-License-Identifier: Apache-2.0
import gc
from itertools import pairwise

import numpy as np
import pytest

from deltaloom.hw.datapath.units.collect import COLLECT_CYCLES, Collect
from deltaloom.hw.datapath.units.words import cell_word
from deltaloom.sim.testing.streams import run, send

ROWS, SLOTS = 8, 3
WORD = cell_word(ROWS, cells=("gru",), state_depth=128)


def unit_word(rng, unit, count, *, begin=0, end=0):
    """One word for each gate, in any order."""
    p = rng.integers(-32768, 32768, (SLOTS, ROWS))
    order = rng.permutation(SLOTS)
    shared = dict.fromkeys(WORD.members, 0)
    shared |= {"unit": unit, "state": unit + 3, "count": count, "begin": begin, "end": end}
    return [
        shared | {"p": p[slot].tolist(), "slot": int(slot), "last": int(n == SLOTS - 1)}
        for n, slot in enumerate(order)
    ]


def expected(words, width):
    """(unit, state, end, units' pre-activations) of a unit-word's cycles."""
    by_slot = {word["slot"]: word["p"] for word in words}
    one, found = words[0], []
    for first in range(0, one["count"], width):
        last = first + width >= one["count"]
        units = range(first, min(first + width, one["count"]))
        p = [[by_slot[slot][k] for slot in range(SLOTS)] for k in units]
        found.append((one["unit"] + first, one["state"] + first, int(one["end"] and last), p))
    return found


def simulate(unit_words, *, width=1, gap=0, there=1.0, stalled=0.0):
    """(what ran, cycles in which it did, cycles in which last words were taken)."""
    dut = Collect(drain_rows=ROWS, width=width, slots=SLOTS, word=WORD, gap=gap)
    rng = np.random.default_rng(4)
    found, cycles, taken = [], [], []
    total = sum(len(expected(words, width)) for words in unit_words)

    async def source(ctx):
        pause = lambda: 0 if rng.random() < there else int(rng.integers(4))  # noqa: E731
        await send(ctx, dut.i, [word for words in unit_words for word in words], pause)

    async def watch(ctx):
        cycle, stalls, running_before = 0, False, False
        while len(found) < total:
            stalled_before, stalls = stalls, rng.random() < stalled
            ctx.set(dut.stall, stalls)
            sample = dut.i.valid, dut.i.ready, dut.i.payload.last
            outputs = dut.running, dut.mask, dut.unit, dut.p
            values = await ctx.tick().sample(*sample, *outputs)
            _, _, valid, ready, last, running, mask, unit, p = values
            if valid and ready and last:
                taken.append(cycle)
            if running:
                assert running_before or not stalled_before
                units = [[p[n][s] for s in range(SLOTS)] for n in range(width) if mask >> n & 1]
                found.append((unit.unit, unit.state, unit.end, units))
                cycles.append(cycle)
            running_before = running
            cycle += 1

    run(dut, source, watch, cycles=3000)
    return found, cycles, taken


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize(("there", "stalled"), [(1, 0), (0.4, 0), (1, 0.5), (0.5, 0.5)])
def test_every_unit_comes_once_and_in_order(width, there, stalled):
    rng = np.random.default_rng(width)
    counts = [8, 1, 3, 8, 5, 8]
    words = [unit_word(rng, 8 * n, c, begin=n == 0, end=n == 5) for n, c in enumerate(counts)]
    found, _, _ = simulate(words, width=width, there=there, stalled=stalled)
    assert found == [one for each in words for one in expected(each, width)]


def test_latency():
    rng = np.random.default_rng(1)
    _, cycles, taken = simulate([unit_word(rng, 0, 4, begin=1, end=1)])
    assert cycles[0] - taken[0] == COLLECT_CYCLES


@pytest.mark.parametrize(("width", "count"), [(1, 8), (2, 8), (4, 8), (8, 8), (1, 2), (2, 3)])
def test_throughput(width, count):
    rng = np.random.default_rng(2)
    words = [unit_word(rng, 8 * n, count) for n in range(10)]
    found, cycles, _ = simulate(words, width=width)
    starts = [at for at, (unit, *_) in zip(cycles, found, strict=True) if unit % 8 == 0]
    assert {b - a for a, b in pairwise(starts)} == {max(SLOTS, -(-count // width))}


@pytest.mark.parametrize("gap", [2, 3, 9])
@pytest.mark.parametrize("width", [1, 4])
def test_the_gap_is_between_layers_only(width, gap):
    rng = np.random.default_rng(3)
    words = []
    for _ in range(3):
        words += [unit_word(rng, 0, 8, begin=1), unit_word(rng, 8, 8, end=1)]
    found, cycles, _ = simulate(words, width=width, gap=gap)
    spans = [b - a for a, b in pairwise(cycles)]
    across = [one[2] for one in found[:-1]]
    assert all(span >= gap for span, ends in zip(spans, across, strict=True) if ends)
    if width == 1:
        assert {span for span, ends in zip(spans, across, strict=True) if ends} == {gap}
        assert {span for span, ends in zip(spans, across, strict=True) if not ends} == {1}


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("gap", [1, -3])
def test_rejects(gap):
    with pytest.raises(ValueError, match=f"gap must be 0 or at least 2, got {gap}"):
        Collect(drain_rows=ROWS, width=1, slots=SLOTS, word=WORD, gap=gap)
    gc.collect()
