# SPDX-License-Identifier: Apache-2.0
"""Tokens: the same as the vectors that they stand for, at threshold 0, in every engine."""

import re
from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.delta import DELTA_MODES
from deltaloom.golden.engines.engine import (
    StepModel,
    quantize_frames,
    run,
    run_networks,
    run_settings,
)
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.stepper import Stepper
from deltaloom.golden.evaluation.whole import run_whole
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.models.layers import ONE_HOT
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import Shape, make_network, make_tokens

NETWORKS = {
    "lstm": [("lstm", 12), ("linear", 5)],
    "gru": [("gru", 9)],
    "gru_before": [("gru_before", 5)],
    "linear": [("linear", 4)],
    "projection": [Shape(kind="lstm", units=9, projection=3), ("linear", 4)],
    "both ways": [Shape(kind="lstm", units=7, both=True), ("gru", 4)],
    "shared": [Shape(kind="ligru", units=6, both=True, shared=True), ("linear", 4)],
    "initial": [Shape(kind="gru", units=6, initial=True), ("linear", 4)],
}
STRANGER = -2


def of_vectors(network):
    """The same network for frames that hold a 1 where the token is."""
    layers = tuple(
        replace(layer, paths=tuple(replace(path, tokens=False) for path in layer.paths))
        for layer in network.layers
    )
    return replace(network, layers=layers)


def vectors_of(words, count):
    return (words == np.arange(count)).astype(np.int64)


def assert_same(a, b):
    np.testing.assert_array_equal(a.outputs, b.outputs)
    for one, other in ((a.events, b.events), (a.terms, b.terms)):
        assert one.keys() == other.keys()
        for name, count in one.items():
            np.testing.assert_array_equal(count, other[name])


