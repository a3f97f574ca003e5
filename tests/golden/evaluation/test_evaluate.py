# SPDX-License-Identifier: Apache-2.0
"""Errors, eliminated operations, size and ideal cycles, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames, real_outputs, run
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.evaluate import (
    error,
    evaluate,
    ideal_cycles,
    run_dataset,
    run_float_dataset,
    size_bits,
)
from deltaloom.golden.evaluation.operations import eliminated, eliminated_in_path
from deltaloom.golden.evaluation.thresholds import uniform_thresholds
from deltaloom.golden.models.float_model import run_float
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import Shape, make_network, make_path
from deltaloom.golden.quantization.quantize import quantize

SHAPE = [("lstm", 4), ("linear", 3)]


def labelled(labels, inputs=1):
    labels = tuple(np.array(y, np.int64) for y in labels)
    features = tuple(np.zeros((len(y), inputs), np.float32) for y in labels)
    return Dataset(features, labels)


def test_error_by_hand():
    """Five frames are scored, three of them wrong; equal outputs count as the first class."""
    data = labelled([[0, 1, -1], [], [2, 0, 1]])
    outputs = [
        np.array([[9, 1, 2], [5, 5, 0], [0, 0, 9]]),
        np.zeros((0, 3), int),
        np.array([[-9, -8, -7], [4, 5, 4], [1, 0, 2]]),
    ]
    assert error(data, outputs) == 60.0


@pytest.mark.parametrize("data", [Dataset((np.zeros((2, 1), np.float32),)), labelled([[-1, -1]])])
def test_error_needs_labels(data):
    with pytest.raises(UserError, match="labels: no frame is scored; an error needs labelled data"):
        error(data, [np.zeros((2, 3))])


def test_error_of_a_class_that_is_no_output():
    with pytest.raises(UserError, match=r"labels: class 3, the network has outputs 0\.\.2"):
        error(labelled([[3]]), [np.zeros((1, 3))])


def regression(targets):
    targets = tuple(np.array(t, np.float32) for t in targets)
    features = tuple(np.zeros((len(t), 1), np.float32) for t in targets)
    return Dataset(features, task="regression", targets=targets)


def test_nmse_by_hand():
    """Errors 1 and 2 of an energy of 3**2 + 4**2 + 5**2: 10 log10(5 / 50) dB."""
    data = regression([[[3, 4]], np.zeros((0, 2)), [[0, 5]]])
    outputs = [np.array([[2.0, 4.0]]), np.zeros((0, 2)), np.array([[0.0, 7.0]])]
    assert error(data, outputs) == pytest.approx(-10.0)
    assert error(data, list(data.targets)) == -np.inf


def test_nmse_that_cannot_be():
    with pytest.raises(UserError, match="targets: all are 0, so there is no NMSE; give other data"):
        error(regression([[[0, 0]]]), [np.ones((1, 2))])
    with pytest.raises(UserError, match="targets: 2 per frame, the network has 3 outputs"):
        error(regression([[[1, 2]]]), [np.ones((1, 3))])
    unknown = replace(regression([[[1, 2]]]), targets=None)
    with pytest.raises(
        UserError, match="targets: no frame is scored; an error needs labelled data"
    ):
        error(unknown, [np.ones((1, 2))])


def test_a_regression_is_evaluated_in_real_values(make_model, make_dataset):
    model, data = make_model([("gru", 9), ("linear", 2)], 3), make_dataset(3, [30, 0, 20])
    clean = tuple(y.astype(np.float32) for y in run_float_dataset(model, data))
    data = replace(data, task="regression", targets=clean)
    network = uniform_thresholds(quantize(model, data), 16)
    got = evaluate(network, data, model)
    assert got.task == "regression"
    assert got.float_error < -120 < -60 < got.quantized_error < -30 < got.delta_error < -5
    results = run(network, [quantize_frames(network, x) for x in data.features])
    outputs = [real_outputs(network, r.outputs) for r in results]
    assert got.delta_error == error(data, outputs)


def test_eliminated_by_hand():
    """lstm0: 16 rows of 5 and of 4 columns; linear1: 3 rows of 4 columns; 10 steps."""
    network = make_network(SHAPE, 5)
    events = {"lstm0.x": 25, "lstm0.h": 10, "linear1.x": 40}
    done = 25 * 16 + 10 * 16 + 40 * 3
    dense = 10 * (16 * 5 + 16 * 4 + 3 * 4)
    assert eliminated(network, events, 10) == pytest.approx(100 * (1 - done / dense))
    paths = dict(network.paths())
    shares = [eliminated_in_path(paths[name], events[name], 10) for name in events]
    assert shares == pytest.approx([50.0, 75.0, 0.0])


def test_dense_events_eliminate_nothing():
    network = make_network(SHAPE, 5)
    events = {name: 7 * path.columns for name, path in network.paths()}
    assert eliminated(network, events, 7) == 0.0
    assert eliminated(network, dict.fromkeys(events, 0), 7) == 100.0


@pytest.mark.parametrize(
    ("word_bits", "cycles"),
    [
        (8, 5 * 16 + 4 * 16 + 4 * 3),
        (32, 5 * 4 + 4 * 4 + 4 * 1),  # 16 rows in 4 words, 3 rows in 1
        (64, 5 * 2 + 4 * 2 + 4 * 1),
        (1024, 5 + 4 + 4),
    ],
)
def test_ideal_cycles_of_8_bits_by_hand(word_bits, cycles):
    network = make_network(SHAPE, 5)
    assert ideal_cycles(network, word_bits) == cycles


def test_ideal_cycles_of_events_and_mixed_bits_by_hand():
    """x at 2 bits: 16 rows take 1 word of 32; h at 8 bits: 4 words; linear at 16 bits: 2 words."""
    rng = np.random.default_rng(0)
    network = make_network(SHAPE, 5)
    lstm, linear = network.layers
    x = make_path(rng, "x", lstm.cell.gates, 4, 5, weight_bits=2)
    y = make_path(rng, "x", ("y",), 3, 4, weight_bits=16)
    network = replace(
        network,
        layers=(replace(lstm, paths=(x, lstm.paths[1])), replace(linear, paths=(y,))),
    )
    assert ideal_cycles(network, 32) == 5 * 1 + 4 * 4 + 4 * 2
    events = {"lstm0.x": 25, "lstm0.h": 12, "linear1.x": 3}
    assert ideal_cycles(network, 32, events, 10) == pytest.approx(2.5 * 1 + 1.2 * 4 + 0.3 * 2)
    weights = 16 * 5 * 2 + 16 * 4 * 8 + 3 * 4 * 16
    biases, multipliers = 16 + 3, 16 + 16 + 3
    assert size_bits(network) == weights + 16 * (biases + multipliers)


def test_other_widths_take_the_next_lane():
    """12-bit weights take 16 of a word's bits."""
    narrow, wide = (make_network(SHAPE, 5, weight_bits=bits) for bits in (12, 16))
    assert ideal_cycles(narrow, 64) == ideal_cycles(wide, 64)
    assert size_bits(wide) - size_bits(narrow) == 4 * narrow.macs


