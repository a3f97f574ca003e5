# SPDX-License-Identifier: Apache-2.0
"""The parts of the layer normalisation against golden's: sums, moments, inverse roots, values."""

import numpy as np
import pytest
from amaranth.hdl import Module, Value

from deltaloom.golden.integer_lstm.arithmetic import divide, high_product, rescale, wrap32
from deltaloom.golden.integer_lstm.layer_norm import inverse_root
from deltaloom.hw.datapath.statistics.gate_sums import GateSums, sums_cycles
from deltaloom.hw.datapath.statistics.gather import Gather
from deltaloom.hw.datapath.statistics.inverse_root import NORMALISED, InverseRoot, root_cycles
from deltaloom.hw.datapath.statistics.moments import Moments, moments_cycles
from deltaloom.hw.datapath.statistics.normalizer import (
    PRODUCT_CYCLES,
    Normalizer,
    normalizer_latency,
    scale_cycle,
    unit_cycles,
    weight_cycle,
)
from deltaloom.hw.datapath.statistics.replay import Replay
from deltaloom.hw.datapath.statistics.scatter import Scatter
from deltaloom.hw.datapath.units.words import cell_word
from deltaloom.sim.testing.streams import receive, run, send, set_value

ENDS = (-32768, -1, 0, 1, 32767)


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_sums_of_gates_in_any_order(lanes):
    rng = np.random.default_rng(0)
    shape = 300, lanes
    values = np.where(rng.random(shape) < 0.3, rng.choice(ENDS, shape), rng.integers(-9, 9, shape))
    values[:30] = -32768
    there = np.arange(lanes) < rng.integers(1, lanes + 1, (300, 1))
    gates = rng.integers(0, 4, 300)
    dut = GateSums(lanes=lanes)

    async def bench(ctx):
        seen = set()
        for value, mask, gate in zip(values.tolist(), there, gates.tolist(), strict=True):
            ctx.set(dut.valid, 1)
            ctx.set(dut.value, value)
            ctx.set(dut.mask, sum(1 << n for n in range(lanes) if mask[n]))
            ctx.set(dut.gate, gate)
            ctx.set(dut.first, gate not in seen)
            seen.add(gate)
            await ctx.tick()
        ctx.set(dut.valid, 0)
        await ctx.tick().repeat(sums_cycles(lanes) - 1)
        masked = np.where(there, values, 0)
        for gate in range(4):
            ctx.set(dut.total_at, gate)
            ctx.set(dut.squares_at, 3 - gate)
            total, squares = masked[gates == gate], masked[gates == 3 - gate]
            assert (ctx.get(dut.total), ctx.get(dut.squares)) == (total.sum(), (squares**2).sum())
            await ctx.tick()

    run(dut, bench, cycles=320)


