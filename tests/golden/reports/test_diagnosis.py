# SPDX-License-Identifier: Apache-2.0
"""Histograms and events, by hand and against the engine."""

import numpy as np
import pytest

from deltaloom.golden.engines.engine import quantize_frames, run
from deltaloom.golden.evaluation.thresholds import uniform_thresholds
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.quantization.calibration import LayerStatistics, observe
from deltaloom.golden.quantization.quantize import Scheme, quantize_with
from deltaloom.golden.reports.diagnosis import fired, histogram, histograms

PLAIN = {"rounding": "nearest", "activation_codes": "symmetric"}


def test_histogram():
    got = histogram([[0.0, 1.0], [1.9, 4.0]], (-2, 1.0), bins=4)
    assert got.edges.tolist() == [0, 1, 2, 3, 4]
    assert got.counts.tolist() == [1, 2, 0, 1]
    assert (got.low, got.high) == (-2, 1)


def test_histogram_of_nothing():
    assert histogram([], (0, 1)).counts.sum() == 0


@pytest.mark.parametrize("value", [0.0, 1.0, -127.0, 3e-40, 1e30])
@pytest.mark.parametrize("spread", [0.0, 2.0**-52, 1e-15, 1e-9, 1e-7])
def test_histogram_of_values_that_are_all_but_one(value, spread):
    """As a path's scaled weights are: bins stay apart, and hold every value."""
    values = value * (1 + spread * np.linspace(0, 1, 9))
    got = histogram(values, (-128, 127))
    assert (np.diff(got.edges) > 0).all() and got.counts.sum() == 9
    assert got.edges[0] <= values.min() <= values.max() <= got.edges[-1]


def test_a_report_of_one_input_with_like_weights(make_dataset):
    """An LSTM's column of positive weights is 127 codes in every row, but for rounding."""
    rng = np.random.default_rng(4)
    weights = rng.uniform(0.05, 1.5, (4, 6, 1)).astype(np.float32)
    recurrent = np.zeros((4, 6, 6), np.float32)
    paths = (
        FloatPath(source="x", gates=("i", "f", "g", "o"), weights=weights),
        FloatPath(source="h", gates=("i", "f", "g", "o"), weights=recurrent),
    )
    bias = np.zeros((4, 6), np.float32)
    model = FloatModel(layers=(FloatLayer(name="l", kind="lstm", paths=paths, bias=bias),))
    statistics = observe(model, make_dataset(1, [40]))
    for clipping in ("mmse", "paper", "max"):
        network = quantize_with(model, statistics, Scheme(clipping=clipping))
        found = histograms(network, model, statistics)["l.x"].weights
        assert found.counts.sum() == 24 and (np.diff(found.edges) > 0).all()


def test_by_hand():
    """Rows 7, 14 and 0 have scales 1, 2 and none at 4 bits; samples to 3 one of 3 at 2 bits."""
    weights = np.array([[[7.0, 1], [14, -2], [0, 0]]], np.float32)
    path = FloatPath(source="x", gates=("y",), weights=weights)
    layer = FloatLayer(name="out", kind="linear", paths=(path,), bias=np.zeros((1, 3), np.float32))
    model = FloatModel(layers=(layer,))
    statistics = (LayerStatistics({"x": np.array([3.0, -3, 0, 1])}, 3.0, 0.0, 20.0),)
    network = quantize_with(
        model, statistics, Scheme(weight_bits=4, activation_bits=2, clipping="max", **PLAIN)
    )
    (name,) = found = histograms(network, model, statistics, bins=8)
    assert name == "out.x"
    of_weights, of_activations = found[name].weights, found[name].activations
    assert of_weights.edges.tolist() == list(range(-1, 8))  # in codes: 7, 1, 7, -1
    assert of_weights.counts.tolist() == [1, 0, 1, 0, 0, 0, 0, 2]
    assert (of_weights.low, of_weights.high) == (-8, 7)
    assert of_activations.counts.sum() == 4
    assert (of_activations.low, of_activations.high) == pytest.approx((-6, 3), rel=1e-4)


@pytest.mark.parametrize("shape", [[("lstm", 6), ("linear", 3)], [("gru_before", 4)]])
def test_every_path(make_model, make_dataset, shape):
    model, data = make_model(shape, 5), make_dataset(5, [30, 12])
    statistics = observe(model, data)
    network = quantize_with(model, statistics, Scheme(skip="all"))
    found = histograms(network, model, statistics)
    assert [*found] == [name for name, _ in network.paths()]
    for name, path in network.paths():
        assert found[name].weights.counts.sum() == path.weights.size
        assert found[name].activations.counts.sum() > 0


def test_fired(make_model, make_dataset):
    model, data = make_model([("lstm", 6), ("linear", 3)], 5), make_dataset(5, [30])
    network = uniform_thresholds(quantize_with(model, observe(model, data)), 6)
    got = fired(network, data)
    (result,) = run(network, [quantize_frames(network, data.features[0])])
    for name, path in network.paths():
        assert got[name].shape == (30,) and got[name].max() <= 100
        np.testing.assert_allclose(got[name] * path.columns / 100, result.events[name])
    assert got["lstm0.h"][0] == 0  # h is 0 before the first frame