def test_a_shared_multiplier_counts_once():
    network = make_network([("lstm", 4)], 5)
    (layer,) = network.layers
    x, h = layer.paths
    x = replace(x, mult=np.repeat([[5], [6], [7], [8]], 4, axis=1))
    network = replace(network, layers=(replace(layer, paths=(x, h)),))
    assert size_bits(network) == 8 * network.macs + 16 * (16 + 4 + 16)


@pytest.fixture
def quantized(make_model, make_dataset):
    model = make_model([("lstm", 12), ("linear", 4)], 6)
    data = make_dataset(6, [40, 0, 25], classes=4)
    network = quantize(model, data)
    return model, data, network.with_thresholds({"lstm0.x": 6, "lstm0.h": 3})


def test_evaluation_is_what_the_engine_counts(quantized):
    model, data, network = quantized
    got = evaluate(network, data, model, word_bits=64)
    frames = [quantize_frames(network, x) for x in data.features]
    delta, dense = run(network, frames), run(network, frames, delta=False)
    assert (got.sequences, got.steps, got.word_bits) == (3, 65, 64)
    assert got.scored == sum(int((y >= 0).sum()) for y in data.labels)
    assert got.float_error == error(data, [run_float(model, x)[0] for x in data.features])
    assert got.quantized_error == error(data, [r.outputs for r in dense])
    assert got.delta_error == error(data, [r.outputs for r in delta])
    assert got.thresholds == {"lstm0.x": 6, "lstm0.h": 3, "linear1.x": 0}
    events = {name: sum(int(r.events[name].sum()) for r in delta) for name, _ in network.paths()}
    lossless = {name: sum(int(r.events[name].sum()) for r in dense) for name in events}
    assert got.events_per_step == {name: count / 65 for name, count in events.items()}
    assert got.eliminated_operations == eliminated(network, events, 65)
    assert got.eliminated_lossless == eliminated(network, lossless, 65)
    assert 0 < got.eliminated_lossless < got.eliminated_operations < 100
    assert got.eliminated_by_path.keys() == events.keys()
    assert got.ideal_cycles_per_step_dense == ideal_cycles(network, 64)
    assert got.ideal_cycles_per_step_delta == ideal_cycles(network, 64, events, 65)
    assert got.size_bits == size_bits(network)


