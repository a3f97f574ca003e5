# SPDX-License-Identifier: Apache-2.0
"""A sweep's reader and writer alone, over records that a plain list keeps."""

import numpy as np
import pytest

from deltaloom.hw.bus.sweep_frames import SweepReader, SweepWriter
from deltaloom.hw.config import AcceleratorConfig
from deltaloom.sim.testing.streams import receive, run, set_value

STRIDE = 10
CONFIG = AcceleratorConfig(sequence_words=64, sweeps=3, sweep_sources=2)


def record(*parts, **fields):
    """A sweep whose sources are `parts`, (offset, units) each, in records of STRIDE words."""
    sources = [{"offset": offset, "units": units} for offset, units in parts]
    return {
        "backward": 0,
        "compute": 1,
        "emit": 0,
        "end": 0,
        "source_count": len(parts),
        "sources": (sources * 2)[:2],
        "target": {"offset": 6, "units": 3},
        "stride": STRIDE,
        "frames": 6,
    } | fields


def begin(ctx, dut, frames, backward):
    """The way through the sequence's records, and the pulse that starts it."""
    set_value(ctx, dut.held, frames)
    set_value(ctx, dut.first, (frames - 1) * STRIDE if backward else 0)
    set_value(ctx, dut.step, -STRIDE if backward else STRIDE)
    ctx.set(dut.start, 1)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("parts", [[(0, 3)], [(0, 2), (5, 4)], [(7, 1), (2, 1)]])
@pytest.mark.parametrize("taken", [1.0, 0.4])
def test_a_reader_puts_frames_together(parts, backward, taken):
    frames = 4
    rng = np.random.default_rng(1)
    memory = rng.integers(-32768, 32768, 64).tolist()
    dut = SweepReader(CONFIG)
    order = range(frames)[::-1] if backward else range(frames)
    expected = [
        [memory[t * STRIDE + offset + n] for offset, units in parts for n in range(units)]
        for t in order
    ]
    words = []

    async def memory_bench(ctx):
        while len(words) < sum(map(len, expected)):
            _, _, en, addr = await ctx.tick().sample(dut.r_en, dut.r_addr)
            if en:
                set_value(ctx, dut.r_data, memory[addr % 64])

    async def sweep(ctx):
        set_value(ctx, dut.record, record(*parts))
        begin(ctx, dut, frames, backward)
        await ctx.tick()
        ctx.set(dut.start, 0)
        pause = lambda: 0 if rng.random() < taken else int(rng.integers(4))  # noqa: E731
        for _ in range(sum(map(len, expected))):
            words.extend(await receive(ctx, dut.o, 1, pause))
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.o.valid)

    run(dut, memory_bench, sweep, cycles=2000)
    assert [word.value for word in words] == [value for frame in expected for value in frame]
    ends = [int(n == len(frame) - 1) for frame in expected for n in range(len(frame))]
    assert [word.last for word in words] == ends
    assert [word.first for word in words] == [1, *[0] * (len(words) - 1)]


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(("compute", "emit"), [(1, 0), (1, 1), (0, 1)])
def test_a_writer_keeps_what_later_sweeps_read(compute, emit, backward):
    frames, units = 4, 3
    rng = np.random.default_rng(2)
    values = rng.integers(-32768, 32768, (frames, units)).tolist()
    dut = SweepWriter(CONFIG)
    memory, done = {}, []

    async def sweep(ctx):
        set_value(ctx, dut.record, record((0, 3), compute=compute, emit=emit))
        begin(ctx, dut, frames, backward)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for frame in values:
            for n, value in enumerate(frame):
                await ctx.tick().repeat(int(rng.integers(1, 3)))
                set_value(ctx, dut.value, value)
                ctx.set(dut.last, n == units - 1)
                ctx.set(dut.taken, 1)
                _, _, en, addr, written, is_done = await ctx.tick().sample(
                    dut.write.en, dut.write.addr, dut.write.data, dut.done
                )
                ctx.set(dut.taken, 0)
                done.append(is_done)
                if en:
                    memory[addr] = written - (written >> 15 << 16)

    run(dut, sweep, cycles=500)
    assert done == [0] * (frames * units - 1) + [1]
    order = range(frames)[::-1] if backward else range(frames)
    kept = {
        t * STRIDE + 6 + n: value
        for t, frame in zip(order, values, strict=True)
        for n, value in enumerate(frame)
    }
    assert memory == (kept if compute and not emit else {})
