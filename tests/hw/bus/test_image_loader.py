# SPDX-License-Identifier: Apache-2.0
import gc
import random

import pytest
from amaranth.sim import Simulator

from deltaloom.hw.bus.image_loader import ImageLoader
from deltaloom.hw.bus.register_map import IMAGE_SPACE, REGISTER, Window

UNUSED = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
"""For a component whose __init__ raises: it is never elaborated, and goes with the collection."""

WINDOWS = (
    Window(name="weights", depth=37, width=512),
    Window(name="rows", depth=16, width=72),
    Window(name="lone", depth=1, width=20),
    Window(name="bits", depth=5, width=1),
    Window(name="even", depth=33, width=64),
)


def run(dut, writes, *, gap=0.0, seed=0):
    """Write (32-bit word address, value); the memories' commits, and each write's error."""
    rng = random.Random(seed)
    memories = {w.name: {} for w in dut.windows}
    order, errors = [], []

    async def watch(ctx):
        ports = {w.name: dut.loads[w.name] for w in dut.windows}
        signals = [s for p in ports.values() for s in (p.en, p.addr, p.data)]
        async for _, _, *values in ctx.tick().sample(*signals):
            for n, name in enumerate(ports):
                en, addr, data = values[3 * n : 3 * n + 3]
                if en:
                    memories[name][addr] = data
                    order.append((name, addr))

    async def bench(ctx):
        image = dut.image
        for address, value in writes:
            while rng.random() < gap:
                ctx.set(image.addr, rng.randrange(IMAGE_SPACE))
                ctx.set(image.data, rng.getrandbits(32))
                await ctx.tick()
            ctx.set(image.addr, address)
            ctx.set(image.data, value)
            ctx.set(image.valid, 1)
            *_, ready, error = await ctx.tick().sample(image.ready, image.error)
            assert ready
            errors.append(error)
            ctx.set(image.valid, 0)
        await ctx.tick().repeat(2)

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.add_testbench(watch, background=True)
    sim.run()
    return memories, order, errors


def words_of(writes):
    return [((address - REGISTER["IMAGE"].address) // 4, value) for address, value in writes]


@pytest.mark.parametrize("gap", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(2))
def test_every_memory_gets_its_words(seed, gap):
    """Whole memories in a random order of words; what encode() makes is what the memories get."""
    rng = random.Random(seed)
    dut = ImageLoader(WINDOWS)
    wanted = {w.name: {n: rng.getrandbits(w.width) for n in range(w.depth)} for w in dut.windows}
    jobs = [(p, n) for p in dut.places for n in range(p.window.depth)]
    rng.shuffle(jobs)
    writes = []
    for place, n in jobs:
        writes += words_of(place.encode([wanted[place.window.name][n]], first=n))
    memories, order, errors = run(dut, writes, gap=gap, seed=seed)
    assert memories == wanted
    assert order == [(p.window.name, n) for p, n in jobs]
    assert not any(errors)


def test_addresses_of_no_memory():
    """Padding slices, padding words and the space behind the memories: an error and no write."""
    dut = ImageLoader(WINDOWS)
    at = {p.window.name: p for p in dut.places}
    rows, lone = at["rows"], at["lone"]
    padding = [
        rows.base + 3,
        at["weights"].base + 37 * 16 + 15,
        at["bits"].base + 5,
        lone.base + 1,
        IMAGE_SPACE - 1,
    ]
    good = [a for p in dut.places for a in (p.base,)]
    memories, _, errors = run(dut, [(a, 0xFFFFFFFF) for a in padding + good])
    assert errors == [1] * len(padding) + [0] * len(good)
    assert {name for name, words in memories.items() if words} == {"lone", "bits"}


def test_one_memory_that_fills_the_whole_window():
    dut = ImageLoader([Window(name="all", depth=IMAGE_SPACE // 2, width=64)])
    last = IMAGE_SPACE - 1
    memories, _, errors = run(dut, [(0, 1), (1, 2), (last - 1, 3), (last, 4)])
    assert memories == {"all": {0: 2 << 32 | 1, IMAGE_SPACE // 2 - 1: 4 << 32 | 3}}
    assert not any(errors)


@UNUSED
def test_no_windows():
    with pytest.raises(ValueError, match="windows must not be empty"):
        ImageLoader([])
    gc.collect()
