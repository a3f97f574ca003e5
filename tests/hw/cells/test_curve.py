# SPDX-License-Identifier: Apache-2.0
"""Tables of any function: the circuit is golden's, at the ends of all segments too."""

import numpy as np
import pytest

from deltaloom.golden.activations import curve
from deltaloom.hw.cells.curve import CurveTable
from deltaloom.sim.testing.streams import run, set_value

CURVES = {
    "cosine": curve(np.cos, 12, 15),
    "full slopes up and down": curve(lambda x: np.sign(np.sin(x * 999)) * 9, 12, 12),
}


@pytest.mark.parametrize("name", CURVES)
def test_equals_golden_in_any_order(name):
    table, rng = CURVES[name], np.random.default_rng(3)
    ends = np.arange(-32768, 32768, 128)
    words = rng.permutation([*ends, *(ends + 127), *rng.integers(-32768, 32768, 5000)])
    dut, found = CurveTable(table), []

    async def testbench(ctx):
        for p in [*map(int, words), *[0] * dut.LATENCY]:
            set_value(ctx, dut.p, p)
            found.append(ctx.get(dut.o))
            await ctx.tick()

    run(dut, testbench, cycles=len(words) + 20)
    np.testing.assert_array_equal(found[dut.LATENCY :], table(words))
