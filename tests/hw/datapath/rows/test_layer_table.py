# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from deltaloom.hw.datapath.rows.layer_table import LOOK_UP, LayerTable
from deltaloom.hw.datapath.rows.words import LayerContext
from deltaloom.hw.words import EncoderRecord, layer_record, pack
from deltaloom.sim.testing.streams import run, set_value

LAYERS, ENCODERS = 5, 2


def records():
    """A record for each layer, no two alike."""
    found = []
    for n in range(LAYERS):
        encoders = [dict.fromkeys(EncoderRecord.members, 0) | {"list": 2 * n + k} for k in (0, 1)]
        context = {"cell": n, "c_exponent": n + 1, "state_base": 10 * n, "vector_shift": n + 2}
        skip = {"skip_base": 7 * n, "skip_mult": -n, "skip_shift": n + 3}
        output = int(n == LAYERS - 1)
        found.append({**context, **skip, "output": output, "encoders": encoders})
    return found


class Bench:
    """A table of `records`, and what it shows in a cycle."""

    def __init__(self, *, loaded=False):
        self.words = [pack(layer_record(ENCODERS), record) for record in records()]
        init = [] if loaded else self.words
        self.dut = LayerTable(layers=LAYERS, encoders=ENCODERS, init=init)

    async def load(self, ctx):
        for address, word in enumerate(self.words):
            set_value(ctx, self.dut.load.en, 1)
            set_value(ctx, self.dut.load.addr, address)
            set_value(ctx, self.dut.load.data, word)
            await ctx.tick()
        set_value(ctx, self.dut.load.en, 0)

    async def begin(self, ctx, layer, *, parity=0):
        """Ask for a layer until it is ready; cycles that this took."""
        set_value(ctx, self.dut.layer, layer)
        set_value(ctx, self.dut.step, {"first": 0, "fresh": 0, "parity": parity})
        ctx.set(self.dut.start, 1)
        for cycle in range(50):
            _, _, ready = await ctx.tick().sample(self.dut.ready)
            if ready:
                ctx.set(self.dut.start, 0)
                return cycle
        raise TimeoutError

    def context(self, ctx):
        return {name: int(ctx.get(self.dut.context[name])) for name in LayerContext.members}


@pytest.mark.parametrize("loaded", [False, True])
def test_contexts_in_any_order(loaded):
    bench = Bench(loaded=loaded)
    order = np.random.default_rng(1).integers(LAYERS, size=20).tolist()

    async def testbench(ctx):
        if loaded:
            await bench.load(ctx)
        for n, layer in enumerate(order):
            await bench.begin(ctx, layer, parity=n % 2)
            expected = records()[layer] | {"layer": layer}
            assert ctx.get(bench.dut.context.output) == expected["output"]
            assert ctx.get(bench.dut.begin)
            lists = [ctx.get(context.record.list) for context in bench.dut.contexts]
            assert lists == [2 * layer, 2 * layer + 1]
            assert ctx.get(bench.dut.contexts[0].parity) == n % 2
            await ctx.tick()
            assert bench.context(ctx) == {name: expected[name] for name in LayerContext.members}
            assert ctx.get(bench.dut.output) == expected["output"]

    run(bench.dut, testbench, cycles=1000)


def test_look_up():
    """A new layer is ready LOOK_UP cycles after its number, one that stays at once."""
    bench = Bench()

    async def testbench(ctx):
        await bench.begin(ctx, 1)
        await ctx.tick().repeat(5)
        assert await bench.begin(ctx, 3) == LOOK_UP
        await ctx.tick().repeat(5)
        assert await bench.begin(ctx, 3) == 0

    run(bench.dut, testbench, cycles=100)


def test_the_next_layer_waits_until_the_encoders_have_begun_this_one():
    bench = Bench()

    async def testbench(ctx):
        ctx.set(bench.dut.busy, 1)
        await bench.begin(ctx, 4)
        set_value(ctx, bench.dut.layer, 2)
        ctx.set(bench.dut.start, 1)
        for _ in range(10):
            _, _, ready, begin, output = await ctx.tick().sample(
                bench.dut.ready, bench.dut.begin, bench.dut.output
            )
            assert (ready, begin, output) == (0, 0, 0)
        assert bench.context(ctx)["cell"] == 4
        ctx.set(bench.dut.busy, 0)
        assert ctx.get(bench.dut.begin)
        assert ctx.get(bench.dut.contexts[0].record.list) == 8
        await ctx.tick()
        assert ctx.get(bench.dut.output)
        await bench.begin(ctx, 2)
        await ctx.tick()
        assert bench.context(ctx)["cell"] == 2
        assert not ctx.get(bench.dut.output)

    run(bench.dut, testbench, cycles=100)
