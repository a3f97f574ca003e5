# SPDX-License-Identifier: Apache-2.0
"""Means over units: the circuit is golden's."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from deltaloom.golden.cells.steps import mean, one_over
from deltaloom.hw.datapath.turns.unit_mean import Reciprocal, UnitMean, division_cycles, sum_cycles
from deltaloom.sim.testing.streams import run, set_value


class Divided(wiring.Component):
    """A mean with its own reciprocal."""

    def __init__(self, bits, width):
        self.mean = UnitMean(value_bits=bits, mean_bits=bits + 1, width=width)
        self.reciprocal = Reciprocal()
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.mean, m.submodules.reciprocal = self.mean, self.reciprocal
        for name in ("start", "runs", "bit", "rounds"):
            m.d.comb += getattr(self.mean, name).eq(getattr(self.reciprocal, name))
        return m


def measured(layers, bits, width):
    """The means of layers' values that come one layer after the other, `width` units a cycle."""
    dut, means = Divided(bits, width), []

    async def testbench(ctx):
        for values in layers:
            mult, shift = one_over(len(values))
            set_value(ctx, dut.reciprocal.mult, mult)
            set_value(ctx, dut.reciprocal.shift, shift)
            for at in range(0, len(values), width):
                units = [int(v) for v in values[at : at + width]]
                word = sum((v & ((1 << bits) - 1)) << (n * bits) for n, v in enumerate(units))
                word |= 12345 << len(units) * bits  # of no unit
                set_value(ctx, dut.mean.values, word & ((1 << width * bits) - 1))
                set_value(ctx, dut.mean.there, (1 << len(units)) - 1)
                set_value(ctx, dut.mean.first, int(at == 0))
                await ctx.tick()
            set_value(ctx, dut.mean.there, 0)
            for _ in range(1, sum_cycles(width)):
                await ctx.tick()
            set_value(ctx, dut.reciprocal.start, 1)
            waited = 0
            while not ctx.get(dut.reciprocal.done):
                await ctx.tick()
                set_value(ctx, dut.reciprocal.start, 0)
                waited += 1
            assert waited == division_cycles(shift)
            means.append(ctx.get(dut.mean.mean))

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
