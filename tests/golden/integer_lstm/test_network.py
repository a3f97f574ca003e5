# SPDX-License-Identifier: Apache-2.0
"""Integer networks and their float originals: files, refusals, the way from float models."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.errors import UserError
from deltaloom.golden.integer_lstm.engine import run
from deltaloom.golden.integer_lstm.export import to_tflite
from deltaloom.golden.integer_lstm.float_engine import run_float
from deltaloom.golden.integer_lstm.float_network import FloatNetwork, from_model, to_model
from deltaloom.golden.integer_lstm.network import IntegerNetwork
from deltaloom.golden.integer_lstm.recipe import quantize
from deltaloom.golden.integer_lstm.synthetic import VARIANTS, make_frames, make_lstm_network
from deltaloom.golden.models.float_model import FloatModel
from deltaloom.golden.models.network import Network


def floats(variant="all", sizes=(5, 8, 6), **more):
    return make_lstm_network(variant, sizes, classes=3, **more)


@pytest.fixture(scope="module")
def network():
    return quantize(floats(), Dataset(tuple(make_frames(5, [30] * 6))))


# Files


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_network_is_what_was_saved(variant, tmp_path):
    before = floats(variant)
    made = quantize(before, Dataset(tuple(make_frames(5, [20] * 3))))
    initial = {"c": np.arange(8), "h": np.arange(made.layers[0].outputs)}
    first = replace(made.layers[0], initial=initial, corrected=True)
    made = replace(made, layers=(first, *made.layers[1:]), labels=("a", "b", "c"))
    made = made.with_thresholds({"lstm.1.h": 7, "linear.0.x": 255})
    made.save(tmp_path / "net")
    loaded = IntegerNetwork.load(tmp_path / "net")
    assert str(loaded) == str(made)
    x = np.random.default_rng(0).integers(-128, 128, (2, 30, 5))
    np.testing.assert_array_equal(run(loaded, list(x)).outputs, run(made, list(x)).outputs)
    before.save(tmp_path / "floats")
    assert str(FloatNetwork.load(tmp_path / "floats")) == str(before)


def altered(file, change):
    """The file with its header changed, and without its digest's protection (version 2)."""
    with safe_open(file, "numpy") as archive:
        header = json.loads(archive.metadata()["deltaloom"])
        tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    header["version"] = 2
    del header["sha256"]
    change(header, tensors)
    save_file(tensors, file, metadata={"deltaloom": json.dumps(header)})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda h, t: h["layers"][0].update(cell_log2=-8), "cell scale's log2: -8 is not possible"),
        (lambda h, t: h["layers"][0].update(cell="gru"), "cell: 'gru' is not possible"),
        (lambda h, t: h["layers"][0].update(gates=["f"]), "gates: ('f',) is not possible"),
        (lambda h, t: h["layers"][0].update(other=1), "unexpected keyword argument 'other'"),
        (lambda h, t: h["layers"][0].update(x=[0.5, 500]), "x zero point: 500 is not possible"),
        (lambda h, t: h["layers"][0].update(x=[0.1]), "not enough values to unpack"),
        (lambda h, t: h["layers"][0].update(thresholds={"x": 256}), "x threshold: 256 is not"),
        (lambda h, t: h["layers"][0].update(thresholds={"y": 2}), "threshold of path: 'y'"),
        (lambda h, t: h["layers"][0].update(cell_clip="a lot"), "ufunc 'isfinite'"),
        (lambda h, t: t.pop("layers.0.bias"), "missing 1 required"),
        (lambda h, t: t.pop("layers.0.norm_scale"), "norm scale: shape (0,), expected [3]"),
        (lambda h, t: t.update({"layers.0.bias": np.ones((3, 8))}), "must be integers"),
        (lambda h, t: t.update({"layers.0.weights": np.ones((3, 8, 5), int) * 128}), "128 is outs"),
        (lambda h, t: t.update({"layers.0.weight_scale": np.ones(3, int)}), "must be floats"),
        (lambda h, t: h.update(layers=[]), "layers: 0 is not possible"),
        (lambda h, t: h.pop("labels"), "'labels' is missing"),
    ],
)
def test_altered_files(network, tmp_path, change, text):
    network.save(tmp_path / "net")
    altered(tmp_path / "net", change)
    with pytest.raises(UserError) as caught:
        IntegerNetwork.load(tmp_path / "net")
    line = str(caught.value)
    assert text in line and line.endswith("make the file anew") and "\n" not in line


