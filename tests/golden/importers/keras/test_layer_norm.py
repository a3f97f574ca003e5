# SPDX-License-Identifier: Apache-2.0
"""Keras's LayerNormalization before, between and after layers, from whole models and weights."""

import json
import os
import warnings
from importlib.util import find_spec

import numpy as np
import pytest

from deltaloom.golden.cells.norm import LEAST
from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import ImportOptions, read_checkpoint
from deltaloom.golden.importers.keras.names import with_gains
from deltaloom.golden.models.float_model import run_float

INPUTS, UNITS = 5, 6


def layers(keras, form):
    """The layers of a network."""
    of = keras.layers
    lstm, norm = of.LSTM(UNITS, return_sequences=True), of.LayerNormalization
    return {
        "between and after": lambda: [
            lstm,
            norm(),
            of.GRU(UNITS, return_sequences=True),
            norm(epsilon=1e-5),
            of.Dense(3),
        ],
        "before the first layer": lambda: [norm(center=False), lstm, of.Dense(3)],
        "without parameters": lambda: [lstm, norm(center=False, scale=False), of.Dense(3)],
        "an offset alone": lambda: [lstm, norm(scale=False), of.Dense(3)],
        "an activation behind it": lambda: [of.Dense(UNITS), norm(), of.Activation("relu"), lstm],
        "of both directions, twice": lambda: [
            of.Bidirectional(lstm),
            norm(axis=2),
            of.TimeDistributed(norm()),
            of.Dense(3, activation="tanh"),
        ],
        "behind what goes backwards": lambda: [
            of.LSTM(UNITS, return_sequences=True, go_backwards=True),
            norm(),
            lstm,
            of.Dense(3),
        ],
        "of a last step": lambda: [of.LSTM(UNITS), norm(axis=1), of.Dense(3)],
        "between scales": lambda: [
            of.BatchNormalization(),
            norm(),
            of.BatchNormalization(),
            lstm,
            norm(),
            of.BatchNormalization(),
        ],
        "another axis": lambda: [lstm, norm(axis=1)],
        "two axes": lambda: [lstm, norm(axis=[1, 2])],
        "RMS": lambda: [lstm, of.RMSNormalization()],
        "groups": lambda: [lstm, of.GroupNormalization(2)],
        "a negative epsilon": lambda: [lstm, norm(epsilon=-0.001)],
        "no size": lambda: [norm(center=False, scale=False), lstm],
    }[form]()


KINDS = {
    "between and after": "lstm layer_norm gru layer_norm linear",
    "before the first layer": "layer_norm lstm linear",
    "without parameters": "lstm layer_norm linear",
    "an offset alone": "lstm layer_norm linear",
    "an activation behind it": "layer_norm linear_relu lstm",
    "of both directions, twice": "lstm lstm layer_norm layer_norm linear_tanh",
    "behind what goes backwards": "lstm layer_norm lstm linear",
    "of a last step": "lstm layer_norm linear",
    "between scales": "layer_norm lstm layer_norm",
}


@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("h5py")
    backend = next((name for name in ("tensorflow", "jax", "torch") if find_spec(name)), None)
    if backend is None:
        pytest.skip("keras has no backend")
    os.environ.setdefault("KERAS_BACKEND", backend)
    return pytest.importorskip("keras")


@pytest.fixture
def load(keras, tmp_path):
    def run(form, suffix=".keras", **options):
        file = tmp_path / f"net{suffix}"
        with warnings.catch_warnings(action="ignore"):  # Keras's own, of NumPy and of files
            network = keras.Sequential([keras.Input((9, INPUTS)), *layers(keras, form)])
            rng = np.random.default_rng(len(form))
            for variable in network.weights:
                values = keras.ops.convert_to_numpy(variable)
                values = values + 0.3 * rng.normal(size=values.shape)
                variable.assign(abs(values) + 0.1 if "variance" in variable.name else values)
            network.save(file)
        return read_checkpoint(file, options=ImportOptions(**options))

    return run


FAST = ("an offset alone", "an activation behind it", "of a last step", "between scales")


