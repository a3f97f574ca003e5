# SPDX-License-Identifier: Apache-2.0
"""Layer normalisation in the core, in Amaranth's simulator: every bit, and a step's cycles."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.integer_lstm.engine import run
from deltaloom.golden.integer_lstm.recipe import quantize
from deltaloom.golden.integer_lstm.steps import Running, first_state
from deltaloom.golden.integer_lstm.synthetic import make_frames, make_lstm_network
from deltaloom.hw.compiler.compile import compile_plan
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.compiler.plan import Plan
from deltaloom.hw.datapath.core import Core
from deltaloom.hw.estimates.cycles import estimate_plan
from deltaloom.sim.testing.core import feed, run_core

LENGTHS = (4, 2)


def make(*variants, sizes, classes=None, threshold=0, seed=0):
    """A stack with a variant for each layer; inputs, and each layer's cells."""
    model = make_lstm_network(variants, sizes, classes=classes, seed=seed)
    network = quantize(model, Dataset(tuple(make_frames(sizes[0], [40] * 4, seed=seed))))
    return network.with_thresholds({name: threshold for name, _ in network.paths()})


def codes(inputs, lengths, seed=1):
    rng = np.random.default_rng(seed)
    walks = [np.cumsum(rng.integers(-9, 10, (length, inputs)), axis=0) for length in lengths]
    ends = [rng.choice([-128, 127], walk.shape) for walk in walks]
    return [
        np.clip(w + e * (rng.random(w.shape) < 0.2), -128, 127)
        for w, e in zip(walks, ends, strict=True)
    ]


def fired(network, frames):
    """Which elements fire, by path and step; of h, also in the step behind the last one."""
    frames = np.concatenate([frames, frames[-1:]])
    found = {name: [] for name, _ in network.paths()}

    def watch(name, product):
        take = product.take

        def taking(values):
            before = product.taken[: len(values)].copy()
            result = take(values)
            found[name].append(np.flatnonzero((product.taken[: len(values)] != before)[0]))
            return result

        product.take = taking

    values = frames
    for layer in network.layers:
        running = Running(layer, first_state(layer, 1), len(values))
        for source, product in running._products.items():
            watch(f"{layer.name}.{source}", product)
        running.run(values, [(slice(t, t + 1), 1) for t in range(len(values))])
        values = running.y
    return {name: each if name.endswith(".h") else each[:-1] for name, each in found.items()}


def check(network, lengths=LENGTHS, idle=0.0, stall=0.0, **options):
    config = derive_config(network, **{"word_bits": 64, **options})
    plan = Plan.of(network, config)
    core = Core(config, compile_plan(plan))
    frames = codes(network.inputs, lengths)
    elements = config.input_elements

    async def source(ctx):
        await feed(ctx, core, frames, idle=idle, elements=elements)

    more = {"outputs": network.outputs} if config.output_elements > 1 else {}
    found = run_core(core, source, sum(lengths), stall=stall, cycles=30_000, **more)
    wanted = np.concatenate(run(network, frames).outputs)
    np.testing.assert_array_equal(np.reshape(found.outputs, (-1, network.outputs)), wanted)
    if not idle and not stall:
        estimate = estimate_plan(plan, [fired(network, each) for each in frames])
        assert np.diff(estimate.ends).tolist() == np.diff(found.ends).tolist()
        assert estimate.beats == found.beats
    return found


@pytest.mark.parametrize("cell_units", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_words_and_cycles(cell_units):
    network = make("all_but_coupled", "norm", sizes=(2, 3, 2), threshold=9)
    check(network, (2, 1), cell_units=cell_units)


def test_several_values_a_cycle():
    """As many as the cells take without being told; the last word is not a whole cycle's."""
    network = make("norm", sizes=(2, 7))
    assert derive_config(network, word_bits=64, cell_units=2).norm_lanes == 2
    check(network, (2, 1), drain_rows=4, norm_lanes=4)


def test_lanes_that_are_not_possible():
    rule = "^norm_lanes: {} is not possible, it must be one of {}$"
    for lanes in (3, 8):
        with pytest.raises(UserError, match=rule.format(lanes, "1, 2, 4")):
            derive_config(make("norm", sizes=(2, 3)), word_bits=64, norm_lanes=lanes, drain_rows=4)
    with pytest.raises(UserError, match=rule.format(2, 1)):
        derive_config(make("all", sizes=(2, 3)), word_bits=64, norm_lanes=2)


@pytest.mark.slow
@pytest.mark.parametrize("cell_units", [1, 2, 4])
@pytest.mark.parametrize(
    "variants, sizes, options",
    [
        (("norm",), (3, 5), {}),
        (("norm",), (1, 1), {"classes": 2}),
        (("norm",), (5, 37), {"threshold": 9}),
        (("all",), (3, 9), {"classes": 2}),
        (("all", "plain", "norm"), (2, 3, 9, 4), {"threshold": 9}),
        (("all_but_coupled", "norm"), (5, 37, 3), {"threshold": 9}),
    ],
)
def test_more_words_and_cycles(variants, sizes, options, cell_units):
    check(make(*variants, sizes=sizes, **options), cell_units=cell_units)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"word_bits": 8},
        {"word_bits": 32, "drain_rows": 2},
        {"cell_units": 4, "input_elements": 2, "output_elements": 2},
        {"cell_units": 4, "drain_rows": 2, "norm_lanes": 2},
        {"cell_units": 2, "norm_lanes": 1},
    ],
)
@pytest.mark.parametrize("variant", ["norm", "all"])
def test_other_accelerators(variant, options):
    check(make(variant, sizes=(3, 11)), (2, 2), **options)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"norm_lanes": 4}, {"norm_lanes": 2, "drain_rows": 2}])
@pytest.mark.parametrize("sizes", [(3, 11), (5, 37), (2, 6)])
def test_more_values_than_the_cells_take(sizes, options):
    check(make("norm", sizes=sizes, threshold=5), (2, 2), **options)


@pytest.mark.slow
def test_streams_that_rest():
    network = make("all_but_coupled", "coupled", "norm", sizes=(3, 6, 5, 7), classes=3)
    (first, *others) = network.layers
    initial = {"c": np.array([900, -7, 0, -30000, 1, 2]), "h": np.array([-128, 77, 3])}
    network = replace(network, layers=(replace(first, initial=initial), *others))
    check(network, (3, 3), idle=0.3, stall=0.6)