def test_evaluation_without_thresholds_needs_one_run(quantized, monkeypatch):
    _, data, network = quantized
    zero = network.with_thresholds({name: 0 for name, _ in network.paths()})
    got = evaluate(zero, data)
    assert got.float_error is None
    assert got.delta_error == got.quantized_error
    assert got.eliminated_operations == got.eliminated_lossless
    delta = run_dataset(zero, data)
    assert got.eliminated_operations == eliminated(zero, delta.events, 65)


def test_evaluation_without_labels(quantized):
    model, data, network = quantized
    got = evaluate(network, replace(data, labels=None), model)
    assert got.scored == 0
    assert (got.float_error, got.quantized_error, got.delta_error) == (None, None, None)
    assert got.eliminated_operations == evaluate(network, data).eliminated_operations


def test_chunks_change_nothing(quantized, monkeypatch):
    model, data, network = quantized
    whole, whole_float = run_dataset(network, data), run_float_dataset(model, data)
    places = [[2], [0, 1]]
    monkeypatch.setattr(Dataset, "chunks", lambda self: iter(places))
    parts, parts_float = run_dataset(network, data), run_float_dataset(model, data)
    assert whole.events == parts.events
    for a, b in zip(whole.outputs, parts.outputs, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(whole_float, parts_float, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-13)


def test_progress_reaches_the_end(quantized):
    model, data, network = quantized
    seen = {}
    evaluate(network, data, model, progress=seen.__setitem__)
    assert seen == {"float model": 1.0, "golden model": 1.0}


@pytest.mark.parametrize("word_bits", [0, -8, 4, 12])
def test_words_that_cannot_be(quantized, word_bits):
    _, data, network = quantized
    with pytest.raises(
        UserError, match=f"word bits: {word_bits} is not possible, .* multiple of 8"
    ):
        evaluate(network, data, word_bits=word_bits)


def test_what_does_not_fit(quantized, make_model, make_dataset):
    _, data, network = quantized
    with pytest.raises(UserError, match="model: 5 inputs and 4 outputs, the network has 6 and 4"):
        evaluate(network, data, make_model([("linear", 4)], 5))
    with pytest.raises(UserError, match="features: 5 per frame, the network takes 6"):
        evaluate(network, make_dataset(5, [3]))
    with pytest.raises(UserError, match="data set: no frames; give at least one"):
        evaluate(network, make_dataset(6, [0]))
    named = replace(network, labels=("a", "b", "c", "d"))
    with pytest.raises(UserError, match="label names: class 0 is A in the data and a in the netw"):
        evaluate(named, replace(data, label_names=("A", "b", "c", "d")))
    assert isinstance(named, Network)


def test_size_counts_vectors_and_the_skip():
    sru, without = (make_network([(kind, 4)], 4) for kind in ("sru", "sru0"))
    weights = 8 * 3 * 4 * 4
    assert size_bits(without) == weights + 16 * (3 * 4 + 3 * 4 + 2 * 4)
    assert size_bits(sru) == size_bits(without) + 16


@pytest.mark.parametrize("shared", [False, True])
def test_size_counts_initial_states(shared):
    """c and h, 16 bits each, of both directions, which share the rest or not."""
    plain, started = (
        make_network([Shape(kind="lstm", units=4, both=True, shared=shared, initial=initial)], 5)
        for initial in (False, True)
    )
    assert [len(layer.initial) for layer in started.layers] == [2, 2]
    assert size_bits(started) == size_bits(plain) + 16 * 2 * (4 + 4)
