# SPDX-License-Identifier: Apache-2.0
"""Keras files: models that are no chain, layers that weights do not show, and foreign values."""

import io
import json
import zipfile

import numpy as np
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import ImportOptions, import_checkpoint
from deltaloom.golden.models.float_model import run_float

h5py = pytest.importorskip("h5py")
RNG = np.random.default_rng(3)


def refused(file, **options):
    with pytest.raises(UserError) as caught:
        import_checkpoint(file, options=ImportOptions(**options))
    line = str(caught.value)
    assert line.startswith(f"{file}: ") and "\n" not in line
    return line.removeprefix(f"{file}: ")


def lstm(inputs=3, units=4):
    shapes = {"kernel": (inputs, 4 * units), "recurrent_kernel": (units, 4 * units)}
    return {name: RNG.normal(size=s).astype(np.float32) for name, s in shapes.items()}


def dense(inputs=4, units=2):
    return {"kernel": RNG.normal(size=(inputs, units)).astype(np.float32)}


def layer(kind, name, *inbound, new=True, **options):
    """A layer of a functional model, as Keras 3 writes it or as Keras 2 does."""
    tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": []}}
    nodes = []
    for sources in inbound:
        if new:
            given = [tensor | {"config": {"keras_history": [name, 0, 0]}} for name in sources]
            nodes.append({"args": given[:1] if len(given) == 1 else [given], "kwargs": {}})
        else:
            nodes.append([[name, 0, 0, {}] for name in sources])
    config = {"name": name, "return_sequences": True, **options}
    return {"class_name": kind, "config": config, "inbound_nodes": nodes}


def functional(*layers, outputs=()):
    given = [[name, 0, 0] for name in outputs]
    return {"class_name": "Functional", "config": {"layers": layers, "output_layers": given}}


@pytest.fixture
def save(tmp_path):
    def write(config, **weights):
        file = tmp_path / "net.h5"
        with h5py.File(file, "w") as archive:
            archive.attrs["model_config"] = json.dumps(config)
            root = archive.create_group("model_weights")
            root.attrs["layer_names"] = [*weights]
            for name, arrays in weights.items():
                group = root.create_group(name)
                group.attrs["weight_names"] = [f"{name}/{leaf}" for leaf in arrays]
                for leaf, array in arrays.items():
                    group[f"{name}/{leaf}"] = array
        return file

    return write


# The graph


@pytest.mark.parametrize("new", [True, False])
def test_a_functional_chain(save, new):
    config = functional(
        layer("InputLayer", "input", new=new),
        layer("LSTM", "lstm", ["input"], new=new),
        layer("Dense", "fc", ["lstm"], new=new),
        outputs=["fc"],
    )
    model = import_checkpoint(save(config, lstm=lstm(), fc=dense()))
    assert [x.name for x in model.layers] == ["lstm", "fc"]


@pytest.mark.parametrize("new", [True, False])
def test_two_heads(save, new):
    config = functional(
        layer("InputLayer", "input", new=new),
        layer("LSTM", "lstm", ["input"], new=new),
        layer("Dense", "aux", ["lstm"], new=new),
        layer("Dense", "cls", ["lstm"], new=new),
        outputs=["aux", "cls"],
    )
    line = refused(save(config, lstm=lstm(), aux=dense(4, 4), cls=dense()))
    assert (
        line
        == "'lstm' leads to 'aux' and to 'cls'; only a single chain of layers can be imported, "
        "--from LAYER and --to LAYER choose one"
    )


@pytest.mark.parametrize("new", [True, False])
def test_a_layer_that_is_called_twice(save, new):
    config = functional(
        layer("InputLayer", "input", new=new),
        layer("LSTM", "lstm", ["input"], ["lstm"], new=new),
        outputs=["lstm"],
    )
    line = refused(save(config, lstm=lstm(4)))
    assert line.startswith("LSTM layer 'lstm': is called 2 times; only layers that are called once")


