# SPDX-License-Identifier: Apache-2.0
"""One accelerator, several networks: another image is loaded while no frame is under way."""

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from deltaloom.golden.engines.engine import run as run_golden
from deltaloom.golden.models.synthetic import make_frames, make_network
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.datapath.core import Core
from deltaloom.sim.testing.core import feed, load_image, run_core
from deltaloom.sim.testing.kinds import crossed

SHAPES = {
    "deep": (4, [("lstm", 6), ("lstm", 3), ("linear", 5)]),
    "flat": (7, [("lstm", 9)]),
    "staged": (2, [("gru_before", 5)]),
    "linear": (3, [("linear", 4)]),
}


@pytest.mark.parametrize(
    ("order", "steps"),
    crossed([("deep", "flat", "linear", "staged"), ("staged", "linear", "deep", "flat")], [2, 3]),
)
def test_one_network_after_the_other(order, steps):
    networks = {
        name: make_network(shape, inputs, seed=n, threshold=n)
        for n, (name, (inputs, shape)) in enumerate(SHAPES.items())
    }
    config = derive_config(*networks.values(), word_bits=32)
    core = Core(config)
    frames = {
        name: make_frames(network.inputs, steps, seed=7, smooth=0.5)
        for name, network in networks.items()
    }

    async def source(ctx):
        for name in order:
            await load_image(ctx, core, compile_network(networks[name], config), config)
            # The last sequence's mark is left out: a loaded network starts one by itself.
            await feed(ctx, core, [frames[name]], mark=False)
            await ctx.tick().repeat(1500)  # all its outputs have come

    result = run_core(core, source, steps * len(order))
    expected = [run_golden(networks[name], [frames[name]])[0].outputs.reshape(-1) for name in order]
    np.testing.assert_array_equal(result.outputs, np.concatenate(expected))


@pytest.mark.parametrize("baked", [False, True])
def test_a_loaded_network_outlives_a_reset(baked):
    """Also where another network was baked in."""
    network = make_network([("lstm", 5), ("linear", 2)], 3, seed=1)
    other = make_network([("linear", 4)], 6, seed=2)
    config = derive_config(network, other, word_bits=32)
    core = Core(config, compile_network(other, config) if baked else None)
    reset = Signal()
    frames = make_frames(3, 3, seed=4)

    async def source(ctx):
        await load_image(ctx, core, compile_network(network, config), config)
        await feed(ctx, core, [frames[:1]])
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        await feed(ctx, core, [frames], mark=False)

    result = run_core(core, source, 3, dut=ResetInserter(reset)(core), reset=reset)
    np.testing.assert_array_equal(
        result.outputs, run_golden(network, [frames])[0].outputs.reshape(-1)
    )


def test_a_frame_waits_for_a_network():
    network = make_network([("lstm", 5), ("linear", 2)], 3, seed=1)
    config = derive_config(network, word_bits=32)
    core = Core(config)
    frames = make_frames(3, 2, seed=4)
    starts = []

    async def source(ctx):
        await feed(ctx, core, [frames])

    async def loader(ctx):
        for _ in range(20):
            starts.append((await ctx.tick().sample(core.frame))[2])
        await load_image(ctx, core, compile_network(network, config), config)

    result = run_core(core, source, 2, loader)
    assert starts == [0] * 20
    np.testing.assert_array_equal(
        result.outputs, run_golden(network, [frames])[0].outputs.reshape(-1)
    )
