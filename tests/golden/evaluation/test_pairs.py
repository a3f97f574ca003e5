# SPDX-License-Identifier: Apache-2.0
"""Whether networks are of float models."""

from dataclasses import replace

import pytest

from deltaloom.golden.evaluation.pairs import comparable, pair_warnings
from deltaloom.golden.integer_lstm.float_network import to_model
from deltaloom.golden.integer_lstm.recipe import quantize as quantize_lstm
from deltaloom.golden.integer_lstm.synthetic import make_lstm_network
from deltaloom.golden.quantization.quantize import Scheme, quantize


def test_networks_of_our_own_arithmetic(make_model, make_dataset):
    data = make_dataset(3, [20])
    model = make_model([("lstm", 4), ("linear", 2)], 3)
    network = quantize(model, data, Scheme(skip="all", weight_bits=4))
    assert comparable(network, model) is model and pair_warnings(network, model) == ()
    for layers, words in (
        (
            [("gru", 4), ("linear", 2)],
            "lstm0 (lstm, 3 inputs, 4 units), the model's gru0 (gru, 3 inputs, 4 units); ",
        ),
        (
            [("lstm", 4), ("lstm", 4), ("linear", 2)],
            (
                "linear1 (linear, 4 inputs, 2 units), the model's lstm1 (lstm, 4 inputs, 4 units); "
                "none, the model's linear2 (linear, 4 inputs, 2 units); "
            ),
        ),
    ):
        other = make_model(layers, 3)
        (line,) = pair_warnings(network, other)
        way_out = "give the model that the network was quantized from"
        assert line == f"the layers are not the model's: {words}{way_out}"
        assert comparable(network, other) is None


@pytest.mark.parametrize("variant", ["plain", "projection", "norm"])
def test_integer_only_lstms(variant, make_dataset):
    """Of float networks, and of models, whatever the layers' names are."""
    floats = make_lstm_network(variant, (4, 6), classes=3)
    network = quantize_lstm(floats, make_dataset(4, [20]))
    renamed = [replace(layer, name=f"own.{n}") for n, layer in enumerate(floats.layers)]
    models = [floats, replace(floats, layers=tuple(renamed))]
    models += [model for model in map(to_model, models) if model is not None]
    for model in models:
        assert comparable(network, model) is not None and pair_warnings(network, model) == ()


def test_a_model_that_integer_only_lstms_cannot_have(make_model, make_dataset):
    network = quantize_lstm(make_lstm_network("plain", (4, 6)), make_dataset(4, [20]))
    (line,) = pair_warnings(network, make_model([("gru", 6)], 4))
    assert "lstm.0 (lstm, plain, 6 cells, 4 inputs, 6 outputs), the model's gru0 (gru, 4" in line


def test_a_network_of_our_own_is_of_no_float_lstm(make_model, make_dataset):
    model, data = make_model([("lstm", 6)], 4), make_dataset(4, [20])
    floats = make_lstm_network("all", (4, 6))
    network = quantize(model, data, Scheme())
    assert comparable(network, floats) is None and len(pair_warnings(network, floats)) == 1
