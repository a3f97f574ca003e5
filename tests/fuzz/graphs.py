# SPDX-License-Identifier: Apache-2.0
"""ONNX graphs and Keras files: right ones, and changed in one place or some."""

import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx

SIZES = (0, 1, 2, 3, 5, 8, -1, 2**31, 2**40, 2**62)
KINDS = ("MatMul", "Add", "GRU", "LSTM", "RNN", "Loop", "If", "Constant", "ConstantOfShape")
MORE_KINDS = (
    "Expand",
    "Tile",
    "Reshape",
    "Transpose",
    "Concat",
    "Slice",
    "Softmax",
    "Range",
    "Pad",
)


def write_bases(folder: Path, rng: np.random.Generator) -> None:
    """Right files: net.onnx, net.h5 of weights alone, model.h5 and model.keras with a model."""
    onnx.save(_model(rng), folder / "net.onnx")
    shapes: dict[str, dict[str, tuple[int, ...]]] = {
        "lstm": {"kernel": (5, 16), "recurrent_kernel": (4, 16), "bias": (16,)},
        "gru": {"kernel": (4, 9), "recurrent_kernel": (3, 9), "bias": (2, 9)},
        "dense": {"kernel": (3, 2), "bias": (2,)},
    }
    arrays = {
        layer: {name: rng.normal(size=shape).astype(np.float32) for name, shape in parts.items()}
        for layer, parts in shapes.items()
    }
    for name, config in (("net.h5", None), ("model.h5", _config())):
        with h5py.File(folder / name, "w") as archive:
            _write_layers(archive, arrays, config)
    weights = io.BytesIO()
    with h5py.File(weights, "w") as archive:
        for layer, parts in arrays.items():
            inner = "" if layer == "dense" else "cell/"
            for n, array in enumerate(parts.values()):
                archive[f"layers/{layer}/{inner}vars/{n}"] = array
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.5.0"}))
        archive.writestr("config.json", json.dumps(_config()))
        archive.writestr("model.weights.h5", weights.getvalue())


def _model(rng: np.random.Generator) -> Any:
    """[batch, steps, 5] -> Linear -> LeakyRelu -> Transpose -> GRU -> Squeeze -> Linear."""
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    arrays = {
        "F": draw(5, 4),
        "W": draw(1, 9, 4),
        "R": draw(1, 9, 3),
        "B": draw(1, 18),
        "one": np.array([1]),
        "O": draw(3, 2),
    }
    nodes = [
        make("MatMul", ["x", "F"], ["f"], name="front"),
        make("LeakyRelu", ["f"], ["r"], name="bend", alpha=0.5),
        make("Transpose", ["r"], ["t"], perm=[1, 0, 2]),
        make("GRU", ["t", "W", "R", "B"], ["y"], name="gru", hidden_size=3, linear_before_reset=1),
        make("Squeeze", ["y", "one"], ["s"]),
        make("MatMul", ["s", "O"], ["out"], name="last"),
    ]
    kinds = onnx.TensorProto.FLOAT
    given, made = value("x", kinds, ("N", "T", 5)), value("out", kinds, None)
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = onnx.helper.make_graph(nodes, "g", [given], [made], tensors)
    opset = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)


def _config() -> dict[str, Any]:
    """A sequential model as Keras writes it."""
    common = {"return_sequences": True, "activation": "tanh", "recurrent_activation": "sigmoid"}
    parts = (
        ("InputLayer", "input", {"batch_shape": [None, None, 5]}),
        ("LSTM", "lstm", common | {"units": 4}),
        ("GRU", "gru", common | {"units": 3, "reset_after": True}),
        ("Dense", "dense", {"units": 2, "activation": "linear"}),
    )
    layers = [{"class_name": k, "config": {"name": n, **options}} for k, n, options in parts]
    return {"class_name": "Sequential", "config": {"name": "net", "layers": layers}}


def _write_layers(archive: Any, arrays: dict[str, Any], config: Any) -> None:
    """Of an .h5 file, as Keras 2 lays it out."""
    root = archive
    if config is not None:
        archive.attrs["model_config"] = json.dumps(config)
        root = archive.create_group("model_weights")
    root.attrs["layer_names"] = [*arrays]
    for layer, parts in arrays.items():
        group = root.create_group(layer)
        group.attrs["weight_names"] = [f"{layer}/{name}" for name in parts]
        for name, array in parts.items():
            group[f"{layer}/{name}"] = array


