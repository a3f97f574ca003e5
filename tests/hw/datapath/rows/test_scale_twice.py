# SPDX-License-Identifier: Apache-2.0
"""`ScaleTwice` against golden's `rescale` and NumPy's float32, in one stream."""

import numpy as np
import pytest

from deltaloom.golden.integer_lstm.arithmetic import clamp, clamp16, rescale
from deltaloom.hw.config import AcceleratorConfig
from deltaloom.hw.datapath.rows.scale_twice import ScaleTwice
from deltaloom.hw.datapath.rows.stages import SCALE, UNSHIFTED, collect_stage
from deltaloom.hw.words import pack
from deltaloom.sim.testing.streams import run, set_value

DEPTH, COUNT = 16, 80


def make(row_mults):
    return AcceleratorConfig(
        word_bits=16,
        drain_rows=2,
        row_words=DEPTH,
        arithmetic="integer-lstm",
        cells=("integer_lstm_c3", "integer_linear"),
        sum_bits=24,
        pre_bits=18,
        shifts=(UNSHIFTED - 1, UNSHIFTED),
        float_shifts=(UNSHIFTED + 9, UNSHIFTED + 11),
        row_mults=row_mults,
    )


@pytest.mark.parametrize("row_mults", [False, True])
def test_parts_and_their_latency(row_mults):
    config = make(row_mults)
    rng = np.random.default_rng(4)
    floats = rng.random(DEPTH) < 0.4  # of a word of parameters
    saturates = rng.random(DEPTH) < 0.5
    mult = rng.integers(1 << 30, 1 << 31, (DEPTH, 2))
    mult[floats] &= ~127  # 24 bits, as those of float32 have
    if not row_mults:
        mult[:, 1] = mult[:, 0]
    bias = rng.integers(-(1 << 20), 1 << 20, (DEPTH, 2))
    words = [
        pack(
            config.row_parameters,
            {
                "mult": mult[k, : 1 + row_mults].tolist(),
                "saturates": saturates[k],
                "floats": floats[k],
                "bias": bias[k].tolist(),
            },
        )
        for k in range(DEPTH)
    ]
    rows = rng.integers(DEPTH, size=COUNT)
    shifts = np.where(floats[rows], rng.integers(9, 12, COUNT), rng.integers(-1, 1, COUNT))
    sums = rng.integers(-(1 << 21), 1 << 21, (COUNT, 2)) >> rng.integers(0, 12, (COUNT, 1))
    flush = rng.random(COUNT) < 0.2
    sums[flush] = 0  # as `Sums` hands them on
    values, factors = sums + bias[rows], mult[rows]
    products = values.astype(np.float32) * (factors * 2.0 ** -(UNSHIFTED + shifts[:, None])).astype(
        np.float32
    )
    twice = clamp(rescale(values, factors, -shifts[:, None]), -(1 << 17), (1 << 17) - 1)
    expected = np.where(
        floats[rows, None], clamp(np.rint(products), -511, 511).astype(np.int64), twice
    )
    expected = np.where(saturates[rows, None], clamp16(expected), expected)
    expected[flush] = 0
    dut = ScaleTwice(config, init=words)
    found, cycles = [], []

    async def drive(ctx):
        none = dict.fromkeys(dut.i.payload.tag.shape().members, 0)
        for cycle in range(COUNT + SCALE + collect_stage(config)):
            k = cycle - SCALE
            ctx.set(dut.i.valid, 0 <= k < COUNT)
            if cycle < COUNT:
                set_value(ctx, dut.row, int(rows[cycle]))
            if 0 <= k < COUNT:
                shift = {"shift": UNSHIFTED + int(shifts[k]), "flush": int(flush[k]), "unit": k}
                set_value(ctx, dut.i.payload, {"tag": none | shift, "values": sums[k].tolist()})
            _, _, valid, out = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                found.append([out.values[n] for n in range(2)])
                cycles.append((cycle - collect_stage(config), out.tag.unit))

    run(dut, drive, cycles=1000)
    beyond = floats[rows, None] & (np.abs(found) > 511)  # any code there saturates
    np.testing.assert_array_equal(np.where(beyond, np.sign(found) * 511, found), expected)
    assert cycles == [(k, k) for k in range(COUNT)]
