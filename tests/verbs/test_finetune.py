# SPDX-License-Identifier: Apache-2.0
"""`deltaloom finetune`: its files, its table, and one line for what is wrong."""

import json
import sys

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import run_dataset
from deltaloom.golden.evaluation.metrics import metric_of
from deltaloom.golden.models.float_model import FloatModel
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import make_network


@pytest.fixture
def trained(tmp_path, make_pair):
    """The words of a call that trains, but for -o."""
    model, net, data = make_pair(tmp_path)
    frames = Dataset.load(data).features
    rng = np.random.default_rng(0)
    Dataset(frames, tuple(rng.integers(0, 3, len(x)) for x in frames)).save(data)
    words = [net, "--model", model, "--data", data, "--tune-data", data]
    return ["finetune", *words]


def test_files_and_table(run, cells, trained, tmp_path, capsys):
    pytest.importorskip("torch")
    out = tmp_path / "out.safetensors"
    more = ["--epochs", 2, "--float-output", tmp_path / "real", "--rate", 0.05]
    assert run(*trained, "-o", out, *more) == 0
    printed = capsys.readouterr()
    rows = cells(printed.out)
    epochs = json.loads((tmp_path / "out.epochs.json").read_text())
    assert {"0", "1", "2"} <= rows.keys() and epochs["metric"] == "frame"
    for epoch in epochs["epochs"]:
        row = rows[str(epoch["number"])]
        assert row[1] == f"{epoch['error']:.2f}"
        assert ("kept" in row[2]) == (epoch["number"] == epochs["best"])
    assert printed.err.count("epoch ") == 3  # a line each where there is no terminal
    data = Dataset.load(tmp_path / "data.npz")
    network = Network.load(out)
    error = metric_of(data)(data, run_dataset(network, data).real(network))
    assert error == epochs["epochs"][epochs["best"]]["error"]
    assert f"after {error:.2f}" in printed.out
    assert FloatModel.load(tmp_path / "real").inputs == network.inputs
    assert not list(tmp_path.glob("*checkpoint*"))


def test_without_torch(run, error, trained, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert run(*trained, "-o", tmp_path / "out") == 2
    assert error() == (
        "training needs PyTorch, which is not installed: `pip install 'deltaloom[torch]'`"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--epochs", 0], "epochs: 0 is not possible, it must be at least 1"),
        (["--delta-penalty", "inf"], "delta penalty: inf is not possible, it must be 0 or more"),
        (["--metric", "wer"], "metric 'wer': not known"),
        (["--threads", 0], "threads: 0 is not possible, it must be at least 1"),
    ],
)
def test_options(run, error, trained, tmp_path, more, text):
    pytest.importorskip("torch")
    assert run(*trained, "-o", tmp_path / "out", *more) == 2
    assert text in error()
    assert not (tmp_path / "out").exists()


def test_another_model(run, error, trained, tmp_path):
    pytest.importorskip("torch")
    make_network([("gru", 4), ("linear", 3)], 5).save(tmp_path / "net")
    assert run(*trained, "-o", tmp_path / "out") == 2
    assert "give the model it was quantized from" in error()


def test_an_output_that_is_an_input(run, error, trained, tmp_path):
    for more in (["-o", tmp_path / "net"], ["-o", "out", "--float-output", tmp_path / "model"]):
        assert run(*trained, *more) == 2
        assert "is an input" in error() or "another file" in error()