@pytest.mark.parametrize(
    ("form", "suffix"),
    [
        ("of both directions, twice", ".h5"),
        *((form, ".keras") for form in FAST),
        *(pytest.param(f, ".keras", marks=pytest.mark.slow) for f in KINDS if f not in FAST),
    ],
)
def test_equals_keras(form, suffix, load):
    found = load(form, suffix)
    assert [layer.kind for layer in found.model.layers] == KINDS[form].split()
    assert found.notes[-1].startswith("equals Keras 3")


def test_each_has_its_epsilon(load):
    vectors = [v for layer in load("between and after").model.layers for v in layer.vectors.items()]
    found = [float(v[0]) + LEAST for name, v in vectors if name == "epsilon_y"]
    np.testing.assert_allclose(found, [1e-3, 1e-5], rtol=1e-4)
    with pytest.raises(UserError, match="norm epsilon: a graph tells it; leave --norm-epsilon out"):
        load("between and after", norm_epsilon=0.1)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("another axis", "axis is [1]; only the last one, the features, can be normalized"),
        ("two axes", "axis is [1, 2]; only the last one, the features, can be normalized"),
        ("RMS", "RMSNormalization layer 'rms_normalization"),
        ("groups", "GroupNormalization layer 'group_normalization"),
        ("a negative epsilon", "epsilon -0.001 is not possible, it must be 0..1"),
        ("no size", "is the first layer and has no weights, so that nothing tells its size"),
    ],
)
def test_refused_by_name(form, message, load):
    with pytest.raises(UserError) as caught:
        load(form)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def weights(gain="layer_normalization/gamma", offset="layer_normalization/beta"):
    rng = np.random.default_rng(2)
    shapes = {
        "lstm/kernel": (INPUTS, 4 * UNITS),
        "lstm/recurrent_kernel": (UNITS, 4 * UNITS),
        "lstm/bias": (4 * UNITS,),
        gain: (UNITS,),
        offset: (UNITS,),
        "dense/kernel": (UNITS, 3),
        "dense/bias": (3,),
    }
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def read(tmp_path, arrays, **options):
    np.savez(tmp_path / "net.npz", **arrays)
    return read_checkpoint(tmp_path / "net.npz", options=ImportOptions(**options))


def test_weights_alone(tmp_path):
    arrays = weights()
    found = read(tmp_path, arrays)
    lstm, norm, _ = found.model.layers
    assert (lstm.kind, norm.kind) == ("lstm", "layer_norm")
    assert found.notes[0].startswith("layer normalization: epsilon is taken to be 0.001; ")
    x = np.random.default_rng(3).normal(size=(8, INPUTS))
    outputs, traces = run_float(found.model, x)
    h = traces[0].h
    centred = h - h.mean(axis=1, keepdims=True)
    normed = centred / np.sqrt(h.var(axis=1, keepdims=True) + 1e-3)
    normed = normed * arrays["layer_normalization/gamma"] + arrays["layer_normalization/beta"]
    wanted = normed @ arrays["dense/kernel"] + arrays["dense/bias"]
    np.testing.assert_allclose(outputs, wanted, rtol=0, atol=1e-6)


def test_numbers_of_keras_3_are_gain_and_offset_where_there_are_two():
    numbered = weights("layer_normalization/kernel", "layer_normalization/bias")
    assert {*with_gains(numbered)} == {*weights()}
    alone = {k: v for k, v in numbered.items() if k != "layer_normalization/bias"}
    assert {*with_gains(alone)} == {*alone}  # it may be either
    other = weights("dense_1/kernel", "dense_1/bias")
    assert {*with_gains(other)} == {*other}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("layer_normalization/kernel", "layer_normalization/kernel [6] belongs to layer normal"),
        ("batch_normalization/gamma", "batch_normalization/gamma [6] belongs to layer or batch"),
        ("rms_normalization/gamma", "rms_normalization/gamma [6] belongs to layer or batch"),
    ],
)
def test_weights_that_are_no_whole_norm(name, message, tmp_path):
    arrays = weights(gain=name)
    del arrays["layer_normalization/beta"]
    with pytest.raises(UserError) as caught:
        read(tmp_path, arrays)
    assert str(caught.value).partition(".npz: ")[2].startswith(message)


