# SPDX-License-Identifier: Apache-2.0
"""`--report` of quantize, sweep, tune and evaluate: where the page goes and what is in it."""

import numpy as np
import pytest

from deltaloom import cli
from deltaloom.golden.data import Dataset
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath


@pytest.fixture
def files(tmp_path):
    """A linear model 4 -> 3 named out, and labelled data in two sequences, the first empty."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(1, 3, 4)).astype(np.float32)
    path = FloatPath(source="x", gates=("y",), weights=weights)
    layer = FloatLayer(name="out", kind="linear", paths=(path,), bias=np.zeros((1, 3), np.float32))
    FloatModel(layers=(layer,)).save(tmp_path / "model.safetensors")
    features = (np.zeros((0, 4), np.float32), rng.normal(size=(25, 4)).astype(np.float32))
    labels = (np.zeros(0, np.int64), rng.integers(0, 3, 25))
    Dataset(features, labels).save(tmp_path / "data.npz")
    return tmp_path


def run(files, verb, first, *words):
    return cli.main([verb, str(files / first), "--data", str(files / "data.npz"), *map(str, words)])


def headings(file):
    return [part.partition("</h2>")[0] for part in file.read_text("utf-8").split("<h2>")[1:]]


def test_quantize_tune_evaluate(files, capsys):
    net, tuned = files / "net.safetensors", files / "tuned.safetensors"
    assert run(files, "quantize", "model.safetensors", "-o", net) == 0
    assert f"report -> {files / 'net.report.html'}" in capsys.readouterr().out.replace("\n", "")
    assert headings(files / "net.report.html") == ["Paths", "Weights and activations"]
    assert run(files, "tune", net.name, "-o", tuned, "--method", "uniform", "--workers", 1) == 0
    assert headings(files / "tuned.report.html") == ["Delta thresholds", "Events over time"]
    assert run(files, "evaluate", tuned.name) == 0
    assert sorted(file.name for file in files.glob("*.html")) == [
        "net.report.html",
        "tuned.report.html",
    ]
    page = files / "new" / "page.html"
    assert run(files, "evaluate", tuned.name, "--report", page) == 0
    assert headings(page) == ["Error and cost", "Events over time"]
    text = page.read_text("utf-8")
    assert "out.x" in text and "deltaloom evaluate" in text and str(tuned) in text
    model = ["--model", files / "model.safetensors"]
    assert run(files, "evaluate", tuned.name, *model, "--report", page) == 0
    assert len(headings(page)) == 4


def test_sweep(files):
    page = files / "page.html"
    words = ["--test", files / "data.npz", "--weights", "2,8", "--activations", "8"]
    assert run(files, "sweep", "model.safetensors", *words, "--report", page) == 0
    assert headings(page) == ["Schemes"]
    assert "W2 A8" in page.read_text("utf-8")


def test_a_name_of_its_own(files):
    page = files / "page.html"
    net = files / "net.safetensors"
    assert run(files, "quantize", "model.safetensors", "-o", net, "--report", page) == 0
    assert [file.name for file in files.glob("*.html")] == ["page.html"]


def test_tune_without_output_writes_nothing(files):
    run(files, "quantize", "model.safetensors", "-o", files / "net.safetensors")
    before = sorted(files.iterdir())
    words = ["--method", "uniform", "--workers", 1]
    assert run(files, "tune", "net.safetensors", *words) == 0
    assert sorted(files.iterdir()) == before


@pytest.mark.parametrize("name", ["model.safetensors", "data.npz", "net.safetensors"])
def test_another_file_is_not_replaced(files, capsys, name):
    net, wrong = files / "net.safetensors", files / name
    assert run(files, "quantize", "model.safetensors", "-o", net, "--report", wrong) == 2
    line = f"--report {wrong}: is another file of this run; name one of its own"
    assert capsys.readouterr().err == f"deltaloom: {line}\n"
    assert not net.exists()
