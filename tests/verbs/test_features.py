# SPDX-License-Identifier: Apache-2.0
"""`deltaloom import` of a graph's part, and `deltaloom features`, which runs the rest before it."""

import numpy as np
import pytest

from deltaloom import cli
from deltaloom.golden.data import Dataset
from deltaloom.golden.models.float_model import FloatModel

onnx = pytest.importorskip("onnx")
RNG = np.random.default_rng(0)


def random(*shape):
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def test_a_part_and_its_sides_are_written(graph, tmp_path, capsys):
    file, _ = graph
    out = tmp_path / "out" / "m.safetensors"
    out.parent.mkdir()
    assert cli.main(["import", str(file), "-o", str(out), "--no-check"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "LeakyRelu node 'bend'" in printed
        and "not checked against its graph (--no-check)" in printed
    )
    assert {f.name for f in out.parent.iterdir()} == {"m.safetensors", "before.onnx", "after.onnx"}
    assert FloatModel.load(out).notes == ("not checked against its graph (--no-check)",)
    axes = {
        name: onnx.load(out.with_name(name)).metadata_props[0].value
        for name in ("before.onnx", "after.onnx")
    }
    assert axes == {"before.onnx": "batch,time,features", "after.onnx": "time,batch,features"}


def test_features(graph, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    file, weights = graph
    assert cli.main(["import", str(file), "-o", str(tmp_path / "m.safetensors")]) == 0
    sequences = tuple(random(n, 3) for n in (5, 8))
    Dataset(features=sequences, names=("a", "b")).save(tmp_path / "raw.npz")
    words = ["features", str(tmp_path / "before.onnx"), "--data", str(tmp_path / "raw.npz")]
    assert cli.main([*words, "-o", str(tmp_path / "made.npz")]) == 0
    assert "2 sequences, 13 frames of 4" in capsys.readouterr().out
    made = Dataset.load(tmp_path / "made.npz")
    assert made.names == ("a", "b")
    for x, y in zip(sequences, made.features, strict=True):
        np.testing.assert_allclose(y, np.maximum(x @ weights, 0.5 * x @ weights), rtol=0, atol=1e-6)


def test_features_of_a_graph_that_import_did_not_cut_off(graph, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    file, _ = graph
    Dataset(features=(random(5, 3),)).save(tmp_path / "raw.npz")
    words = ["features", str(file), "--data", str(tmp_path / "raw.npz")]
    assert cli.main([*words, "-o", str(tmp_path / "made.npz")]) == 2
    assert "is none that `deltaloom import` cut off" in capsys.readouterr().err
    assert cli.main([*words, "-o", str(file)]) == 2
