# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from deltaloom.golden.arithmetic import rshr
from deltaloom.hw.config import AcceleratorConfig
from deltaloom.hw.datapath.rows.scale import Scale
from deltaloom.hw.datapath.rows.stages import SCALE, collect_stage, complete_stage, rescale_cycles
from deltaloom.sim.testing.streams import run, set_value

DEPTH = 16
SHAPES = {
    "narrow": {"sum_bits": 16, "shifts": (10, 13)},
    "usual": {"sum_bits": 24, "shifts": (8, 23)},
    "wide": {"sum_bits": 40, "shifts": (24, 40), "pre_bits": 28},
    "one shift": {"sum_bits": 20, "shifts": (12, 12)},
}


def make(name):
    return AcceleratorConfig(
        **{"word_bits": 16, "drain_rows": 2, "row_words": DEPTH} | SHAPES[name]
    )


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_parts_and_their_latency(name, loaded):
    """A word a cycle, with parameters that are asked for SCALE cycles before."""
    config = make(name)
    low, high = config.shifts
    rng = np.random.default_rng(3)
    mult = rng.integers(-(1 << 15), 1 << 15, (DEPTH, 2))
    bias = rng.integers(-(1 << 19), 1 << 19, (DEPTH, 2))
    words = [
        sum(
            (int(m) & 0xFFFF | (int(b) & 0xFFFFF) << 16) << 36 * n
            for n, (m, b) in enumerate(zip(mult[k], bias[k], strict=True))
        )
        for k in range(DEPTH)
    ]
    count = 60
    rows = rng.integers(DEPTH, size=count)
    shifts = rng.integers(low, high + 1, count)
    flush = rng.random(count) < 0.2
    there = rng.random(count) < 0.8
    # No part leaves pre_bits, as the compiler proves of every network.
    bound = min(1 << config.sum_bits - 1, 1 << config.pre_bits - 17 + low) - 1
    sums = rng.integers(-bound, bound + 1, (count, 2))
    sums[flush] = 0  # as `Sums` hands them on
    expected = np.array(
        [rshr(sums[k] * mult[rows[k]], int(shifts[k])) + bias[rows[k]] for k in range(count)]
    )
    expected[flush] = 0
    dut = Scale(config, init=[] if loaded else words)
    found, cycles = [], []

    async def drive(ctx):
        for address, value in enumerate(words if loaded else []):
            set_value(ctx, dut.load.en, 1)
            set_value(ctx, dut.load.addr, address)
            set_value(ctx, dut.load.data, value)
            await ctx.tick()
        set_value(ctx, dut.load.en, 0)
        none = dict.fromkeys(dut.i.payload.tag.shape().members, 0)
        for cycle in range(count + SCALE + collect_stage(config)):
            k = cycle - SCALE
            ctx.set(dut.i.valid, bool(0 <= k < count and there[k]))
            if cycle < count:
                set_value(ctx, dut.row, int(rows[cycle]))
            if 0 <= k < count:
                tag = none | {"shift": int(shifts[k]), "flush": int(flush[k]), "unit": k}
                set_value(ctx, dut.i.payload, {"tag": tag, "values": sums[k].tolist()})
            _, _, valid, out = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                found.append([out.values[n] for n in range(2)])
                cycles.append((cycle - collect_stage(config), out.tag.unit))

    run(dut, drive, cycles=1000)
    kept = np.flatnonzero(there)
    np.testing.assert_array_equal(found, expected[kept])
    assert cycles == [(k, k) for k in kept]


@pytest.mark.parametrize("name", SHAPES)
def test_stages_follow_the_rescaler(name):
    config = make(name)
    assert collect_stage(config) == SCALE + rescale_cycles(config) + 1
    assert complete_stage(config) == collect_stage(config) + 1