def test_a_part_of_a_graph_that_is_no_chain(save):
    """--to chooses one of two heads, --from what follows a sum; weights of others are left out."""
    config = functional(
        layer("InputLayer", "input"),
        layer("LSTM", "lstm", ["input"]),
        layer("Add", "sum", ["lstm", "input"]),
        layer("LSTM", "second", ["sum"]),
        layer("Dense", "aux", ["second"], activation="relu"),
        layer("Dense", "cls", ["second"]),
        outputs=["aux", "cls"],
    )
    weights = {"lstm": lstm(3, 3), "second": lstm(), "aux": dense(4, 4), "cls": dense()}
    file = save(config, **weights)
    line = refused(file)
    assert line.startswith("Add layer 'sum': takes 'lstm' and 'input'; only a single chain of")
    assert refused(file, start="second") == (
        "the model's outputs are 'aux', 'cls'; --to LAYER says which"
    )
    model = import_checkpoint(file, options=ImportOptions(start="second", end="aux"))
    assert [(x.name, x.kind) for x in model.layers] == [("second", "lstm"), ("aux", "linear_relu")]
    assert model.notes[0] == "left out: lstm, sum, cls"
    assert refused(file, end="sum").startswith("Add layer 'sum': takes 'lstm' and 'input'; only a")
    assert refused(file, start="lstm", end="cls").startswith("Add layer 'sum': takes 'lstm' and")
    assert refused(file, end="any").startswith("--to any: no layer has that name; there are input")
    assert refused(file, start="cls", end="aux").startswith("Add layer 'sum': takes 'lstm' and ")


def test_an_encoder_and_a_decoder(save):
    config = functional(
        layer("InputLayer", "input"),
        layer("LSTM", "encoder", ["input"]),
        layer("LSTM", "decoder", ["input", "encoder", "encoder"]),
        outputs=["decoder"],
    )
    line = refused(save(config, encoder=lstm(), decoder=lstm()))
    assert line.startswith("LSTM layer 'decoder': takes 'input' and 'encoder' and 'encoder'; only")


def test_an_output_in_the_middle_and_a_sum(save):
    layers = [
        layer("InputLayer", "input"),
        layer("LSTM", "a", ["input"]),
        layer("Dense", "b", ["a"]),
    ]
    weights = {"a": lstm(), "b": dense()}
    line = refused(save(functional(*layers, outputs=["a"]), **weights))
    assert line.startswith("the model's output is 'a', in the middle, from 'input'; only a single")
    layers[2] = layer("Add", "b", ["a", "input"])
    line = refused(save(functional(*layers, outputs=["b"]), **weights))
    assert line.startswith("Add layer 'b': takes 'a' and 'input'; only a single chain of layers")


# Layers


def test_layers_that_weights_do_not_show(save):
    def line(*layers, **weights):
        entries = [{"class_name": kind, "config": {"name": n, **o}} for kind, n, o in layers]
        config = {"class_name": "Sequential", "config": {"layers": entries}}
        return refused(save(config, **weights))

    assert line(("Masking", "mask", {}), ("LSTM", "lstm", {}), lstm=lstm()).startswith(
        "Masking layer 'mask': holds the state over masked frames, which no layer here does; "
    )
    inner = {"layer": {"class_name": "LSTM", "config": {}}}
    assert line(("TimeDistributed", "each", inner), each=lstm()).startswith(
        "TimeDistributed layer 'each' of LSTM: runs an inner sequence for each step, which is not"
    )
    assert line(("RNN", "rnn", {}), rnn=lstm()).startswith("RNN layer 'rnn': only one of ")
    assert line(("ReLU", "relu", {}), fc=dense()).startswith(
        "ReLU layer 'relu': follows what takes no activation; only Dense layers without one do; "
    )
    assert line(("LSTM", "lstm", {}), lstm=lstm(), fc=dense()).startswith(
        "fc: belong to no layer of the configuration; save the model anew"
    )


