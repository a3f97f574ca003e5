# SPDX-License-Identifier: Apache-2.0
"""`RescaleTwice` against golden's `rescale`, which is LiteRT's."""

import gc

import numpy as np
import pytest
from amaranth.sim import Simulator

from deltaloom.golden.integer_lstm.arithmetic import clamp, rescale
from deltaloom.hw.parts.rescale_twice import RescaleTwice

UNUSED = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
"""For a component whose __init__ raises: it is never elaborated."""

SIZES = {
    "rows": (26, (-2, 3), 18),
    "left": (20, (-30, -1), 18),
    "none": (18, (0, 0), 16),
    "hidden": (31, (0, 31), 10),
    "narrow": (2, (1, 31), 2),
    "one": (19, (7, 7), 18),
    "widest": (36, (-1, 1), 18),
}


def cases(value_bits, shifts, seed=0, count=1500):
    """Values, multipliers and shifts: at random, at the ends, and where roundings are halves."""
    rng = np.random.default_rng(seed)
    shift = rng.integers(shifts[0], shifts[1] + 1, count)
    most = np.minimum(
        value_bits - 1, 31 + np.minimum(shift, 0)
    )  # what is shifted left fits 32 bits
    most = np.minimum(most, rng.integers(1, 40, count))
    value = (rng.uniform(-1, 1, count) * 2.0**most).astype(np.int64)
    value = np.where(rng.random(count) < 0.2, -(1 << most), value)
    value = np.where(rng.random(count) < 0.2, (1 << most) - 1, value)
    mult = rng.integers(1 << 30, 1 << 31, count)
    mult = np.where(rng.random(count) < 0.3, 1 << 30, mult)  # exactly 1/2: many halves
    mult = np.where(rng.random(count) < 0.1, 0, mult)
    mult = np.where(rng.random(count) < 0.1, (1 << 31) - 1, mult)
    return value, mult, shift


@pytest.mark.parametrize(
    "bits, shifts, out, line",
    [
        (1, (0, 0), 8, "value_bits and out_bits must be at least 2, got 1 and 8"),
        (8, (2, 1), 8, r"shifts must be within -30..31 and in order, got \(2, 1\)"),
        (8, (-31, 1), 8, "shifts must be within"),
        (8, (0, 32), 8, "shifts must be within"),
    ],
)
@UNUSED
def test_refuses(bits, shifts, out, line):
    with pytest.raises(ValueError, match=line):
        RescaleTwice(value_bits=bits, shifts=shifts, out_bits=out)
    gc.collect()


@pytest.mark.parametrize("size", SIZES)
def test_equals_golden(size):
    value_bits, shifts, out_bits = SIZES[size]
    dut = RescaleTwice(value_bits=value_bits, shifts=shifts, out_bits=out_bits)
    value, mult, shift = cases(value_bits, shifts)
    expected = clamp(
        rescale(value, mult, -shift), -(1 << (out_bits - 1)), (1 << (out_bits - 1)) - 1
    )
    got = []

    async def bench(ctx):
        for n in range(len(value) + dut.latency):
            if n < len(value):
                ctx.set(dut.value, int(value[n]))
                ctx.set(dut.mult, int(mult[n]))
                ctx.set(dut.shift, int(shift[n]))
            if n >= dut.latency:
                got.append(ctx.get(dut.o))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    np.testing.assert_array_equal(got, expected)
    assert len(set(expected.tolist())) > 2
