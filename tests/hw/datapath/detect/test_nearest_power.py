# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from deltaloom.golden.arithmetic import WIDTHS, code_range
from deltaloom.golden.delta import nearest_power
from deltaloom.hw.datapath.detect.nearest_power import NearestPower
from deltaloom.sim.testing.streams import run, set_value


def check(code_bits, bits, q, reference):
    """One pair a cycle, against golden."""
    dut = NearestPower(code_bits=code_bits)
    d = q - reference
    steps = nearest_power(d, reference, bits)
    found = []

    async def testbench(ctx):
        set_value(ctx, dut.width, WIDTHS.index(bits))
        for n in range(len(d) + dut.latency):
            at = min(n, len(d) - 1)
            set_value(ctx, dut.d, int(d[at]))
            set_value(ctx, dut.reference, int(reference[at]))
            found.append((ctx.get(dut.step), ctx.get(dut.reached)))
            await ctx.tick()

    run(dut, testbench, cycles=20000)
    expected = zip(steps.tolist(), (reference + steps).tolist(), strict=True)
    assert found[dut.latency :] == list(expected)


def pairs(codes):
    q, reference = (grid.ravel() for grid in np.meshgrid(codes, codes))
    return q[q != reference], reference[q != reference]


@pytest.mark.parametrize(("code_bits", "bits"), [(2, 2), (4, 2), (4, 4), (8, 4), (16, 2)])
def test_every_pair_of_narrow_codes(code_bits, bits):
    low, high = code_range(bits)
    check(code_bits, bits, *pairs(np.arange(low, high + 1)))


@pytest.mark.parametrize(("code_bits", "bits"), [(8, 8), (16, 8), (16, 16)])
def test_corners_and_random_pairs_of_wide_codes(code_bits, bits):
    low, high = code_range(bits)
    rng = np.random.default_rng(bits)
    corners = [low, low + 1, low // 2, -3, -1, 0, 1, 2, 3, high // 3, high // 2, high - 1, high]
    check(code_bits, bits, *pairs(np.unique([*corners, *rng.integers(low, high + 1, 40)])))
