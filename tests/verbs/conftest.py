# SPDX-License-Identifier: Apache-2.0
"""A small network with data, and how a verb is run and read, for the verbs' tests."""

import numpy as np
import pytest

from deltaloom import cli
from deltaloom.golden.data import Dataset
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.models.synthetic import make_network
from deltaloom.golden.quantization.quantize import quantize


@pytest.fixture
def files(tmp_path):
    """NET and D: an LSTM of 6 on 5 inputs and 3 outputs; sequences of 7 and 9 frames."""
    rng = np.random.default_rng(0)
    network = make_network([("lstm", 6), ("linear", 3)], 5, threshold=2)
    walk = np.cumsum(rng.normal(size=(16, 5)), axis=0).astype(np.float32) / 4
    network.save(tmp_path / "net")
    Dataset((walk[:7], walk[7:])).save(tmp_path / "data.npz")
    return tmp_path / "net", tmp_path / "data.npz"


@pytest.fixture(scope="session")
def run():
    """run(*words): the exit code of the command line."""
    return lambda *words: cli.main([str(word) for word in words])


@pytest.fixture(scope="session")
def cells():
    """cells(text): the rows of the tables in it, by their first cell."""

    def read(text):
        lines = [row.split("│")[1:-1] for row in text.splitlines() if "│" in row]
        rows = [[cell.strip() for cell in row] for row in lines]
        return {row[0]: row[1:] for row in rows}

    return read


@pytest.fixture
def error(capsys):
    """error(): the one line of an error, without the program's name; nothing else was printed."""

    def read():
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1
        return err.removeprefix("deltaloom: ").rstrip("\n")

    return read


@pytest.fixture(scope="session")
def make_pair():
    """make_pair(folder): files of an LSTM's float model, its network, and data without labels."""

    def make(folder, outputs=3):
        rng = np.random.default_rng(3)

        def path(source, gates, units, columns):
            weights = rng.uniform(-0.5, 0.5, (len(gates), units, columns)).astype(np.float32)
            return FloatPath(source=source, gates=tuple(gates), weights=weights)

        lstm = FloatLayer(
            name="lstm",
            kind="lstm",
            paths=(path("x", "ifgo", 6, 5), path("h", "ifgo", 6, 6)),
            bias=np.zeros((4, 6), np.float32),
        )
        linear = FloatLayer(
            name="out",
            kind="linear",
            paths=(path("x", "y", outputs, 6),),
            bias=np.zeros((1, outputs), np.float32),
        )
        model = FloatModel(layers=(lstm, linear))
        walk = np.cumsum(rng.normal(size=(90, 5)), axis=0).astype(np.float32) / 4
        data = Dataset((walk[:50], walk[50:]))
        files = folder / "model", folder / "net", folder / "data.npz"
        model.save(files[0])
        quantize(model, data).save(files[1])
        data.save(files[2])
        return files

    return make


@pytest.fixture
def graph(tmp_path):
    """An ONNX file and its F: [batch, steps, 3] -> LeakyRelu(Linear F) -> Transpose -> GRU ->
    Sigmoid.
    """
    onnx = pytest.importorskip("onnx")
    rng = np.random.default_rng(0)

    def random(*shape):
        return rng.uniform(-1, 1, shape).astype(np.float32)

    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    arrays = {"F": random(3, 4), "W": random(1, 6, 4), "R": random(1, 6, 2), "one": np.array([1])}
    nodes = [
        make("MatMul", ["x", "F"], ["f"], name="front"),
        make("LeakyRelu", ["f"], ["r"], name="bend", alpha=0.5),
        make("Transpose", ["r"], ["t"], perm=[1, 0, 2]),
        make("GRU", ["t", "W", "R"], ["y"], name="gru", hidden_size=2),
        make("Squeeze", ["y", "one"], ["s"]),
        make("Sigmoid", ["s"], ["out"], name="gate"),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [value("x", onnx.TensorProto.FLOAT, ("N", "T", 3))],
        [value("out", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(a, n) for n, a in arrays.items()],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    file = tmp_path / "net.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), file)
    return file, arrays["F"]
