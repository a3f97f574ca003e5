# SPDX-License-Identifier: Apache-2.0
"""A scale per feature: the same function, and the right words where features differ in range."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames, real_outputs, run
from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.float_model import FloatModel, run_float
from deltaloom.golden.models.network import Network
from deltaloom.golden.quantization.input_ranges import (
    SPREAD,
    balance_inputs,
    feature_scales,
    loss,
    with_input_scale,
)
from deltaloom.golden.quantization.quantize import Scheme, quantize

INPUTS = 12


@pytest.fixture
def unlike(make_model, make_dataset):
    """A model and data whose features have maxima from .01 to 2, mostly near 0."""
    gain = np.logspace(-2, 0.3, INPUTS)
    data = make_dataset(INPUTS, [120, 1, 90])
    features = tuple((gain * np.exp(2 * x - 4)).astype(np.float32) for x in data.features)
    model = make_model([("lstm", 16), ("linear", 3)], INPUTS)
    layer = model.layers[0]
    paths = tuple(
        replace(p, weights=(p.weights / gain).astype(np.float32)) if p.source == "x" else p
        for p in layer.paths
    )
    return replace(model, layers=(replace(layer, paths=paths), model.layers[1])), Dataset(features)


def nmse(model, data, **scheme):
    network = quantize(model, data, Scheme(**scheme))
    wanted = run_float_batch(model, data.features)
    results = run(network, [quantize_frames(network, x) for x in data.features])
    errors = [real_outputs(network, r.outputs) - y for r, y in zip(results, wanted, strict=True)]
    power = sum(float(np.square(y - np.mean(y, axis=0)).sum()) for y in wanted)
    return 10 * np.log10(sum(float(np.square(e).sum()) for e in errors) / power)


def test_the_function_stays(unlike):
    model, data = unlike
    balanced = balance_inputs(model, data)
    assert balanced.input_scale is not None
    for x in data.features:
        np.testing.assert_allclose(run_float(balanced, x)[0], run_float(model, x)[0], atol=1e-5)
    for a, b in zip(
        run_float_batch(balanced, data.features), run_float_batch(model, data.features), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_layers_that_read_frames_beside_another_layer(make_model, make_dataset):
    model = make_model([("gru", 5), ("linear", 4)], INPUTS)
    first, last = model.layers
    columns = np.random.default_rng(0).normal(size=(1, 4, 5 + INPUTS)).astype(np.float32)
    path = replace(last.paths[0], weights=columns)
    model = replace(
        model, layers=(first, replace(last, paths=(path,), reads=(first.name, "frames")))
    )
    data = make_dataset(INPUTS, [30])
    balanced = balance_inputs(model, data, "feature")
    x = data.features[0]
    np.testing.assert_allclose(run_float(balanced, x)[0], run_float(model, x)[0], atol=1e-5)


def test_words_have_the_range(unlike):
    model, data = unlike
    network = quantize(model, data)
    words = np.abs(np.concatenate([quantize_frames(network, x) for x in data.features]))
    assert (words.max(axis=0) > 2000).all()
    plain = quantize(model, data, Scheme(input_scale="none"))
    words = np.abs(np.concatenate([quantize_frames(plain, x) for x in data.features]))
    assert (words.max(axis=0) < 500).any()


@pytest.mark.parametrize(("bits", "gain"), [(8, 5), (16, 5)])
def test_unlike_features_lose_less(unlike, bits, gain):
    options = {"weight_bits": bits, "activation_bits": bits}
    with_scale = nmse(*unlike, **options)
    assert with_scale < nmse(*unlike, input_scale="none", **options) - gain


def test_auto_leaves_alike_features_alone(make_model, make_dataset):
    model, data = make_model([("gru", 8)], INPUTS), make_dataset(INPUTS, [60])
    scales = feature_scales(data)
    assert scales.max() < SPREAD * scales.min()
    assert balance_inputs(model, data) is model
    assert balance_inputs(model, data, "feature").input_scale is not None
    assert balance_inputs(model, data, "none") is model


def test_auto_takes_what_loses_less(make_model, make_dataset):
    """Small features that are 0 but for some peaks: scales would take bits of the others."""
    rng = np.random.default_rng(2)
    x = rng.uniform(-1, 1, (4000, INPUTS)).astype(np.float32)
    x[:, 6:] *= 0.02 * (rng.random((4000, 6)) < 5e-4)
    data = Dataset(tuple(np.split(x, 40)))
    model = make_model([("lstm", 16), ("linear", 3)], INPUTS)
    scales = feature_scales(data)
    assert scales.max() > SPREAD * scales.min()
    assert loss(model, x.astype(np.float64), None) < loss(model, x.astype(np.float64), scales)
    assert balance_inputs(model, data) is model
    assert nmse(model, data) < nmse(model, data, input_scale="feature")


def test_a_feature_is_at_most_four_times_its_scale(make_dataset):
    (x,) = make_dataset(3, [2000]).features
    x[:, 1] = 0
    x[7, 1] = -8
    assert feature_scales(Dataset((x,)))[1] == 2


@pytest.mark.parametrize("rule", ["auto", "feature"])
def test_frames_beside_a_bounded_layer_are_brought_within_1(make_model, make_dataset, rule):
    """A dense layer that reads a GRU and the frames, which reach beyond 1: one format for both."""
    model = make_model([("gru", 5), ("linear", 4)], INPUTS)
    first, last = model.layers
    columns = np.random.default_rng(0).normal(size=(1, 4, 5 + INPUTS)).astype(np.float32)
    path = replace(last.paths[0], weights=columns)
    model = replace(
        model, layers=(first, replace(last, paths=(path,), reads=(first.name, "frames")))
    )
    data = make_dataset(INPUTS, [60])
    assert max(np.abs(x).max() for x in data.features) > 1
    with pytest.raises(UserError, match="gru ends at 1 and the input needs"):
        quantize(model, data, Scheme(input_scale="none"))
    network = quantize(model, data, Scheme(input_scale=rule, weight_bits=16, activation_bits=16))
    assert network.x_exponent == 0
    bits = {"weight_bits": 16, "activation_bits": 16, "input_scale": rule}
    assert nmse(model, data, **bits) < -55


def test_a_feature_that_is_always_zero(make_model, make_dataset):
    model, data = make_model([("gru", 8)], 3), make_dataset(3, [60])
    for x in data.features:
        x[:, 1] = 0
    balanced = balance_inputs(model, data, "feature")
    assert (balanced.input_scale > 0).all()
    silent = Dataset(tuple(np.zeros_like(x) for x in data.features))
    assert balance_inputs(model, silent, "feature") is model


def test_an_sru_that_adds_its_frames_is_left_alone(make_model, make_dataset):
    model, data = make_model([("sru", 6)], 6), make_dataset(6, [40])
    assert balance_inputs(model, data, "feature") is model


def test_files_keep_the_scale(unlike, tmp_path):
    model, data = unlike
    balanced, network = balance_inputs(model, data), quantize(model, data)
    balanced.save(tmp_path / "m.safetensors")
    network.save(tmp_path / "n.safetensors")
    read = FloatModel.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(read.input_scale, balanced.input_scale)
    again = Network.load(tmp_path / "n.safetensors")
    np.testing.assert_array_equal(again.input_scale, network.input_scale)
    x = data.features[0]
    np.testing.assert_array_equal(quantize_frames(again, x), quantize_frames(network, x))


def test_scales_can_be_put_in_front_again(unlike):
    model, data = unlike
    network = quantize(model, data)
    a, b = with_input_scale(model, network.input_scale), balance_inputs(model, data)
    for one, other in zip(a.layers[0].paths, b.layers[0].paths, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)
    assert with_input_scale(model, None) is model
    assert with_input_scale(b, network.input_scale) is b


@pytest.mark.parametrize("bad", [np.zeros(INPUTS), np.full(INPUTS, np.nan), np.ones(INPUTS + 1)])
def test_bad_scales_are_refused(unlike, bad):
    model, _ = unlike
    with pytest.raises(UserError, match="input scale"):
        replace(model, input_scale=bad.astype(np.float32))


def test_an_unknown_rule_is_refused():
    with pytest.raises(UserError, match="input scale: 'some' is not possible, it must be one of"):
        Scheme(input_scale="some")


@pytest.mark.parametrize("rule", ["auto", "feature", "none"])
@pytest.mark.parametrize("lengths", [[], [0, 0]])
def test_no_frames(make_model, make_dataset, lengths, rule):
    with pytest.raises(UserError, match="calibration data: no frames; give some typical sequences"):
        balance_inputs(make_model([("lstm", 4)], 5), make_dataset(5, lengths), rule)