def test_files_are_told_from_others(network, tmp_path):
    network.save(tmp_path / "net")
    floats("norm").save(tmp_path / "floats")
    with pytest.raises(UserError) as caught:
        Network.load(tmp_path / "net")
    assert str(caught.value).endswith(
        "net: holds an integer-only LSTM network, a quantized network is wanted; all verbs but "
        "`deltaloom quantize` and `finetune` take it: choose its thresholds with `deltaloom tune`, "
        "or quantize the float model with another scheme"
    )
    with pytest.raises(UserError, match=r"`deltaloom quantize --scheme integer-lstm`, .* take it$"):
        FloatModel.load(tmp_path / "floats")


# What fits together


def test_sizes_are_those_of_the_file_s_integers(network):
    first, second, last = network.layers
    weights = first.weights.size + first.recurrent.size + first.projection.size
    weights += second.weights.size + second.recurrent.size + second.projection.size
    weights += last.weights.size
    halves = sum(x.peephole.size + x.norm.size for x in (first, second))
    words = sum(x.bias.size + x.projection_bias.size for x in (first, second)) + last.bias.size
    assert network.size_bits == 8 * weights + 16 * halves + 32 * words
    assert network.macs == weights
    assert [name for name, _ in network.paths()] == [
        *("lstm.0.x", "lstm.0.h", "lstm.0.m", "lstm.1.x", "lstm.1.h", "lstm.1.m", "linear.0.x"),
    ]


def test_layers_that_do_not_fit(network):
    first, second, last = network.layers
    with pytest.raises(UserError, match=r"linear.0 inputs: 3 is not possible, it must be 4"):
        replace(network, layers=(first, last))
    with pytest.raises(UserError, match=r"layer's name: 'lstm.0' is not possible"):
        replace(network, layers=(first, replace(second, name="lstm.0"), last))
    with pytest.raises(UserError, match=r"lstm.1 x scale, zero point"):
        replace(network, layers=(first, replace(second, x=second.y), last))
    with pytest.raises(UserError, match=r"m: .* there with a projection, and only then"):
        replace(first, m=None)
    with pytest.raises(UserError, match=r"initial: 'm' is not possible, it must be c or h"):
        replace(first, initial={"m": np.zeros(8, int)})
    with pytest.raises(UserError, match=r"threshold of 'lstm.0.z': no such path; paths: lstm.0.x,"):
        network.with_thresholds({"lstm.0.z": 1})
    with pytest.raises(UserError, match=r"threshold: -1 is not possible, it must be 0\.\.255"):
        network.with_thresholds({"lstm.0.x": -1})


def test_a_file_for_litert_has_no_initial_state(network):
    first = network.layers[0]
    for change, text in (
        ({"initial": {"c": np.ones(8, int)}}, "has an initial state, which no .tflite file holds"),
        ({"corrected": True}, "has corrections of LiteRT, which no .tflite file holds"),
    ):
        with pytest.raises(UserError, match=text):
            to_tflite(replace(network, layers=(replace(first, **change), *network.layers[1:])))


# From float models and back