@pytest.mark.parametrize(
    ("kind", "options", "line"),
    [
        ("Softmax", {"axis": 1}, "Softmax layer 'end': axis is 1; only -1 is supported"),
        ("ReLU", {"max_value": 6.0}, "ReLU layer 'end': max_value is 6.0; only None is supported"),
        ("BatchNormalization", {"axis": 0}, "BatchNormalization layer 'end': axis is 0; only -1"),
        ("Normalization", {"invert": True}, "Normalization layer 'end': invert is True; only Fal"),
        ("Rescaling", {"scale": 2.0}, "Rescaling layer 'end': scales what no Dense layer made, an"),
        ("Activation", {"activation": "relu"}, "Activation layer 'end': follows what takes no ac"),
    ],
)
def test_what_no_layer_takes(save, kind, options, line):
    entries = [
        {"class_name": "LSTM", "config": {"name": "lstm", "return_sequences": True}},
        {"class_name": kind, "config": {"name": "end", **options}},
    ]
    config = {"class_name": "Sequential", "config": {"layers": entries}}
    assert refused(save(config, lstm=lstm())).startswith(line)


def test_all_that_is_in_the_way_is_named(save):
    layers = [("Conv1D", {}), ("GRU", {"activation": "relu"}), ("Dense", {"activation": "elu"})]
    entries = [{"class_name": k, "config": {"name": k.lower(), **o}} for k, o in layers]
    line = refused(save({"class_name": "Sequential", "config": {"layers": entries}}, dense=dense()))
    for what in ("Conv1D layer 'conv1d' is not sup", "GRU layer 'gru': activation is relu", "elu"):
        assert what in line
    assert line.count("supported: LSTM") == 1


def test_hard_sigmoids_need_keras_version(save):
    """Their slope changed with Keras 3."""
    entry = {"class_name": "Dense", "config": {"name": "fc", "activation": "hard_sigmoid"}}
    file = save({"class_name": "Sequential", "config": {"layers": [entry]}}, fc=dense())
    assert refused(file).startswith("Dense layer 'fc': hard_sigmoid has another slope in Keras 2 t")
    x = RNG.normal(size=(5, 4)) * 2
    for version, slope in (("2.15.0", 0.2), ("3.3.3", 1 / 6)):
        with h5py.File(file, "a") as archive:
            archive.attrs["keras_version"] = version
            kernel = archive["model_weights/fc/fc/kernel"][()]
        y, _ = run_float(import_checkpoint(file), x)
        np.testing.assert_allclose(y, np.clip(slope * (x @ kernel) + 0.5, 0, 1), atol=1e-6)


@pytest.mark.parametrize("path", ["rnn/stacked_rnn_cells/lstm_cell", "layers/rnn/cell/cells/a"])
def test_an_rnn_of_several_cells_without_a_configuration(tmp_path, path):
    with h5py.File(tmp_path / "net.h5", "w") as archive:
        for name, array in lstm().items():
            archive[f"{path}/{name}"] = array
    assert "an RNN layer of several cells is not supported" in refused(tmp_path / "net.h5")


def test_nested_groups_keep_their_order(tmp_path):
    """The names of a group's weights tell the order in the groups within it, too."""
    order = ["zeta", "alpha", "mid"]
    with h5py.File(tmp_path / "net.h5", "w") as archive:
        archive.attrs["layer_names"] = ["sub"]
        group = archive.create_group("sub")
        group.attrs["weight_names"] = [f"sub/{name}/kernel:0" for name in order]
        for name in order:
            group[f"sub/{name}/kernel:0"] = dense(4, 4)["kernel"]
    model = import_checkpoint(tmp_path / "net.h5")
    assert [x.name.split("/")[-1] for x in model.layers] == order


# .keras


def keras_archive(file, config, weights):
    stream = io.BytesIO()
    with h5py.File(stream, "w") as archive:
        for path, array in weights.items():
            archive[path] = array
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        made.writestr("model.weights.h5", stream.getvalue())
    return file