def moments_of(v):
    units = len(v)
    mean = divide(1024 * v.sum(), units)
    return mean, divide((v * v).sum() * ((1 << 20) // units) - mean * mean, 1 << 20)


@pytest.mark.parametrize("apart", [1, 9, 40])
@pytest.mark.parametrize("units", [1, 3, 37, 4096])
def test_mean_and_variance(units, apart):
    """apart: cycles from a gate's last value to the next one's."""
    rng = np.random.default_rng(units)
    layer = [
        rng.integers(-32768, 32768, units),
        np.full(units, rng.choice([-32768, 32767])),
        rng.integers(-3, 3, units),
        rng.choice([-32768, 32767], units),
    ]
    layer = [layer[n] for n in rng.permutation(4)][: 1 + units % 4 or 4]
    dut, found, guard = Moments(), {}, [70 + n for n in range(4)]
    starts = [apart * n for n in range(len(layer))]
    wanted = [moments_of(v)[1] for v in layer]
    cycles = moments_cycles(starts)

    async def bench(ctx):
        ctx.set(dut.units, units)
        ctx.set(dut.reciprocal, (1 << 20) // units)
        for _ in range(2):  # layers, one after the other
            found.clear()
            for cycle in range(cycles[-1] + 1):
                ctx.set(dut.start, cycle in starts)
                ctx.set(dut.last, cycle == starts[-1])
                ctx.set(dut.total, int(layer[ctx.get(dut.total_at) % len(layer)].sum()))
                squares = layer[ctx.get(dut.squares_at) % len(layer)]
                ctx.set(dut.squares, int((squares**2).sum()))
                if ctx.get(dut.valid):
                    gate = ctx.get(dut.gate)
                    ctx.set(dut.guard, guard[gate])
                    found[cycle] = (gate, ctx.get(dut.variance))
                    assert ctx.get(dut.ends) == (cycle == cycles[-1])
                await ctx.tick()
            for n, v in enumerate(layer):
                ctx.set(dut.mean_at, n)
                assert ctx.get(dut.mean) == moments_of(v)[0]
            numbers = [(n, v if v >= 1 else guard[n]) for n, v in enumerate(wanted)]
            assert found == dict(zip(cycles, numbers, strict=True))

    run(dut, bench, cycles=500)


@pytest.mark.parametrize("apart", [1, 14, 17, 200])
def test_inverse_roots(apart):
    """apart: cycles from a gate's variance to the next one's."""
    rng = np.random.default_rng(0)
    powers = [1 << n for n in range(31)]
    edges = sorted({v + d for v in powers for d in (-1, 0, 1) if 1 <= v + d < 1 << 31})
    values = [*edges, *(int(2**e) for e in rng.uniform(0, 31, 60))][:: 1 if apart == 14 else 7]
    dut = InverseRoot(product_cycles=PRODUCT_CYCLES)
    groups = [values[n : n + 1 + n % 4] for n in range(0, len(values), 4)]
    groups += [values[n : n + 4] for n in range(0, len(values), 4)]

    async def bench(ctx):
        products = [0] * PRODUCT_CYCLES
        cycle = 0

        async def tick():
            nonlocal cycle
            asked = int(high_product(ctx.get(dut.value), ctx.get(dut.factor)))
            products.append(asked)
            await ctx.tick()
            cycle += 1
            ctx.set(dut.product, products[-PRODUCT_CYCLES])

        for group in groups:
            came = []
            for n, v in enumerate(group):
                ctx.set(dut.valid, 1)
                ctx.set(dut.gate, n)
                ctx.set(dut.last, n == len(group) - 1)
                ctx.set(dut.variance, v)
                came.append(cycle)
                await tick()
                ctx.set(dut.valid, 0)
                for _ in range(apart - 1 if n < len(group) - 1 else 0):
                    await tick()
            while not ctx.get(dut.done):
                assert ctx.get(dut.runs) or cycle <= came[0] + NORMALISED
                await tick()
            assert cycle == root_cycles(PRODUCT_CYCLES, came)
            for n, v in enumerate(group):
                ctx.set(dut.at, n)
                mult, shift = inverse_root(v)
                assert (ctx.get(dut.mult), ctx.get(dut.shift)) == (mult, -shift), v

    run(dut, bench, cycles=1000 * len(groups))


@pytest.mark.parametrize("shifts", [(2, 2), (-3, 9)])
@pytest.mark.parametrize("peephole", [False, True])
def test_values(peephole, shifts):
    rng = np.random.default_rng(0)
    count = 150
    value = np.where(
        rng.random(count) < 0.3, rng.choice(ENDS, count), rng.integers(-999, 999, count)
    )
    mean = rng.integers(-(1 << 25), 1 << 25, count)
    mult, shift = inverse_root(np.exp2(rng.uniform(0, 31, count)).astype(np.int64))
    gain = rng.choice([*ENDS, *rng.integers(-32768, 32768, 9)], count)
    bias = rng.integers(-(1 << 31), 1 << 31, count) >> rng.integers(0, 31, count)
    scale = rng.integers(1 << 30, 1 << 31, count), rng.integers(shifts[0], shifts[1] + 1, count)
    scaled = wrap32(rescale(1024 * value - mean, mult, shift) * gain + bias)
    scaled = divide(scaled + np.where(scaled > 0, 512, -512), 1024)
    wanted = np.clip(rescale(scaled, scale[0], -scale[1]), -32768, 32767)
    dut = Normalizer(peephole=peephole, shifts=shifts)
    latency, found = normalizer_latency(peephole, shifts), []
    inputs = [
        (0, {"value": value, "mean": mean, "mult": mult, "shift": -shift}),
        (weight_cycle(peephole), {"gain": gain, "bias": bias}),
        (scale_cycle(peephole), {"scale_mult": scale[0], "scale_shift": scale[1]}),
    ]

    async def bench(ctx):
        for n in range(count + latency):
            for late, values in inputs:
                if 0 <= n - late < count:
                    for name, each in values.items():
                        set_value(ctx, getattr(dut, name), int(each[n - late]))
            if n >= latency:
                found.append(ctx.get(dut.o))
            await ctx.tick()

    run(dut, bench, cycles=count + latency + 5)
    np.testing.assert_array_equal(found, wanted)
    assert unit_cycles(peephole) == weight_cycle(peephole)


def gather_to_scatter(word, unit_word, depth, lanes):
    """A layer's words taken apart, kept, and put together again; what each of the three is."""
    m = Module()
    m.submodules.gather = gather = Gather(word, unit_word=unit_word, lanes=lanes)
    m.submodules.replay = replay = Replay(depth=depth, unit_word=unit_word, lanes=lanes)
    m.submodules.scatter = scatter = Scatter(word, unit_word=unit_word, lanes=lanes)
    for name in ("unit_words", "tail", "gates"):
        m.d.comb += getattr(replay, name).eq(getattr(gather, name))
        m.d.comb += getattr(scatter, name).eq(getattr(gather, name))
    m.d.comb += [a.eq(b) for a, b in zip(scatter.order, gather.order, strict=True)]
    m.d.comb += [
        replay.write.eq(gather.valid),
        Value.cast(replay.written).eq(Value.cast(gather.value)),
        scatter.start.eq(replay.start),
        replay.room.eq(1),
        scatter.i.valid.eq(replay.valid),
        Value.cast(scatter.i.payload).eq(Value.cast(replay.value)),
        Value.cast(scatter.base).eq(Value.cast(gather.base)),
    ]
    return m, gather, replay, scatter


@pytest.mark.parametrize(
    ("units", "unit_word", "gates", "lanes"),
    [
        (5, 2, 3, 1),
        (5, 4, 3, 2),
        (13, 8, 4, 4),
        (16, 8, 1, 4),
        (7, 2, 2, 2),
        (1025, 1, 1, 1),
        pytest.param(2049, 2, 1, 1, marks=pytest.mark.slow),
        pytest.param(4096, 1, 1, 1, marks=pytest.mark.slow),
    ],
)
def test_words_of_the_largest_layers_come_back(units, unit_word, gates, lanes):
    rng = np.random.default_rng(units)
    word = cell_word(unit_word, cells=("lstm",), state_depth=1 << 14)
    firsts = range(0, units, unit_word)
    words = [
        dict.fromkeys(word.members, 0)
        | {
            "p": rng.integers(-32768, 32768, unit_word).tolist(),
            "slot": gates - 1 - gate,
            "last": int(gate == gates - 1),
            "unit": first,
            "state": 77 + first,
            "count": min(unit_word, units - first),
            "begin": int(first == 0),
            "end": int(first == firsts[-1]),
        }
        for first in firsts
        for gate in range(gates)
    ]
    dut, gather, replay, scatter = gather_to_scatter(
        word, unit_word, (units + lanes) * gates, lanes
    )
    found = []

    async def source(ctx):
        ctx.set(replay.clear, 1)
        await ctx.tick()
        ctx.set(replay.clear, 0)
        ctx.set(gather.open, 1)
        await send(ctx, gather.i, words)
        while not (ctx.get(gather.final) and ctx.get(gather.closes)):
            await ctx.tick()
        await ctx.tick()
        assert ctx.get(gather.unit_words) == len(firsts)
        ctx.set(replay.start, 1)
        await ctx.tick()
        ctx.set(replay.start, 0)
        for got in await receive(ctx, scatter.o, len(words)):
            found.append({name: got[name] for name in word.members})

    run(dut, source, cycles=3 * units * gates + 40)
    for got, wanted in zip(found, words, strict=True):
        valid = wanted["count"]
        got["p"] = list(got["p"])[:valid]
        assert got == wanted | {"p": wanted["p"][:valid]}
