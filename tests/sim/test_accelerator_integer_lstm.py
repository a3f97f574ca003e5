# SPDX-License-Identifier: Apache-2.0
"""Integer-only LSTMs in hardware: every word of the Verilog against golden, which is LiteRT's."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.integer_lstm.layers import IntegerLstm
from deltaloom.golden.integer_lstm.recipe import quantize
from deltaloom.golden.integer_lstm.synthetic import VARIANTS, make_frames, make_lstm_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.generate import generate
from deltaloom.sim.simulate import simulate
from deltaloom.sim.stimulus import Stimulus
from deltaloom.sim.testing.accelerator import load_network

WORDS = 12_000
"""That are compared of each variant at least, in layers of 13 -> 24 -> 12."""
OPTIONS = {
    "peephole": {"units": 2},
    "cell_clip": {"units": 2},
    "norm": {"norm_lanes": 4},
    "all": {"units": 2},
}
"""Of the accelerator of some variants; the others' are as they come."""


def make(variant, sizes, seed=0, threshold=0, **more):
    model = make_lstm_network(variant, sizes, seed=seed, **more)
    network = quantize(model, Dataset(tuple(make_frames(model.inputs, [40] * 4, seed=seed))))
    return network.with_thresholds({name: threshold for name, _ in network.paths()})


def saturating(network):
    """The network with every weight of its LSTMs at an end of its range."""
    layers = []
    for layer in network.layers:
        rows = {}
        if isinstance(layer, IntegerLstm):
            names = ["weights", "recurrent", *(["projection"] if layer.m is not None else [])]
            rows = {name: np.where(getattr(layer, name) < 0, -127, 127) for name in names}
        layers.append(replace(layer, **rows))
    return replace(network, layers=tuple(layers))


def codes(rng, steps, inputs):
    """Over the whole range, at its ends, and such as stand still or move a little."""
    parts = [
        rng.integers(-128, 128, (steps, inputs)),
        rng.choice([-128, 127], (steps, inputs)),
        np.clip(np.cumsum(rng.integers(-4, 5, (steps, inputs)), axis=0), -128, 127),
    ]
    return np.concatenate([part[: -(-steps // 3)] for part in parts])[:steps]


def check(
    tmp_path,
    network,
    steps,
    simulator="verilator",
    loaded=False,
    units=1,
    drain_rows=None,
    norm_lanes=None,
    **stimulus,
):
    """Run two sequences and hold all against golden; the words that were compared.

    loaded: over the bus, and not baked in. units: whose cell is computed a cycle.
    """
    config = derive_config(
        network, word_bits=64, cell_units=units, drain_rows=drain_rows, norm_lanes=norm_lanes
    )
    verilog = generate(network, tmp_path / "rtl", config=config, baked=not loaded)
    rng = np.random.default_rng(1)
    frames = [codes(rng, n, network.inputs) for n in (steps - steps // 3, steps // 3)]
    report = simulate(
        verilog.verilog,
        network,
        frames,
        workdir=tmp_path,
        simulator=simulator,
        stimulus=Stimulus(seed=3, **stimulus),
        **(load_network(network, config) if loaded else {}),
    )
    assert report.ok, str(report)
    assert report.words == steps * network.outputs
    assert report.counters["STEPS"] == steps
    return report.words


def test_words_equal_golden(tmp_path):
    """A stack of what there is, with thresholds, first states, pauses and a reset in between."""
    network = make("peephole_projection", (3, 4), threshold=2, projected=2, classes=2)
    (lstm, linear) = network.layers
    lstm = replace(lstm, initial={"c": np.array([900, -7, 0, -30000]), "h": np.array([-128, 77])})
    network = replace(network, layers=(lstm, linear))
    stalls = {"idle": 0.3, "backpressure": 0.3, "reset_after": 8}
    check(tmp_path, network, 9, "icarus", loaded=True, **stalls)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_variants(tmp_path, variant):
    """Streams that rest, a reset, weights at their ends, and a linear layer behind."""
    network = make(variant, (7, 9), seed=len(variant), classes=3)
    if variant in ("plain", "projection", "norm"):
        network = saturating(network)
    options = {"idle": 0.2, "backpressure": 0.4, "reset_after": 20}
    check(tmp_path, network, 400, **options, **OPTIONS.get(variant, {}))


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_many_words_of_each_variant(tmp_path, variant):
    network = make(variant, (13, 24, 12), seed=len(variant), threshold=3)
    steps = -(-WORDS // network.outputs)
    assert check(tmp_path, network, steps, **OPTIONS.get(variant, {})) >= WORDS


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_in_icarus(tmp_path, variant):
    network = make(variant, (7, 9), seed=1 + len(variant), threshold=2)
    check(tmp_path, network, 40, "icarus", backpressure=0.2, **OPTIONS.get(variant, {}))


@pytest.mark.slow
@pytest.mark.parametrize("cells", [1, 3, 37])
def test_odd_sizes_with_layer_norm(tmp_path, cells):
    check(tmp_path, make("all", (5, cells), seed=cells + 1, classes=2), 120, backpressure=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [2, 4])
def test_normalised_values_a_cycle(tmp_path, lanes):
    network = make(("norm", "norm"), (5, 37, 21), seed=lanes, classes=2)
    check(tmp_path, network, 120, backpressure=0.3, norm_lanes=lanes, loaded=True)


@pytest.mark.slow
@pytest.mark.parametrize("drain_rows", [8, 2])
def test_stacks_in_which_some_layers_are_normalised(tmp_path, drain_rows):
    """The last one has more units than the output queue has places elsewhere."""
    variants = ("all_but_coupled", "plain", "projection", "norm")
    network = make(variants, (6, 9, 12, 10, 150), threshold=2)
    check(tmp_path, network, 60, loaded=True, reset_after=20, drain_rows=drain_rows)


@pytest.mark.slow
@pytest.mark.parametrize("threshold", [0, 12])
def test_larger_stack(tmp_path, threshold):
    assert check(tmp_path, make("plain", (40, 128, 64), threshold=threshold), 900) == 57_600