def addons(seed=0):
    """The weights of TensorFlow Addons' LayerNormLSTMCell, by its variables' names."""
    rng = np.random.default_rng(seed)
    columns = 4 * UNITS
    shapes = {"kernel": (INPUTS, columns), "recurrent_kernel": (UNITS, columns), "bias": (columns,)}
    for name, size in (("kernel", columns), ("recurrent", columns), ("state", UNITS)):
        shapes |= {f"{name}_norm/gamma": (size,), f"{name}_norm/beta": (size,)}
    return {
        name: (rng.normal(size=shape) * 0.5 + name.endswith("gamma")).astype(np.float32)
        for name, shape in shapes.items()
    }


def run_addons(w, x, epsilon):
    """Its equations: the bias comes after both norms, and the state is normalized itself."""

    def norm(v, name):
        centred = v - v.mean()
        normed = centred / np.sqrt(v.var() + epsilon)
        return normed * w[f"{name}_norm/gamma"] + w[f"{name}_norm/beta"]

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    h, c, outputs = np.zeros(UNITS), np.zeros(UNITS), []
    for frame in x:
        z = norm(frame @ w["kernel"], "kernel") + norm(h @ w["recurrent_kernel"], "recurrent")
        i, f, g, o = np.split(z + w["bias"], 4)
        c = norm(sigmoid(f) * c + sigmoid(i) * np.tanh(g), "state")
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.array(outputs)


def save_addons(h5py, file, w, cell="Addons>LayerNormLSTMCell", **options):
    """A whole model as Keras 2 writes it."""
    own = {"units": UNITS, "activation": "tanh", "recurrent_activation": "sigmoid"} | options
    layer = {"name": "rnn", "return_sequences": True, "cell": {"class_name": cell, "config": own}}
    config = {
        "class_name": "Sequential",
        "config": {"layers": [{"class_name": "RNN", "config": layer}]},
    }
    with h5py.File(file, "w") as archive:
        archive.attrs["model_config"] = json.dumps(config)
        archive.attrs["keras_version"] = "2.11.0"
        root = archive.create_group("model_weights")
        root.attrs["layer_names"] = ["rnn"]
        names = [f"rnn/layer_norm_lstm_cell/{name}:0" for name in w]
        group = root.create_group("rnn")
        group.attrs["weight_names"] = names
        for name, array in zip(names, w.values(), strict=True):
            group[name] = array
    return read_checkpoint(file)


@pytest.mark.parametrize("epsilon", [1e-3, 1e-5])
def test_the_cell_of_tensorflow_addons(epsilon, tmp_path):
    h5py = pytest.importorskip("h5py")
    w, x = addons(), np.random.default_rng(1).normal(size=(12, INPUTS))
    models = [read(tmp_path, {f"rnn/{k}": v for k, v in w.items()}, norm_epsilon=epsilon).model]
    models.append(save_addons(h5py, tmp_path / "net.h5", w, norm_epsilon=epsilon).model)
    for model in models:
        assert [layer.kind for layer in model.layers] == ["lstm_norm_xh_c"]
        wanted = run_addons(w, x, epsilon)
        np.testing.assert_allclose(run_float(model, x)[0], wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("cell", "options", "message"),
    [
        (
            "Addons>LayerNormSimpleRNNCell",
            {},
            "RNN layer 'rnn': only one of TensorFlow Addons' LayerNormLSTMCell is supported; ",
        ),
        (
            "Addons>LayerNormLSTMCell",
            {"activation": "relu"},
            "LayerNormLSTMCell layer 'rnn': activation is relu; only tanh is supported",
        ),
        (
            "Addons>LayerNormLSTMCell",
            {"norm_epsilon": -1.0},
            "rnn: epsilon -1 is not possible, it must be 0..1; 1e-05 is PyTorch's",
        ),
    ],
)
def test_other_cells_of_tensorflow_addons(cell, options, message, tmp_path):
    h5py = pytest.importorskip("h5py")
    with pytest.raises(UserError) as caught:
        save_addons(h5py, tmp_path / "net.h5", addons(), cell, **options)
    assert str(caught.value).partition(".h5: ")[2].startswith(message)
