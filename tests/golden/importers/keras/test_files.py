# SPDX-License-Identifier: Apache-2.0
"""Keras weights in .npz and .h5, imported and run, against the documented equations.

The reference is Keras's documentation of LSTM and GRU (https://keras.io/api/layers/recurrent_layers/)
written out here in NumPy; the .h5 files are made here in the three ways of laying them out that
Keras has. Bidirectional and backward layers are compared with what Keras gave
(make_keras_vectors.py).
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import ImportOptions, import_checkpoint
from deltaloom.golden.importers.keras.names import tensor_name
from deltaloom.golden.models.float_model import run_float

INPUTS, UNITS, OUTPUTS, STEPS = 5, 7, 3, 17
X = np.random.default_rng(8).normal(size=(STEPS, INPUTS))
GATES = {"lstm": 4, "gru_after": 3, "gru_before": 3}
KINDS = {"lstm": "lstm", "gru_after": "gru", "gru_before": "gru_before"}


def layer_weights(kind, inputs=INPUTS, seed=0, bias=True):
    rng = np.random.default_rng(seed)
    columns = GATES[kind] * UNITS
    weights = {"kernel": (inputs, columns), "recurrent_kernel": (UNITS, columns)}
    if bias:
        weights["bias"] = (2, columns) if kind == "gru_after" else (columns,)
    return {name: rng.normal(size=s).astype(np.float32) * 0.7 for name, s in weights.items()}


def network(kind, bias=True):
    """Two recurrent layers and a Dense one, by layer and weight."""
    rng = np.random.default_rng(9)
    dense = {"kernel": rng.normal(size=(UNITS, OUTPUTS)).astype(np.float32)}
    if bias:
        dense["bias"] = rng.normal(size=OUTPUTS).astype(np.float32)
    name = kind.partition("_")[0]
    return {
        name: layer_weights(kind, INPUTS, 1, bias),
        f"{name}_1": layer_weights(kind, UNITS, 2, bias),
        "dense": dense,
    }


def flat(layers):
    return {f"{layer}/{name}": a for layer, ws in layers.items() for name, a in ws.items()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def recurrent(kind, weights, x):
    kernel, recurrent_kernel = weights["kernel"], weights["recurrent_kernel"]
    bias = weights.get("bias", 0)
    h = c = np.zeros(UNITS)
    outputs = []
    for x_t in x:
        if kind == "lstm":
            i, f, g, o = np.split(x_t @ kernel + h @ recurrent_kernel + bias, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        elif kind == "gru_after":
            of_x, of_h = np.broadcast_to(bias, (2, 3 * UNITS))
            x_z, x_r, x_h = np.split(x_t @ kernel + of_x, 3)
            h_z, h_r, h_h = np.split(h @ recurrent_kernel + of_h, 3)
            z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
            h = z * h + (1 - z) * np.tanh(x_h + r * h_h)
        else:
            x_z, x_r, x_h = np.split(x_t @ kernel + bias, 3)
            u_z, u_r, u_h = np.split(recurrent_kernel, 3, axis=1)
            z, r = sigmoid(x_z + h @ u_z), sigmoid(x_r + h @ u_r)
            h = z * h + (1 - z) * np.tanh(x_h + (r * h) @ u_h)
        outputs.append(h)
    return np.array(outputs)


def reference(kind, layers):
    x = X
    *cells, dense = layers.values()
    for weights in cells:
        x = recurrent(kind, {n: a.astype(np.float64) for n, a in weights.items()}, x)
    return x @ dense["kernel"].astype(np.float64) + dense.get("bias", 0)


def assert_gives(model, kind, layers):
    assert [layer.kind for layer in model.layers] == [KINDS[kind], KINDS[kind], "linear"]
    y, _ = run_float(model, X)
    np.testing.assert_allclose(y, reference(kind, layers), rtol=0, atol=1e-6)


@pytest.fixture
def load(tmp_path):
    def run(tensors, **options):
        np.savez(tmp_path / "net.npz", **tensors)
        return import_checkpoint(tmp_path / "net.npz", options=ImportOptions(**options))

    return run


def refused(read, *given, **options):
    with pytest.raises(UserError) as caught:
        read(*given, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line.partition(": ")[2]


# npz


@pytest.mark.parametrize("kind", KINDS)
def test_npz(load, kind):
    layers = network(kind)
    model = load(flat(layers))
    assert [layer.name for layer in model.layers] == list(layers)
    assert_gives(model, kind, layers)


def test_names_as_keras_gives_its_variables(load):
    layers = network("gru_after")
    tensors = {
        f"{layer}/{'' if layer == 'dense' else 'gru_cell_3/'}{name}:0": array
        for layer, weights in layers.items()
        for name, array in weights.items()
    }
    assert_gives(load(tensors), "gru_after", layers)


def test_lstm_without_biases(load):
    layers = network("lstm", bias=False)
    assert_gives(load(flat(layers)), "lstm", layers)


@pytest.mark.parametrize("reset", ["after", "before"])
def test_gru_without_biases_needs_to_be_told(load, reset):
    layers = network(f"gru_{reset}", bias=False)
    assert_gives(load(flat(layers), reset=reset), f"gru_{reset}", layers)
    assert refused(load, flat(layers)) == (
        "gru/kernel [5, 21]: without biases the file does not tell whether this GRU resets after "
        "or before its recurrent product; say --reset after (Keras's default) or --reset before"
    )


@pytest.mark.parametrize(
    ("name", "shape", "line"),
    [
        ("gru/bias", (4, 21), "Keras GRU (reset_after) expects [2, 21]"),
        ("gru/recurrent_kernel", (8, 21), "Keras GRU (reset_after) expects [7, 21]"),
        ("dense/bias", (4,), "Keras Dense expects [3]"),
        ("dense/kernel", (7, 2), "Keras Dense expects"),
    ],
)
def test_wrong_shape(load, name, shape, line):
    tensors = flat(network("gru_after")) | {name: np.ones(shape, np.float32)}
    found = refused(load, tensors)
    if name == "dense/kernel":
        assert found == "dense/bias [3]: Keras Dense expects [2]"
    else:
        assert found == f"{name} {[*shape]}: {line}"


def test_missing_tensor(load):
    tensors = {n: a for n, a in flat(network("lstm")).items() if n != "lstm_1/kernel"}
    line = refused(load, tensors)
    assert line.startswith("lstm_1/kernel is missing; Keras LSTM has it, shape [inputs, 4*units]")


@pytest.mark.parametrize(
    ("name", "shape", "what"),
    [
        ("conv1d/kernel", (3, 5, 7), "a convolution"),
        ("batch_normalization/gamma", (7,), "layer or batch normalization"),
    ],
)
def test_other_layers(load, name, shape, what):
    line = refused(load, {name: np.ones(shape, np.float32)} | flat(network("lstm")))
    assert line.startswith(f"{name} {[*shape]} belongs to {what}; supported: ")


def test_simple_rnn(load):
    tensors = {"rnn/kernel": np.ones((5, 7)), "rnn/recurrent_kernel": np.ones((7, 7))}
    assert refused(load, tensors).startswith("rnn: the file does not tell whether this RNN has ta")


# h5


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py")


LAYOUTS = ["keras 2", "keras 2 model", "keras 3"]
CELL = {"keras 2": "lstm_cell_4/", "keras 2 model": "lstm_cell/"}


@pytest.fixture
def save(h5py, tmp_path):
    """Writes layers as Keras does and reads them back."""

    def run(layers, layout="keras 2", config=None, **options):
        file = tmp_path / "net.weights.h5"
        with h5py.File(file, "w") as archive:
            if config is not None:
                archive.attrs["model_config"] = json.dumps(config)
            if layout == "keras 3":
                for layer, weights in layers.items():
                    cell = "cell/" if "recurrent_kernel" in weights else ""
                    archive.create_group(f"layers/{layer}/vars")
                    for n, array in enumerate(weights.values()):
                        archive[f"layers/{layer}/{cell}vars/{n}"] = array
                seed = np.zeros(2, np.uint32)
                archive["layers/dropout/seed_generator/vars/0"] = seed
                archive["optimizer/vars/0"] = seed
            else:
                root = archive.create_group("model_weights") if "model" in layout else archive
                root.attrs["layer_names"] = [*layers, "dropout"]
                root.create_group("dropout").attrs["weight_names"] = np.zeros(0)
                for layer, weights in layers.items():
                    cell = CELL[layout] if "recurrent_kernel" in weights else ""
                    names = [f"{layer}/{cell}{name}:0" for name in weights]
                    group = root.create_group(layer)
                    group.attrs["weight_names"] = names
                    for name, array in zip(names, weights.values(), strict=True):
                        group[name] = array
        return import_checkpoint(file, **options)

    return run


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_h5(save, kind, layout):
    layers = network(kind)
    # with no order in the file, two layers of equal widths could change places
    order = list(layers) if layout == "keras 3" else ()
    assert_gives(save(layers, layout, order=order), kind, layers)


def test_groups_tell_the_order(save):
    square = {"kernel": np.eye(4, dtype=np.float32)}
    model = save({"z": square, "a": square, "m": square})
    assert [layer.name for layer in model.layers] == ["z", "a", "m"]
    assert "fit in either order" in refused(save, {"z": square, "a": square}, "keras 3")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("lstm/lstm/lstm_cell/kernel:0", "lstm/kernel"),
        ("lstm_1/lstm_1/lstm_cell_7/recurrent_kernel:0", "lstm_1/recurrent_kernel"),
        ("lstm/sequential/lstm/lstm_cell/bias", "lstm/bias"),
        ("layers/gru/cell/vars/1", "gru/recurrent_kernel"),
        ("layers/dense/vars/1", "dense/bias"),
        ("layers/time_distributed/layer/vars/0", "time_distributed/kernel"),
        ("layers/batch_normalization/vars/3", "batch_normalization/vars.3"),
        ("layers/dropout/seed_generator/vars/0", ""),
        (
            "bidirectional/bidirectional/backward_lstm/lstm_cell/kernel:0",
            "bidirectional/backward_lstm/kernel",
        ),
        (
            "layers/bidirectional/backward_layer/cell/vars/0",
            "bidirectional/backward_layer/kernel",
        ),
    ],
)
def test_tensor_name(path, name):
    assert tensor_name(path) == name


def half(kind, **options):
    config = {"return_sequences": True, "go_backwards": False, **options}
    return {"class_name": kind, "config": config}


def config(*layers):
    entries = [{"class_name": kind, "config": {"name": kind.lower(), **o}} for kind, o in layers]
    return {"class_name": "Sequential", "config": {"name": "s", "layers": entries}}


def test_configuration_that_fits(save):
    layers = network("lstm")
    options = {"activation": "tanh", "recurrent_activation": "sigmoid", "go_backwards": False}
    softmax = ("Dense", {"activation": "softmax"})
    inner = {"layer": {"class_name": "Dense", "config": {"activation": "linear"}}}
    first, second = ("LSTM", options), ("LSTM", {**options, "name": "lstm_1"})
    model = save(layers, config=config(("InputLayer", {}), first, second, softmax))
    assert_gives(model, "lstm", layers)
    each = ("TimeDistributed", {**inner, "name": "dense"})
    save(layers, config=config(first, ("Dropout", {}), second, each))


@pytest.mark.parametrize(
    ("layers", "line"),
    [
        (
            [("LSTM", {"recurrent_activation": "relu"})],
            "LSTM layer 'lstm': recurrent_activation is relu; only sigmoid or hard_sigmoid are sup",
        ),
        (
            [("GRU", {"activation": "relu"})],
            "GRU layer 'gru': activation is relu; only tanh is supported",
        ),
        (
            [("LSTM", {"go_backwards": True})],
            "LSTM layer 'lstm': return_sequences is False, so it gives the first frame's output of",
        ),
        (
            [("Dense", {"activation": "elu"})],
            "Dense layer 'dense': activation is elu; only linear or relu or sigmoid or tanh or ha",
        ),
        (
            [("Dense", {"activation": "softmax"}), ("LSTM", {})],
            "Dense layer 'dense': activation is softmax; only linear or relu or sigmoid or ",
        ),
        (
            [("Conv1D", {})],
            "Conv1D layer 'conv1d' is not supported; supported: LSTM, GRU, SimpleRNN, Bidirection",
        ),
        (
            [("Bidirectional", {"merge_mode": "sum"})],
            "Bidirectional layer 'bidirectional': merge_mode is sum; only concat is supported",
        ),
        (
            [("Bidirectional", {"layer": half("ConvLSTM1D")})],
            "Bidirectional layer 'bidirectional': its ConvLSTM1D is not supported; only LSTM, GRU",
        ),
        (
            [("Bidirectional", {"layer": half("LSTM", activation="relu")})],
            "Bidirectional layer 'bidirectional': activation is relu; only tanh is supported",
        ),
        (
            [("Bidirectional", {"layer": half("GRU", return_sequences=False)})],
            "Bidirectional layer 'bidirectional': return_sequences is False, so it gives the ",
        ),
        (
            [("Bidirectional", {"layer": half("GRU", go_backwards=True)})],
            "Bidirectional layer 'bidirectional': go_backwards of a half is True; only False is ",
        ),
        (
            [("Bidirectional", {"layer": half("GRU"), "backward_layer": half("GRU")})],
            "Bidirectional layer 'bidirectional': go_backwards of a half is False; only True is ",
        ),
    ],
)
def test_configuration_that_does_not_fit(save, layers, line):
    found = refused(save, network("lstm"), config=config(*layers))
    assert found.startswith(line)


@pytest.mark.parametrize("text", ["{", "[]", '{"config": 3}'])
def test_strange_configuration(h5py, tmp_path, text):
    file = tmp_path / "net.h5"
    with h5py.File(file, "w") as archive:
        archive.attrs["model_config"] = text
        archive["dense/kernel"] = np.ones((3, 2), np.float32)
    assert refused(import_checkpoint, file).startswith("its model_config is not Keras's (")


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_truncated_h5(h5py, save, tmp_path, part):
    save(network("lstm"))
    file = tmp_path / "net.weights.h5"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * part)])
    assert refused(import_checkpoint, file).startswith("not a whole Keras .h5 file (")


def test_two_data_sets_of_one_name(h5py, tmp_path):
    file = tmp_path / "net.h5"
    with h5py.File(file, "w") as archive:
        archive["lstm/lstm_cell/kernel"] = archive["lstm/kernel"] = np.ones((5, 28), np.float32)
    assert "two data sets are lstm/kernel" in refused(import_checkpoint, file)


def test_two_arrays_of_one_name(load):
    tensors = {"lstm/lstm_cell/kernel": np.ones((5, 28)), "lstm/kernel": np.ones((5, 28))}
    assert "two arrays have the same name" in refused(load, tensors)


def test_without_h5py(tmp_path, monkeypatch):
    (tmp_path / "net.h5").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "h5py", None)
    line = refused(import_checkpoint, tmp_path / "net.h5")
    assert line.startswith("reading it needs h5py: `pip install 'deltaloom[keras]'`, or save the ")


# Directions, as Keras itself runs them


@pytest.mark.parametrize(
    ("case", "backward"),
    [
        ("bidirectional_lstm", [False, True, False, True, False]),
        ("bidirectional_gru", [False, True, False, True, False]),
        ("bidirectional_before", [False, True, False, True, False]),
        ("backwards", [True, True, True, False, False, False]),
        ("turned", [True]),
    ],
)
def test_models_of_keras(case, backward):
    pytest.importorskip("h5py")
    folder = Path(__file__).parents[2]
    with np.load(folder / "keras_vectors.npz") as archive:
        x, expected = (archive[f"{case}:{name}"] for name in "xy")
    model = import_checkpoint(folder / "keras" / f"{case}.h5")
    assert [layer.backward for layer in model.layers] == backward
    y, _ = run_float(model, x)
    order = -1 if case == "turned" else 1  # Keras puts it out from last to first
    np.testing.assert_allclose(y, expected[::order], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["layers/b/{}_layer/cell/vars/{}", "b/{}_lstm/lstm_cell/{}", "{}_b/{}"]
)
def test_names_of_two_halves(load, name):
    halves = {d: layer_weights("lstm", seed=n) for n, d in enumerate(("forward", "backward"))}
    tensors = {}
    for direction, weights in halves.items():
        for k, (leaf, array) in enumerate(weights.items()):
            tensors[name.format(direction, k if "vars" in name else leaf)] = array
    model = load(tensors)
    assert [layer.name for layer in model.layers] == ["b", "b.reverse"]
    forward = recurrent("lstm", halves["forward"], X)
    backward = recurrent("lstm", halves["backward"], X[::-1])[::-1]
    y, _ = run_float(model, X)
    np.testing.assert_allclose(y, np.hstack([forward, backward]), rtol=0, atol=1e-6)
    some = {n: a for n, a in tensors.items() if "backward" not in n}
    with pytest.raises(UserError, match="belongs to a bidirectional layer without its backward ha"):
        load(some)


# Functions and norms, as Keras itself runs them


@pytest.mark.parametrize(
    ("case", "kinds"),
    [
        (
            "functions",
            [
                *("linear_relu", "linear_hard_sigmoid", "linear_tanh", "rnn_tanh"),
                *("linear_sigmoid", "linear"),
            ],
        ),
        ("hard", ["lstm_hard", "lstm_hard", "gru_hard", "linear"]),
        ("relu", ["rnn_relu", "rnn_relu", "linear"]),
    ],
)
def test_functions_of_keras(case, kinds):
    pytest.importorskip("h5py")
    folder = Path(__file__).parents[2]
    with np.load(folder / "keras_vectors.npz") as archive:
        x, expected = (archive[f"{case}:{name}"] for name in "xy")
    model = import_checkpoint(folder / "keras" / f"{case}.keras")
    assert [layer.kind for layer in model.layers] == kinds
    y, _ = run_float(model, x)
    if case == "functions":
        assert model.notes[0].endswith("softmax is left off: the same class wins")
        y = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)
    checked = model.notes[-1]
    assert checked.startswith(("equals Keras 3", "not checked: keras is not installed"))


def test_no_check_stands_in_the_model(tmp_path):
    pytest.importorskip("h5py")
    file = Path(__file__).parents[2] / "keras" / "relu.keras"
    model = import_checkpoint(file, options=ImportOptions(check=False))
    assert model.notes[-1] == "not checked against what else the file holds (--no-check)"


def test_a_part_of_a_model():
    """--from and --to choose layers by name; those around them may be anything."""
    pytest.importorskip("h5py")
    folder = Path(__file__).parents[2]
    file = folder / "keras" / "functions.keras"
    options = ImportOptions(start="dense", end="simple_rnn", check=False)
    names = [layer.name for layer in import_checkpoint(file, options=options).layers]
    assert len(names) == 4 and names[0] == "dense" and names[-1] == "simple_rnn"