@pytest.mark.parametrize(
    "shape",
    [
        [("lstm", 6), ("linear", 3)],
        [("lstm_cifg", 6), ("lstm_peephole", 5)],
        [("linear_relu", 7), ("lstm", 6), ("linear_relu", 4)],
    ],
)
@pytest.mark.parametrize("scaled", [False, True])
def test_float_models_become_float_networks(make_model, shape, scaled):
    model = make_model(shape, 4, scaled=scaled)
    sequences = make_frames(4, [12, 5])
    expected = run_float_batch(model, sequences)
    network = from_model(model)
    for a, b in zip(run_float(network, sequences), expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)
    for a, b in zip(run_float_batch(to_model(network), sequences), expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_float_networks_become_float_models_where_a_cell_has_all(variant):
    network = floats(variant)
    parts = set(VARIANTS[variant]) - {"projection", "projection_bias"}
    model = to_model(network)
    assert (model is not None) == (len(parts) < 2 and not parts & {"norm", "projection_clip"})
    if model is None:
        return
    sequences = make_frames(5, [12, 5])
    expected = run_float(network, sequences)
    for found in (run_float_batch(model, sequences), run_float(from_model(model), sequences)):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_scales_of_features_go_into_the_weights(make_model):
    model = replace(make_model([("lstm", 6)], 4), input_scale=np.array([1, 2, 4, 8], np.float32))
    sequences = make_frames(4, [12])
    found = run_float(from_model(model), sequences)
    np.testing.assert_allclose(found, run_float_batch(model, sequences), atol=1e-9)


def test_initial_states_with_a_projection():
    network = floats("projection", (5, 8))
    initial = {"c": np.linspace(-1, 1, 8), "h": np.linspace(-1, 1, 4)}
    network = replace(network, layers=(replace(network.layers[0], initial=initial),))
    model = to_model(network)
    sequences = make_frames(5, [12])
    expected = run_float_batch(model, sequences)
    np.testing.assert_allclose(run_float(network, sequences), expected, atol=1e-5)
    np.testing.assert_allclose(run_float(from_model(model), sequences), expected, atol=1e-9)


def test_layer_norm_of_each_gate_becomes_litert_s(make_model, tmp_path):
    """Its epsilon stays the model's, also in a file."""
    model = make_model([("lstm_norm", 7), ("linear", 3)], 4)
    layer = replace(model.layers[0], bias=np.zeros_like(model.layers[0].bias))
    model = replace(model, layers=(layer, model.layers[1]))
    sequences = make_frames(4, [9, 5])
    expected = run_float_batch(model, sequences)
    for one, other in zip(run_float(from_model(model), sequences), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)
    from_model(model).save(tmp_path / "floats")
    epsilons = FloatNetwork.load(tmp_path / "floats").layers[0].epsilons
    assert epsilons == from_model(model).layers[0].epsilons == pytest.approx((1e-5,) * 4)
    biased = replace(layer, bias=np.ones_like(layer.bias))
    with pytest.raises(UserError, match="has a bias before its layer normalization"):
        from_model(replace(model, layers=(biased, model.layers[1])))


def test_models_without_a_way(make_model):
    for shape, text in (
        ([("gru", 6)], "gru0: cell 'gru' is none that integer-only LSTMs have, these are lstm, "),
        ([("linear", 6)], "integer-lstm: there is no LSTM layer; choose another scheme"),
    ):
        with pytest.raises(UserError, match=text):
            from_model(make_model(shape, 4))
    model = make_model([("lstm", 6)], 4)
    with pytest.raises(UserError, match="lstm0: is backward, or does not read the layer before"):
        from_model(replace(model, layers=(replace(model.layers[0], backward=True),)))
    clipped = make_model([("lstm_clip", 6)], 4)
    with pytest.raises(UserError, match="clip: integer-lstm has one above 0 for all cells"):
        from_model(clipped)


def test_cells_with_one_clip(make_model):
    model = make_model([("lstm_clip", 6)], 4)
    layer = replace(model.layers[0], vectors={"clip": np.full(6, 0.25, np.float32)})
    model = replace(model, layers=(layer,))
    network = from_model(model)
    assert network.layers[0].cell_clip == 0.25
    sequences = make_frames(4, [12])
    np.testing.assert_allclose(
        run_float(network, sequences), run_float_batch(model, sequences), atol=1e-9
    )
