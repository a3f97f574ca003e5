# SPDX-License-Identifier: Apache-2.0
"""Means over units: the circuit is golden's."""

import numpy as np
import pytest

from deltaloom.golden.cells.steps import mean, one_over
from deltaloom.hw.datapath.turns.unit_mean import UnitMean
from deltaloom.sim.testing.streams import run, set_value


def measured(layers, bits, width):
    """The means of layers' values that come one layer after the other, `width` units a cycle."""
    dut, means = UnitMean(value_bits=bits, mean_bits=bits + 1, width=width), []

    async def testbench(ctx):
        for values in layers:
            mult, shift = one_over(len(values))
            set_value(ctx, dut.mult, mult)
            set_value(ctx, dut.shift, shift)
            cycles = range(0, len(values), width)
            for at in cycles:
                units = [int(v) for v in values[at : at + width]]
                word = sum((v & ((1 << bits) - 1)) << (n * bits) for n, v in enumerate(units))
                set_value(ctx, dut.values, word)
                set_value(ctx, dut.there, (1 << len(units)) - 1)
                set_value(ctx, dut.first, int(at == 0))
                set_value(ctx, dut.last, int(at == cycles[-1]))
                await ctx.tick()
            set_value(ctx, dut.there, 0)
            waited = 0
            while not ctx.get(dut.done):
                await ctx.tick()
                waited += 1
            assert waited == shift + 2
            means.append(ctx.get(dut.mean))

    run(dut, testbench, cycles=20_000)
    return means


@pytest.mark.parametrize(("bits", "width"), [(16, 1), (34, 1), (17, 4)])
def test_equals_golden(bits, width):
    rng = np.random.default_rng(bits)
    top = 1 << (bits - 1)
    layers = [rng.integers(-top, top, n) for n in (1, 2, 3, 5, 7, 64, 100, 128)]
    layers += [np.full(n, v) for n in (1, 3, 300) for v in (-top, top - 1, -1, 1)]
    expected = [int(mean(values)[0]) for values in layers]
    assert measured(layers, bits, width) == expected
