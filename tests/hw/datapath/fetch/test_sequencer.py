# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.datapath.fetch.sequencer import Sequencer
from deltaloom.hw.words import pass_word
from deltaloom.sim.testing.streams import receive, run, send

STEPS = [
    {"first": 1, "fresh": 1, "parity": 0},
    {"first": 0, "fresh": 0, "parity": 1},
    {"first": 1, "fresh": 0, "parity": 0},
]


def program_of(shape):
    network = make_network(shape, 3)
    return compile_network(network, derive_config(network, word_bits=16, drain_rows=1)).contents[
        "program"
    ]


def check(program, *, depth=None, loaded=False, tags=0, fetch=0, rows=0):
    """Every pass of every step comes out at both, in order; the rests of the three streams."""
    rng = np.random.default_rng(tags + fetch + rows)
    dut = Sequencer(depth=depth or len(program), init=[] if loaded else program)
    got = {}

    async def load(ctx):
        for addr, word in enumerate(program if loaded else []):
            ctx.set(dut.load.en, 1)
            ctx.set(dut.load.addr, addr)
            ctx.set(dut.load.data, word)
            await ctx.tick()
        ctx.set(dut.load.en, 0)
        await send(ctx, dut.i, STEPS, lambda: int(rng.integers(tags + 1)))

    def sink(name, most):
        async def testbench(ctx):
            count = len(STEPS) * len(program)
            pause = lambda: int(rng.integers(most + 1))  # noqa: E731
            got[name] = await receive(ctx, getattr(dut, name), count, pause)

        return testbench

    run(dut, load, sink("fetch", fetch), sink("rows", rows), cycles=5000)
    passes = [pass_word().from_bits(word) for word in program]
    for name in ("fetch", "rows"):
        found = [(job["pass"], job.step) for job in got[name]]
        assert len(found) == len(STEPS) * len(passes)
        for n, (one, step) in enumerate(found):
            assert one == getattr(passes[n % len(passes)], name)
            tag = STEPS[n // len(passes)]
            assert {field: step[field] for field in tag} == tag


@pytest.mark.parametrize("shape", [[("linear", 1)], [("lstm", 9), ("linear", 3)]])
@pytest.mark.parametrize(("tags", "fetch", "rows"), [(0, 0, 0), (9, 0, 0), (0, 5, 0), (0, 1, 6)])
def test_program_runs_once_a_step(shape, tags, fetch, rows):
    check(program_of(shape), tags=tags, fetch=fetch, rows=rows)


def test_loaded_program_shorter_than_the_memory():
    check(program_of([("lstm", 9)]), depth=50, loaded=True)


def test_a_pass_every_fourth_cycle():
    program = program_of([("lstm", 9), ("linear", 3)])
    dut = Sequencer(depth=len(program), init=program)
    cycles = []

    async def testbench(ctx):
        for stream in (dut.fetch, dut.rows):
            ctx.set(stream.ready, 1)
        ctx.set(dut.i.valid, 1)
        for cycle in range(9 * len(program)):
            if (await ctx.tick().sample(dut.fetch.valid))[2]:
                cycles.append(cycle)

    run(dut, testbench, cycles=500)
    assert np.diff(cycles).tolist() == [4] * (len(cycles) - 1)
    assert len(cycles) >= 2 * len(program) - 1
