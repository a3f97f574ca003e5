# SPDX-License-Identifier: Apache-2.0
"""What saturates, against runs of every beginning of a sequence and products by hand."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.arithmetic import rshr
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames, run
from deltaloom.golden.engines.packed import Packing
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.saturation import saturation
from deltaloom.golden.integer_lstm.engine import run as run_lstm
from deltaloom.golden.integer_lstm.float_network import FloatNetwork
from deltaloom.golden.integer_lstm.recipe import quantize as quantize_lstm
from deltaloom.golden.integer_lstm.synthetic import make_frames, make_lstm_network
from deltaloom.golden.models.synthetic import make_network


def walks(inputs, *lengths, size=1.0):
    rng = np.random.default_rng(5)
    return Dataset(tuple((size * rng.normal(size=(n, inputs))).astype(np.float32) for n in lengths))


def states(network, words):
    """c and h of every layer after every step of every sequence, [steps, units]."""
    ends = [run(network, [w[: t + 1]])[0].states for w in words for t in range(len(w))]
    return [
        [np.stack([end[n][part] for end in ends]) for part in (0, 1)]
        for n in range(len(network.layers))
    ]


def at_ends(words):
    return 100 * ((words == -32768) | (words == 32767)).mean(axis=0)


@pytest.mark.parametrize("kind", ["lstm", "sru0", "ligru", "gru_before", "janet"])
def test_states_and_products(kind):
    network = make_network([(kind, 6), ("linear", 8)], 4, c_exponent=1, h_exponent=0, seed=2)
    first, linear = network.layers
    linear = replace(linear, bias=np.array([[32700, -32700] * 4]))
    network = replace(network, layers=(first, linear))
    data = walks(4, 9, 0, 14, size=2)
    words = [quantize_frames(network, x) for x in data.features]
    found = saturation(network, data)
    assert found.frames == 23
    (c, h), (_, y) = states(network, words)
    assert found.layers[0].c == pytest.approx(at_ends(c) if first.cell.has_c else 0 * at_ends(c))
    assert found.layers[0].h == pytest.approx(at_ends(h) * (not first.cell.bounded))
    assert found.layers[1].h == pytest.approx(at_ends(y)) and found.layers[1].h.max() > 0
    path = linear.paths[0]
    products = path.quantizer(h) @ path.matrix.T
    p = linear.bias[0] + rshr(products * path.mult[0], path.shift[0])
    wanted = 100 * ((p > 32767) | (p < -32768)).mean(axis=0)
    assert found.layers[1].gates["y"] == pytest.approx(wanted) and wanted.max() > 0
    assert found.layers[1].c.tolist() == [0] * 8


def test_the_c_of_a_layer_whose_steps_run_all_at_once():
    """A layer_norm's gains take it out of its words; c is its output."""
    network = make_network([("layer_norm", 6)], 4, c_exponent=0)
    (layer,) = network.layers
    vectors = layer.vectors | {"gain_y": np.full(6, 32767)}
    network = replace(network, layers=(replace(layer, vectors=vectors),))
    data = walks(4, 9, 14)
    words = [quantize_frames(network, x) for x in data.features]
    wanted = at_ends(np.concatenate([result.outputs for result in run(network, words)]))
    (found,) = saturation(network, data).layers
    assert found.c == pytest.approx(wanted) and wanted.max() > 0
    assert found.h == pytest.approx(wanted)


def test_features():
    """Words reach to 4; a scale of 2 takes the second feature back inside."""
    network = make_network([("linear", 2)], 2)
    assert network.x_exponent == 2
    data = Dataset((np.array([[3.9999, 5], [-4, 7]], np.float32),))
    found = saturation(network, data)
    assert found.features.tolist() == [0, 100] and found.reach.tolist() == [4, 7]
    scaled = replace(network, input_scale=np.array([0.5, 2.0]))
    found = saturation(scaled, data)
    assert found.features.tolist() == [100, 0] and found.reach.tolist() == [8, 3.5]


def test_some_frames_are_enough():
    network = make_network([("linear", 2)], 2)
    assert saturation(network, walks(2, 30, 50, 7), 40).frames == 40
    with pytest.raises(UserError, match="data set: no frames"):
        saturation(network, walks(2, 0))


def test_the_table_has_a_line_for_each_layer():
    network = make_network([("lstm", 3), ("linear", 2)], 4)
    lines = str(saturation(network, walks(4, 20))).splitlines()
    assert [line.split()[0] for line in lines] == ["saturated,", "input", "lstm0", "linear1"]


@pytest.mark.parametrize("variant", ["plain", "norm", "all"])
def test_what_an_integer_lstm_cuts(variant):
    """What is shown before it is cut, is cut to the outputs and states; it is counted."""
    floats = make_lstm_network(variant, (4, 6, 5), classes=3)
    frames = make_frames(4, [30, 21, 9])
    network = quantize_lstm(floats, Dataset(tuple(frames)))
    first, *rest = network.layers  # whose weights are taken for larger ones
    first = replace(first, weight_scale=16 * first.weight_scale)
    network = replace(network, layers=(first, *rest))
    data = Dataset(tuple(8 * x for x in frames))  # beyond all that was calibrated on
    codes = [network.x.codes(x) for x in data.features]
    shown = [{} for _ in network.layers]
    sees = [lambda what, values, own=own: own.setdefault(what, []).append(values) for own in shown]
    result = run_lstm(network, codes, sees=sees)
    first, second, linear = ({k: np.concatenate(v) for k, v in own.items()} for own in shown)
    packed = Packing.of([len(x) for x in codes]).pack(result.outputs, 3)
    np.testing.assert_array_equal(np.clip(linear["h"], -128, 127), packed)
    np.testing.assert_array_equal(np.clip(first["c"][-1], -32768, 32767), result.states[0].c[0])
    found = saturation(network, data)
    names = {layer.name: layer for layer in found.layers}

    def beyond(values):
        return pytest.approx(100 * ((values < -128) | (values > 127)).mean(axis=0))

    assert found.frames == 60 and names["linear.0"].h == beyond(linear["h"])
    for layer, own in (("lstm.0", first), ("lstm.1", second)):
        assert names[layer].h == beyond(own["m" if variant == "all" else "h"])
        assert names[layer].c == pytest.approx(at_ends(np.clip(own["c"], -32768, 32767)))
        for gate, share in names[layer].gates.items():
            assert share == pytest.approx(at_ends(own[gate]))
        assert (f"{layer}.projection" in names) == (variant == "all")
    x = np.concatenate(data.features) / network.x.scale + network.x.zero_point
    assert found.features == pytest.approx(100 * ((x < -128.5) | (x > 127.5)).mean(axis=0))
    assert found.features.max() > 0
    assert max(share.max() for share in names["lstm.0"].gates.values()) > 0


def test_what_relu_cuts_is_no_saturation():
    layer = make_lstm_network("plain", (4, 6), classes=3).layers
    floats = FloatNetwork(layers=(layer[0], replace(layer[1], activation="relu")))
    data = Dataset(tuple(make_frames(4, [60])))
    network = quantize_lstm(floats, data)
    outputs = run_lstm(network, [network.x.codes(data.features[0])]).outputs[0]
    assert (outputs == network.y.zero_point).any()
    assert saturation(network, data).layers[1].h.max() < 5
