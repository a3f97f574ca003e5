# SPDX-License-Identifier: Apache-2.0
"""The stages of a cell that takes means over its units, one after the other, against golden."""

import numpy as np
import pytest

from deltaloom.golden.cells import Numbers, State, describe
from deltaloom.golden.cells.lstm_norm import lstm_norm
from deltaloom.golden.cells.steps import mean
from deltaloom.golden.cells.values import GATE, UNIT, Format, over_root, rshr, sat16, tanh
from deltaloom.golden.cells.values import mean as mean_of
from deltaloom.hw.cells.base import STATE_LATENCY
from deltaloom.hw.cells.pipeline import pipeline
from deltaloom.sim.testing.streams import run, set_value


def turn_in_hardware(cell, inputs, means, c_exponent, vector_shift):
    """All that a turn leaves, by name; inputs: [units], means by n."""
    (stage,) = cell.stages
    dut = pipeline(stage)()
    units = len(inputs[stage.gates[0]])
    ports = {"c_next": dut.LATENCY, "h_next": dut.LATENCY}
    ports |= {f"sum_{n}": cycle for n, cycle in dut.SUM_CYCLES.items()}
    found = {name: [] for name in ports}
    last = max(ports.values())

    async def testbench(ctx):
        set_value(ctx, dut.c_exponent, c_exponent)
        if "vectors" in dut.READS:
            set_value(ctx, dut.vector_shift, vector_shift)
        for n, value in means.items():
            set_value(ctx, getattr(dut, f"mean_{n}"), value)
        for name in stage.constants:
            set_value(ctx, dut.constants[f"layer_{name}"], int(inputs[name][0]))
        for _ in range(max(dut.SETTLES)):
            await ctx.tick()
        for n in range(units + last):
            if n < units:
                set_value(ctx, dut.p, [int(inputs[gate][n]) for gate in stage.gates])
            late = n - STATE_LATENCY
            if 0 <= late < units:
                for name in {"c", "h"} & stage.inputs:
                    set_value(ctx, getattr(dut, name), int(inputs[name][late]))
                if stage.vectors:
                    word = {name: int(inputs[name][late]) for name in stage.vectors}
                    set_value(ctx, dut.vectors, word)
            for name, cycle in ports.items():
                if cycle <= n < cycle + units:
                    found[name].append(ctx.get(getattr(dut, name)))
            await ctx.tick()

    run(dut, testbench, cycles=units + max(dut.SETTLES) + last + 5)
    return {name: np.array(values) for name, values in found.items()}


def check(cell, p, state, numbers):
    """All turns in hardware, with golden's means between them; the state is golden's step."""
    expected = cell.step(p, state, numbers)
    inputs = {**p, "c": state.c, "h": state.h, **numbers.vectors}
    settings = numbers.c_exponent, numbers.vector_shift
    means = {}
    for turn in cell.stages[0].turns:
        found = turn_in_hardware(cell, inputs, means, *settings)
        means |= {n: int(mean(found[f"sum_{n}"], count)[0]) for n, count in turn.items()}
    found = turn_in_hardware(cell, inputs, means, *settings)
    np.testing.assert_array_equal(found["h_next"], expected.h)
    if cell.has_c:
        np.testing.assert_array_equal(found["c_next"], expected.c)


@pytest.mark.parametrize(("units", "scale"), [(7, 20), (128, 3000), (1, 40_000)])
def test_lstm_with_layer_norm(units, scale):
    rng = np.random.default_rng(units)
    p = {
        gate: np.clip(rng.normal(rng.normal() * scale, scale, units), -32768, 32767).astype(int)
        for gate in lstm_norm.gates
    }
    vectors = {name: rng.integers(-32768, 32768, units) for name in lstm_norm.vectors}
    vectors |= {
        name: np.full(units, rng.integers(0, 400)) for name in lstm_norm.stages[0].constants
    }
    state = State(*rng.integers(-32768, 32768, (2, units)))
    check(lstm_norm, p, state, Numbers(c_exponent=3, vectors=vectors, vector_shift=13))


@pytest.mark.parametrize("word", [-32768, 32767])
def test_all_units_alike_have_no_variance(word):
    p = {gate: np.full(33, word) for gate in lstm_norm.gates}
    vectors = {name: np.full(33, 16384) for name in lstm_norm.vectors}
    zero = np.zeros(33, np.int64)
    check(lstm_norm, p, State(zero, zero), Numbers(vectors=vectors, vector_shift=18))


def test_means_of_means_and_other_formats():
    @describe(x="n", h="n", bounded=True, candidate="n")
    def own(n, h):
        m = mean_of(rshr(tanh(n) * h, GATE))
        d = n - mean_of(sat16(n - m))
        root = over_root(d, mean_of(rshr(d * d, Format(16))) + 1, Format(14))
        return {"h": sat16(rshr(root, UNIT))}

    rng = np.random.default_rng(8)
    p = {"n": rng.integers(-32768, 32768, 50)}
    check(own, p, State(np.zeros(50), rng.integers(-32768, 32768, 50)), Numbers())
