# SPDX-License-Identifier: Apache-2.0
"""Warnings: each names what loses and the option that mends it; where nothing does, none."""

from dataclasses import replace

import numpy as np

from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.saturation import saturation
from deltaloom.golden.models.synthetic import make_network
from deltaloom.golden.quantization.calibration import observe
from deltaloom.golden.quantization.input_ranges import balance_inputs
from deltaloom.golden.quantization.quantize import Scheme, quantize_with
from deltaloom.golden.reports.paths import describe
from deltaloom.golden.reports.warnings import warnings_of


def found(model, data, **options):
    scheme = Scheme(**options)
    model = balance_inputs(model, data, scheme.input_scale)
    statistics = observe(model, data)
    network = quantize_with(model, statistics, scheme)
    return warnings_of(network, saturation(network, data), describe(network, model, statistics))


def unlike(data):
    """Feature 2 a 1000th of the others, feature 3 always 0."""
    gain = np.array([1, 1, 0.001, 0], np.float32)
    return replace(data, features=tuple(x * gain for x in data.features))


def test_a_good_network_has_none(make_model, make_dataset):
    model, data = make_model([("lstm", 12), ("linear", 3)], 4), make_dataset(4, [200])
    assert found(model, data) == ()
    assert found(model, data, weight_bits=16, activation_bits=16) == ()


def test_weights_of_few_bits(make_model, make_dataset):
    model, data = make_model([("lstm", 12), ("linear", 3)], 4), make_dataset(4, [200])
    lines = found(model, data, overrides={"lstm0.h": (2, 8)}, rounding="nearest")
    assert len(lines) == 1 and lines[0].startswith("products of lstm0.h ")
    assert "below 25 dB" in lines[0] and "--path lstm0.h=W/A with more bits W" in lines[0]
    assert lines[0].endswith("or --method gptq")
    (line,) = found(model, data, overrides={"lstm0.h": (2, 8)}, rounding="gptq")
    assert line.endswith("with more bits W")


def test_activations_of_few_bits(make_model, make_dataset):
    model, data = make_model([("lstm", 12), ("linear", 3)], 4), make_dataset(4, [200])
    (line,) = found(model, data, overrides={"linear1.x": (8, 2)})
    assert "products of linear1.x " in line
    assert "--path linear1.x=W/A with more bits A" in line


def test_features_of_unlike_range(make_model, make_dataset):
    model, data = make_model([("lstm", 12)], 4), unlike(make_dataset(4, [200]))
    (line,) = found(model, data, input_scale="none")
    assert line == (
        "input features 2: less than one code of lstm0.x on this data; quantize with "
        "--input-scale feature"
    )
    assert found(model, data, input_scale="feature") == ()


def test_products_of_features_of_unlike_range(make_model, make_dataset):
    """The small feature has large weights: the path loses what they would say."""
    model, data = make_model([("lstm", 12)], 4), unlike(make_dataset(4, [200]))
    layer = model.layers[0]
    paths = tuple(
        replace(p, weights=p.weights * np.array([1, 1, 1000, 1], np.float32))
        if p.source == "x"
        else p
        for p in layer.paths
    )
    model = replace(model, layers=(replace(layer, paths=paths),))
    first, second = found(model, data, input_scale="none")
    assert first.startswith("products of lstm0.x ") and "--input-scale feature" in first
    assert second.startswith("input features 2: ")
    assert found(model, data) == ()


def test_frames_beyond_their_format():
    network = make_network([("linear", 2)], 2)
    data = Dataset((np.array([[1, 5], [1, 3], [1, -6]], np.float32),))
    lines = warnings_of(network, saturation(network, data))
    (line,) = [line for line in lines if "words saturate" in line]
    assert line.startswith("input features 1: 67 % of their words saturate at 4; quantize with")


def test_a_unit_that_always_saturates():
    network = make_network([("linear", 3)], 2)
    bias = np.array([[0, 400_000, 0]])
    network = replace(network, layers=(replace(network.layers[0], bias=bias),))
    data = Dataset((np.zeros((50, 2), np.float32),))
    lines = warnings_of(network, saturation(network, data))
    assert lines[0].startswith("linear0: h of units 1 saturates in all steps; quantize with --data")


def test_many_names_are_cut(make_model, make_dataset):
    data = make_dataset(9, [200])
    gain = np.array([1, 1, *7 * [0.001]], np.float32)
    data = replace(data, features=tuple(x * gain for x in data.features))
    (line,) = found(make_model([("lstm", 12)], 9), data, input_scale="none")
    assert "input features 2, 3, 4, 5 and 3 more: " in line