@pytest.mark.parametrize("mode", DELTA_MODES)
@pytest.mark.parametrize("shape", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("count", [1, 37])
def test_as_vectors(shape, mode, count):
    network = make_network(shape, count, threshold=3, delta_mode=mode, tokens=True)
    words = [make_tokens(count, n, seed=n) for n in (20, 1, 13, 0)]
    found = run(network, words, terms=True)
    wanted = run(of_vectors(network), [vectors_of(w, count) for w in words], terms=True)
    for a, b in zip(found, wanted, strict=True):
        assert_same(a, b)
    steps = StepModel(network, np.random.default_rng(1))
    for sequence, result in zip(words, found, strict=True):
        alone = steps.run(sequence)
        assert_same(alone, replace(result, terms={}))


def test_events():
    network = make_network([("gru", 3)], 9, tokens=True)
    words = np.array([4, 4, 5, STRANGER, STRANGER, 8, 9, 0])[:, None]
    (result,) = run(network, [words])
    assert result.events["gru0.x"].tolist() == [1, 0, 2, 1, 0, 1, 1, 1]


def test_a_word_that_is_no_token_is_the_biases_alone():
    network = make_network([("linear", 3)], 9, tokens=True)
    for word in (-1, 9, 32767, -32768):
        (result,) = run(network, [np.array([[3], [word]])])
        np.testing.assert_array_equal(result.outputs[1], network.layers[0].bias[0])


def test_settings_and_networks_side_by_side():
    network = make_network([("lstm", 8), ("linear", 3)], 11, threshold=2, tokens=True)
    other = make_network([("lstm", 8), ("linear", 3)], 11, seed=1, weight_bits=4, tokens=True)
    other = replace(
        network,
        layers=tuple(
            replace(own, paths=more.paths)
            for own, more in zip(network.layers, other.layers, strict=True)
        ),
    )
    words = [make_tokens(11, n, seed=n) for n in (9, 4)]
    chosen = [{}, {"lstm0.h": 9}, None]
    for setting, results in zip(chosen, run_settings(network, words, chosen), strict=True):
        alone = network.with_thresholds(setting or {})
        for a, b in zip(results, run(alone, words, delta=setting is not None), strict=True):
            assert_same(a, b)
    for each, results in zip((network, other), run_networks([network, other], words), strict=True):
        for a, b in zip(results, run(each, words), strict=True):
            assert_same(a, b)


def test_files(tmp_path):
    network = make_network(NETWORKS["both ways"], 11, tokens=True)
    network.save(tmp_path / "net")
    again = Network.load(tmp_path / "net")
    assert again.tokens and again.inputs == 11 and again.frame_words == 1
    words = [make_tokens(11, 9)]
    assert_same(run(network, words)[0], run(again, words)[0])


def test_quantize_frames():
    network = make_network([("gru", 3)], 9, tokens=True)
    assert quantize_frames(network, [0, 8, 3]).tolist() == [[0], [8], [3]]
    for frames, message in (
        ([3, 9], "tokens: 9 in frame 1, the network knows 0..8; map what it does not know"),
        ([-1], "tokens: -1 in frame 0"),
        ([0.5], "tokens: 0.5 in frame 0"),
        (np.zeros((2, 9)), r"tokens: shape \(2, 9\), the network takes one index a frame"),
    ):
        with pytest.raises(UserError, match=message):
            quantize_frames(network, frames)


def float_model():
    """A GRU of 3 that reads one of 9 tokens."""
    rng = np.random.default_rng(2)

    def path(source, gates, columns):
        weights = rng.normal(size=(3, 3, columns)).astype(np.float32)
        return FloatPath(source=source, gates=gates, weights=weights, tokens=source == "x")

    paths = path("x", ("r", "z", "nx"), 9), path("h", ("r", "z", "nh"), 3)
    bias = np.zeros((4, 3), np.float32)
    return FloatModel(layers=(FloatLayer(name="gru", kind="gru", paths=paths, bias=bias),))


@pytest.mark.parametrize(
    "model", [float_model(), make_network([("gru", 3)], 9, tokens=True)], ids=["float", "network"]
)
def test_one_token_a_step(model):
    tokens = [8, 0, 3]
    wanted = run_whole(model, Dataset((np.array(tokens),))).outputs[0]
    for make in (int, np.int16, lambda token: [token]):
        stepper = Stepper(model)
        found = [stepper.step(make(token)) for token in tokens]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    before = stepper.states
    for frame, shape in (([], "(0,)"), ([3, 4], "(2,)"), ([[3]], "(1, 1)"), (np.eye(9), "(9, 9)")):
        with pytest.raises(UserError, match=re.escape(f"frame: shape {shape}, the model takes")):
            stepper.step(frame)
    for token in (9, -1, 0.5, np.nan):
        with pytest.raises(UserError, match=r"tokens: .* in frame 0, the network knows 0\.\.8"):
            stepper.step(token)
    np.testing.assert_equal(stepper.states, before)


def test_a_threshold_is_refused():
    network = make_network([("gru", 3)], 9, tokens=True)
    with pytest.raises(UserError, match="threshold: 1 is not possible, it must be 0 for a path"):
        network.with_thresholds({"gru0.x": 1})


def test_what_a_network_of_tokens_cannot_be():
    network = make_network([("gru", 3), ("gru", 4)], 9, tokens=True)
    first, second = network.layers
    with pytest.raises(UserError, match="gru1: tokens are what a layer reads as its whole input"):
        replace(network, layers=(first, of_tokens(second)))
    beside = make_network([("gru", 3), ("gru", 4)], 12, tokens=True).layers[0]
    with pytest.raises(UserError, match="tokens are what a layer reads as its whole input"):
        replace(network, layers=(first, replace(beside, name="x", reads=("frames", "gru0"))))
    with pytest.raises(UserError, match="x exponent: 3 is not possible, it must be 0 for tokens"):
        replace(network, x_exponent=3)
    with pytest.raises(UserError, match="input scale"):
        replace(network, input_scale=np.ones(9))
    with pytest.raises(UserError, match="tokens: 32769 is not possible, it must be at most 32768"):
        make_network([("linear", 1)], 32769, tokens=True)


def of_tokens(layer):
    paths = [
        replace(p, tokens=True, quantizer=ONE_HOT) if p.source == "x" else p for p in layer.paths
    ]
    return replace(layer, paths=tuple(paths))
