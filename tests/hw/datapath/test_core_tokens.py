# SPDX-License-Identifier: Apache-2.0
"""Networks of tokens on the core: two events a step, out of an index and no scan."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.engines.engine import run
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.synthetic import Shape, make_frames, make_network, make_tokens
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.estimates.cycles import estimate_cycles
from deltaloom.sim.testing.core import check_core

COUNT = 37


def sequences(count=COUNT):
    return [make_tokens(count, n, seed=n) for n in (5, 1, 2)]


def test_lstm_stalled():
    network = make_network([("lstm", 3), ("linear", 2)], COUNT, threshold=3, tokens=True)
    check_core(network, sequences(), idle=0.3, stall=0.3)


@pytest.mark.slow
def test_terms():
    network = make_network([("gru", 3)], COUNT, threshold=2, delta_mode="power_of_two", tokens=True)
    check_core(network, sequences(), lane_kind="shift_add")


@pytest.mark.slow
def test_one_token():
    network = make_network([("gru_before", 3)], 1, tokens=True)
    check_core(network, [np.array([0, 0, 1, 0, -1, 0])[:, None]])


def test_both_ways():
    """The sweeps over tokens and those over what they put out take turns."""
    shape = [Shape(kind="gru", units=2, both=True), ("linear", 2)]
    words = [make_tokens(COUNT, n, seed=n) for n in (4, 1, 2)]
    check_core(make_network(shape, COUNT, threshold=2, tokens=True), words)


@pytest.mark.slow
def test_weights_of_two_widths():
    """Two paths read the tokens, each with a detector of its own."""
    network = with_wide_gate(make_network([("lstm", 4)], COUNT, weight_bits=4, tokens=True))
    assert len(network.layers[0].paths) == 3
    check_core(network, sequences())


@pytest.mark.slow
def test_one_design_for_tokens_and_features():
    tokens = make_network([("gru", 3)], 9, threshold=2, tokens=True)
    features = make_network([("gru", 3)], 4, threshold=2)
    config = derive_config(tokens, features, word_bits=64)
    assert config.input_kinds == ("features", "tokens")
    check_core(tokens, sequences(9), config=config)
    check_core(features, [make_frames(4, 5), make_frames(4, 2)], config=config)


def test_lists_have_room_for_two_events():
    config = derive_config(make_network([("linear", 5)], 3000, tokens=True), word_bits=64)
    assert (config.input_kinds, config.input_events) == (("tokens",), 4)
    assert config.input_references == 1  # none is needed
    assert (config.sum_bits, config.lane_bits) == (10, 10)


def test_cycles():
    network = make_network([("gru", 9)], COUNT, threshold=2, tokens=True)
    config = derive_config(network, word_bits=64)
    words = [make_tokens(COUNT, n, seed=n, strangers=False) for n in (3, 2)]
    measured = check_core(network, words, config=config)
    events = [result.events for result in run(network, words)]
    estimate = estimate_cycles(network, config, events)
    assert estimate.beats == measured.beats
    steps = len(measured.ends) - 1
    took = measured.ends[-1] - measured.ends[0]
    assert abs(estimate.ends[-1] - estimate.ends[0] - took) <= 4 * steps


def test_what_does_not_fit():
    network = make_network([("gru", 3)], 9)
    tokens = make_network([("gru", 3)], 9, tokens=True)
    with pytest.raises(UserError, match="the network takes tokens, the accelerator features; use"):
        compile_network(tokens, derive_config(network))
    with pytest.raises(UserError, match="the network takes features, the accelerator tokens; use"):
        compile_network(network, derive_config(tokens))
    with pytest.raises(UserError, match="input_elements: 4 is not possible, it must be 1 where"):
        derive_config(tokens, input_elements=4)
    many = make_network([("gru", 3)], 5000, tokens=True)
    with pytest.raises(UserError, match=r"gru0\.x: 5000 tokens, the hardware takes 4096"):
        compile_network(many, derive_config(many))


def with_wide_gate(network):
    """The first gate's rows of the path from x as a path of their own, with 8 bits."""
    layer = network.layers[0]
    wide = make_network([("lstm", 4)], COUNT, seed=1, tokens=True).layers[0].paths[0]
    x, *others = layer.paths
    paths = (part(x, slice(1, None)), part(wide, slice(1)), *others)
    return replace(network, layers=(replace(layer, paths=paths),))


def part(path, rows):
    return replace(
        path,
        gates=path.gates[rows],
        weights=path.weights[rows],
        mult=path.mult[rows],
        shift=path.shift[rows],
    )
