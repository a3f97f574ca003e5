# SPDX-License-Identifier: Apache-2.0
"""`RoundFloat` against NumPy's float32."""

import gc

import numpy as np
import pytest
from amaranth.sim import Simulator

from deltaloom.golden.integer_lstm.arithmetic import rescale
from deltaloom.hw.parts.rescale_twice import MULT_BITS, RescaleTwice
from deltaloom.hw.parts.round_float import RoundFloat

UNUSED = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
"""For a component whose __init__ raises: it is never elaborated."""
COUNT = 1000
REACH = 512


def near_halves(rng, shift, count=COUNT):
    """Sums and 24-bit factors, as multipliers, many of whose products are next to a half."""
    mult = rng.integers(1 << 23, 1 << 24, count) << (MULT_BITS - 24)
    mult = np.where(rng.random(count) < 0.3, 3 << 29, mult)
    mult = np.where(rng.random(count) < 0.1, 1 << 30, mult)
    factor = mult * 2.0 ** -(MULT_BITS + shift)
    half = rng.integers(-REACH, REACH, count) + 0.5
    half = np.where(rng.random(count) < 0.3, half / 64, half)
    sums = np.rint(half / factor) + rng.integers(-1, 2, count)
    return np.clip(sums, 1 - (1 << 24), (1 << 24) - 1).astype(np.int64), mult


def expected(sums, mult, shift):
    factor = (mult * 2.0 ** -(MULT_BITS + shift)).astype(np.float32)
    return np.rint(sums.astype(np.float32) * factor).astype(np.int64)


def clipped(values):
    return np.clip(values, 1 - REACH, REACH - 1)


def simulated(dut, rows):
    """The results of rows of inputs by name, one a cycle."""
    got = []

    async def bench(ctx):
        for n in range(len(rows) + dut.latency):
            if n < len(rows):
                for name, value in rows[n].items():
                    ctx.set(getattr(dut, name), int(value))
            if n >= dut.latency:
                got.append(ctx.get(dut.o))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(got)


@pytest.mark.parametrize(
    "shifts, out_bits, line",
    [((-7, 0), 12, "within -6..31 and in order"), ((0, 0), 10, "at least 11, got 10")],
)
@UNUSED
def test_refuses(shifts, out_bits, line):
    with pytest.raises(ValueError, match=line):
        RoundFloat(bits=40, shifts=shifts, out_bits=out_bits)
    gc.collect()


@pytest.mark.parametrize("shifts", [(10, 10), (-6, -3), (8, 13)])
def test_equals_float32(shifts):
    rng = np.random.default_rng(0)
    shift = rng.integers(shifts[0], shifts[1] + 1, COUNT)
    pairs = [near_halves(rng, int(s), 1) for s in shift]
    sums, mult = (np.concatenate(each) for each in zip(*pairs, strict=True))
    dut = RoundFloat(bits=25 + MULT_BITS, shifts=shifts, out_bits=12)
    rows = [
        {"product": a * b, "shift": s}
        for a, b, s in zip(sums.tolist(), mult.tolist(), shift.tolist(), strict=True)
    ]
    wanted = expected(sums, mult, shift)
    np.testing.assert_array_equal(clipped(simulated(dut, rows)), clipped(wanted))


def test_ties_of_both_roundings():
    """A half exactly; and as far above one as float32 rounds to it, and no farther."""
    rows, wanted = [], []
    for n in (0, 1, 2, 3, 6, 7, 255, 256, 300, 511):
        exponent = int(np.floor(np.log2(n + 0.5)))
        for sign in (1, -1):
            for units in (-2, -1, 0, 1, 2):  # of half a unit in the last place
                for least in (-1, 0, 1):
                    value = sign * ((2 * n + 1 << 39) + (units << 16 + exponent) + least)
                    rows.append({"product": value, "shift": 9})
                    wanted.append(np.rint(np.float32(value * 2.0**-40)))
    dut = RoundFloat(bits=56, shifts=(9, 9), out_bits=12)
    np.testing.assert_array_equal(clipped(simulated(dut, rows)), clipped(np.array(wanted, int)))


def test_beside_the_other_rounding():
    rng = np.random.default_rng(1)
    dut = RescaleTwice(value_bits=25, shifts=(-1, 3), out_bits=18, float_shifts=(9, 9))
    sums, mult = near_halves(rng, 9, 300)
    rows = [
        {"value": a, "mult": b, "shift": 9, "floats": 1}
        for a, b in zip(sums.tolist(), mult.tolist(), strict=True)
    ]
    between = [
        {"value": 100 * n, "mult": 1 << 30, "shift": n % 5 - 1, "floats": 0} for n in range(300)
    ]
    mixed = [row for pair in zip(rows, between, strict=True) for row in pair]
    got = simulated(dut, mixed)
    np.testing.assert_array_equal(clipped(got[::2]), clipped(expected(sums, mult, 9)))
    others = [int(rescale(r["value"], r["mult"], -r["shift"])) for r in between]
    np.testing.assert_array_equal(got[1::2], others)