def other_graph(rng: random.Random, content: bytes) -> bytes:
    """The ONNX file with some fields of its messages other."""
    model = onnx.load_from_string(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        _change(rng, model)
    return bytes(model.SerializeToString())


def _change(rng: random.Random, model: Any) -> None:
    graph = model.graph
    what = rng.randrange(9)
    node = rng.choice(graph.node) if graph.node else None
    names = [name for one in graph.node for name in (*one.input, *one.output)] or [""]
    if what == 0 and node is not None and node.attribute:
        _change_attribute(rng, rng.choice(node.attribute))
    elif what == 1 and graph.initializer:
        _change_tensor(rng, rng.choice(graph.initializer))
    elif what == 2 and node is not None and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice((*names, "", "absent", "\x1b[2J"))
    elif what == 3 and node is not None and node.output:
        node.output[rng.randrange(len(node.output))] = rng.choice(names)
    elif what == 4 and node is not None:
        node.op_type = rng.choice((*KINDS, *MORE_KINDS, "", "\x1b[2J"))
    elif what == 5 and node is not None:
        graph.node.insert(rng.randrange(len(graph.node) + 1), node)
    elif what == 6 and node is not None:
        graph.node.remove(node)
    elif what == 7:
        model.opset_import[0].version = rng.choice((-1, 0, 1, 7, 13, 22, 99, 2**40))
    elif graph.input and (dims := graph.input[0].type.tensor_type.shape.dim):
        rng.choice(dims).dim_value = rng.choice(SIZES)


def _change_attribute(rng: random.Random, attribute: Any) -> None:
    if attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(SIZES)
    elif rng.random() < 0.2:
        attribute.name = rng.choice(("axis", "activations", "direction", "clip", "layout", ""))
    elif rng.random() < 0.2:
        attribute.type = rng.randrange(15)
    else:
        attribute.i, attribute.f = rng.choice(SIZES), rng.choice((0.0, -1.0, 1e38, float("nan")))


def _change_tensor(rng: random.Random, tensor: Any) -> None:
    what = rng.randrange(4)
    if what == 0 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(SIZES)
    elif what == 1:
        tensor.data_type = rng.randrange(24)
    elif what == 2:
        tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]
    else:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", rng.choice(("../x", "/etc/passwd", "net.onnx", ""))


def other_archive(rng: random.Random, source: Path, file: Path, other_json: Any) -> None:
    """Write the HDF5 file with a dataset, a name or its model's description other."""
    file.write_bytes(source.read_bytes())
    with h5py.File(file, "r+") as archive:
        names: list[str] = []
        archive.visit(names.append)
        arrays = [name for name in names if isinstance(archive[name], h5py.Dataset)]
        groups = [archive, *(archive[name] for name in names)]
        name = rng.choice(arrays)
        what = rng.randrange(6)
        if what == 0 and "model_config" in archive.attrs:
            plain = json.loads(archive.attrs["model_config"])
            archive.attrs["model_config"] = json.dumps(other_json(rng, plain))
        elif what == 1:
            _replace(rng, archive, name)
        elif what == 2:
            del archive[name]
        elif what == 3:
            archive.move(name, rng.choice((name + "_1", "x", "\x1b[2J", "a/b/c/kernel")))
        elif what == 4:
            del archive[name]
            archive[name] = h5py.ExternalLink(rng.choice(("/etc/passwd", "net.h5")), "/x")
        else:
            holders = [(g, a) for g in groups for a in g.attrs]
            if holders:
                group, attribute = rng.choice(holders)
                group.attrs[attribute] = rng.choice((1, "x", [b"a", b"b"], np.zeros(3), "{" * 999))


def _replace(rng: random.Random, archive: Any, name: str) -> None:
    """A dataset of another shape and type, which may be much larger than the file."""
    del archive[name]
    shape = tuple(rng.choice((0, 1, 3, 4, 9, 16)) for _ in range(rng.randrange(4)))
    kind = rng.choice(("f4", "f8", "f2", "i4", "c8", "S3", "?"))
    if rng.random() < 0.3:
        huge = tuple(rng.choice((16, 2**20, 2**40)) for _ in range(2))
        archive.create_dataset(name, huge, "f4", chunks=(16, 16))
    else:
        archive.create_dataset(name, shape, kind)


def other_zip(rng: random.Random, source: Path, file: Path, other_json: Any) -> None:
    """Write the .keras file with a member gone, doubled, damaged or described otherwise."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice([*members])
    if name.endswith(".json") and rng.random() < 0.8:
        members[name] = json.dumps(other_json(rng, json.loads(members[name]))).encode()
    elif rng.random() < 0.3:
        del members[name]
    else:
        inner = file.with_suffix(".inner")
        inner.write_bytes(members["model.weights.h5"])
        other_archive(rng, inner, file.with_suffix(".h5"), other_json)
        members["model.weights.h5"] = file.with_suffix(".h5").read_bytes()
    packed = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(file, "w", packed) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
