# SPDX-License-Identifier: Apache-2.0
"""The integer LSTM's cells: their description and their pipeline against golden's step."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.integer_lstm.cells import find_stage, lstm_stages
from deltaloom.golden.integer_lstm.constants import lstm_constants
from deltaloom.golden.integer_lstm.lstm import step
from deltaloom.golden.integer_lstm.recipe import quantize
from deltaloom.golden.integer_lstm.synthetic import make_frames, make_lstm_network
from deltaloom.hw.cells.base import CONSTANT_LATENCY, STATE_LATENCY
from deltaloom.hw.cells.pipeline import pipeline
from deltaloom.sim.testing.cell import run, set_value

VARIANTS = ("plain", "coupled", "cell_clip", "peephole")
UNITS = 200
ENDS = (-32768, -32767, -1, 0, 1, 32766, 32767)


@cache
def make_layer(variant, cell_log2):
    model = make_lstm_network(variant, (3, 1), seed=2)
    (layer,) = quantize(model, Dataset(tuple(make_frames(3, [40])))).layers
    return replace(layer, cell_log2=cell_log2)


def units(layer, count=UNITS):
    """Pre-activations [count, gates, 1] and c [count, 1]: anything, and the ends."""
    rng = np.random.default_rng(0)
    shape = (count, len(layer.gates) + 1)
    values = np.where(
        rng.random(shape) < 0.2, rng.choice(ENDS, shape), rng.integers(-32768, 32768, shape)
    )
    values[: count // 2] //= 16  # where sigmoid and tanh bend
    return values[:, :-1, None], values[:, -1:]


def inputs_of(layer):
    """The layer's constants by the cell's names, and the vectors of the first unit."""
    k = lstm_constants(layer)
    seen = {}
    if k.peephole is not None:
        for n, gate in enumerate(layer.peephole_gates):
            seen[f"v_{gate}"] = int(layer.peephole[n, 0])
            seen[f"layer_{gate}_mult"] = int(k.peephole.mult[n].item())
            seen[f"layer_{gate}_shift"] = -int(k.peephole.shift[n].item())
    return {
        **seen,
        "layer_hidden_mult": int(k.hidden.mult[0]),
        "layer_hidden_shift": -int(k.hidden.shift[0]),
        "layer_zero": k.hidden_zero,
        "layer_clip": k.cell_clip,
    }


def stage_of(layer, exponents):
    parts = {"peephole": layer.peephole is not None, "clip": layer.cell_clip > 0}
    (stage,) = lstm_stages(layer.gates, exponents=exponents, **parts)
    return stage


@pytest.mark.parametrize("cell_log2", range(-15, -8))
@pytest.mark.parametrize("variant", VARIANTS)
def test_description_is_the_step(variant, cell_log2):
    layer = make_layer(variant, cell_log2)
    stage = stage_of(layer, range(7))
    p, c = units(layer, 4_000)
    gates = {gate: p[:, n] for n, gate in enumerate(layer.gates)}
    found = stage.run({**gates, "c": c, **inputs_of(layer)}, 15 + cell_log2, 0)
    c_next, h = step(layer, lstm_constants(layer), p, c)
    np.testing.assert_array_equal(found["c"], c_next)
    np.testing.assert_array_equal(found["h"], h)


@pytest.mark.parametrize("variant", ("plain", "coupled", "cell_clip"))
def test_two_stages_are_the_step(variant):
    """Those of normalised gates that have seen the cell state, found by their names."""
    layer = make_layer(variant, -13)
    clip = layer.cell_clip > 0
    stages = lstm_stages(layer.gates, exponents=(0, 2), peephole=True, norm=True, clip=clip)
    p, c = units(layer, 4_000)
    state = {"c": c, "h": np.full_like(c, 99)}
    given = {gate: p[:, n] for n, gate in enumerate(layer.gates)} | inputs_of(layer)
    for stage, gates in zip(stages, (layer.gates[:-1], ("o",)), strict=True):
        assert find_stage(stage.name).name == stage.name
        assert stage.gates == gates
        assert stage.prepared == {"norm", "norm_c"}
        state = stage.run({**given, **state}, 2, 0)
    c_next, h = step(layer, lstm_constants(layer), p, c)
    np.testing.assert_array_equal(state["c"], c_next)
    np.testing.assert_array_equal(state["h"], h)


def simulated(cell, p, c, inputs, c_exponent):
    """c and h after each of some units, one a cycle."""
    rows = []

    async def bench(ctx):
        for n in range(len(p) + cell.LATENCY):
            if n < len(p):
                set_value(ctx, cell.p, [int(v) for v in p[n]])
                ctx.set(cell.c_exponent, c_exponent)
            if n == CONSTANT_LATENCY:
                set_value(ctx, cell.constants, {name: inputs[name] for name in cell.CONSTANTS})
            if n == STATE_LATENCY and cell.VECTORS:
                set_value(ctx, cell.vectors, {name: inputs[name] for name in cell.VECTORS})
            if STATE_LATENCY <= n < len(p) + STATE_LATENCY:
                ctx.set(cell.c, int(c[n - STATE_LATENCY]))
            if n >= cell.LATENCY:
                rows.append((ctx.get(cell.c_next), ctx.get(cell.h_next)))
            await ctx.tick()

    run(cell, bench, cycles=len(p) + cell.LATENCY + 5)
    return np.array(rows).T


@pytest.mark.parametrize(
    "variant, cell_log2, exponents",
    [("peephole", -12, (3,)), ("coupled", -15, (0, 2)), ("cell_clip", -9, (3, 6))],
)
def test_pipeline_is_the_step(variant, cell_log2, exponents):
    layer = make_layer(variant, cell_log2)
    p, c = units(layer)
    cell = pipeline(stage_of(layer, exponents))()
    got_c, got_h = simulated(cell, p[:, :, 0], c[:, 0], inputs_of(layer), 15 + cell_log2)
    c_next, h = step(layer, lstm_constants(layer), p, c)
    np.testing.assert_array_equal(got_c, c_next[:, 0])
    np.testing.assert_array_equal(got_h, h[:, 0])