def test_a_keras_archive(tmp_path):
    """Its groups have classes and numbers; the configuration tells names and order."""
    first, second, head = lstm(4, 4), lstm(4, 4), dense()
    entries = [
        {"class_name": kind, "config": {"name": name, "return_sequences": True}}
        for kind, name in (("InputLayer", "in"), ("LSTM", "z"), ("LSTM", "a"), ("Dense", "fc"))
    ]
    weights = {
        f"layers/{group}/{'' if layer is head else 'cell/'}vars/{n}": array
        for group, layer in (("dense", head), ("lstm_1", second), ("lstm", first))
        for n, array in enumerate(layer.values())
    }
    config = {"class_name": "Sequential", "config": {"layers": entries}}
    model = import_checkpoint(keras_archive(tmp_path / "net.keras", config, weights))
    assert [x.name for x in model.layers] == ["z", "a", "fc"]
    np.savez(
        tmp_path / "net.npz",
        **{
            f"{n}/{leaf}": a
            for n, w in (("z", first), ("a", second), ("fc", head))
            for leaf, a in w.items()
        },
    )
    x = RNG.normal(size=(8, 4))
    expected, _ = run_float(import_checkpoint(tmp_path / "net.npz"), x)
    np.testing.assert_array_equal(run_float(model, x)[0], expected)
    del weights["layers/dense/vars/0"]
    weights["layers/conv/vars/0"] = dense()["kernel"]
    line = refused(keras_archive(tmp_path / "net.keras", config, weights))
    assert line.startswith("conv/kernel: belongs to no layer of the configuration")


@pytest.mark.parametrize("config", ["[" * 100_000, "{", '{"config": {"layers": []}}'])
def test_a_keras_archive_of_another_configuration(tmp_path, config):
    file = keras_archive(tmp_path / "net.keras", config, {"layers/dense/vars/0": dense()["kernel"]})
    assert "its model_config is not Keras's" in refused(file)


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive"])
def test_a_damaged_keras_archive(tmp_path, content):
    (tmp_path / "net.keras").write_bytes(content)
    assert refused(tmp_path / "net.keras").startswith("not a whole Keras .keras file (")


# Values elsewhere


@pytest.fixture
def h5(tmp_path):
    return tmp_path / "net.h5"


def test_values_in_another_file(h5, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(96))
    with h5py.File(h5, "w") as archive:
        group = archive.create_group("fc")
        group.create_dataset("kernel", (6, 4), "f4", external=[(str(tmp_path / "secret"), 0, 96)])
    assert refused(h5).startswith("fc/kernel: its values lie outside the file, where nothing is re")


def test_virtual_values(h5, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.ones((6, 4), np.float32)
    layout = h5py.VirtualLayout((6, 4), "f4")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "secret", (6, 4))
    with h5py.File(h5, "w") as archive:
        archive.create_group("fc").create_virtual_dataset("kernel", layout)
    assert refused(h5).startswith("fc/kernel: its values lie outside the file, where nothing is re")


@pytest.mark.parametrize("link", ["external", "soft"])
def test_links(h5, tmp_path, link):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["kernel"] = np.ones((6, 4), np.float32)
    with h5py.File(h5, "w") as archive:
        archive["there/kernel"] = np.ones((6, 4), np.float32)
        archive.create_group("fc")["kernel"] = (
            h5py.ExternalLink(str(tmp_path / "other.h5"), "kernel")
            if link == "external"
            else h5py.SoftLink("/there/kernel")
        )
    assert refused(h5).startswith("kernel: a link to another place or file, which is not followed;")


def test_a_group_that_holds_itself(h5):
    with h5py.File(h5, "w") as archive:
        group = archive.create_group("a")
        group["b"] = group["c"] = archive["a"]
    assert "a group that is in the file twice" in refused(h5)


def test_sparse_values(h5):
    with h5py.File(h5, "w") as archive:
        archive.create_dataset("fc/kernel", (10**5, 2000), "f4", chunks=(1000, 1000))
    line = refused(h5)
    assert line.startswith("fc/kernel: declares 800,000,000 bytes, of which the file holds 0; ")
    with h5py.File(h5, "w") as archive:
        archive.create_dataset("fc/kernel", (10**6, 10**6), "f4", chunks=(1000, 1000))
    assert refused(h5).startswith("fc/kernel: makes 4e+03 GB of values, the limit is ")
