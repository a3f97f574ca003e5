# SPDX-License-Identifier: Apache-2.0
import gc

import numpy as np
import pytest

from deltaloom.golden import activations
from deltaloom.hw.cells.activation import Activation
from deltaloom.sim.testing.streams import run, set_value

UNUSED = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
"""For a component whose __init__ raises: it is never elaborated, and goes with the collection."""


def results(table, inputs):
    """The component's outputs for inputs that enter back to back."""
    dut = Activation(table)
    outputs = []

    async def testbench(ctx):
        for p in [*inputs, *[0] * dut.LATENCY]:
            set_value(ctx, dut.p, p)
            outputs.append(ctx.get(dut.o))
            await ctx.tick()

    run(dut, testbench, cycles=len(inputs) + 20)
    return outputs[dut.LATENCY :]


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_equals_golden_for_every_input(name):
    table = getattr(activations, name)()
    inputs = range(-32768, 32768)
    np.testing.assert_array_equal(results(table, inputs), table(np.array(inputs)))


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_order_of_inputs_does_not_matter(name):
    table = getattr(activations, name)()
    inputs = np.random.default_rng(5).integers(-32768, 32768, 500)
    corners = [-32768, 32767, -32768, 0, -1, 1, -64, 64, -63, 63, -65, 65, 32767, 0]
    sequence = [*corners, *map(int, inputs)]
    np.testing.assert_array_equal(results(table, sequence), table(np.array(sequence)))


@UNUSED
def test_rejects_a_table_that_rises_at_its_end():
    slope = np.zeros(512, np.int64)
    slope[-1] = 33
    table = activations.Table(np.zeros(512, np.int64), slope, complement=False)
    with pytest.raises(ValueError, match="table: the last slope must be at most 32, got 33"):
        Activation(table)
    gc.collect()
