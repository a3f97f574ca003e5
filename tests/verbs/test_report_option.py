# SPDX-License-Identifier: Apache-2.0
"""`--report` of quantize, sweep, tune and evaluate: where the page goes and what is in it."""

import html
import re

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
    assert headings(files / "net.report.html") == [
        "Paths",
        "Network",
        "Saturation",
        "Weights and activations",
    ]
    assert run(files, "tune", net.name, "-o", tuned, "--method", "uniform", "--workers", 1) == 0
    assert headings(files / "tuned.report.html") == [
        "Delta thresholds",
        "Events over time",
        "Saturation",
    ]
    assert run(files, "evaluate", tuned.name) == 0
    assert sorted(file.name for file in files.glob("*.html")) == [
        "net.report.html",
        "tuned.report.html",
    ]
    page = files / "new" / "page.html"
    assert run(files, "evaluate", tuned.name, "--report", page) == 0
    evaluated = ["Error and cost", "Hardware, estimated", "Saturation", "Events over time"]
    assert headings(page) == evaluated
    text = page.read_text("utf-8")
    assert "out.x" in text and "deltaloom evaluate" in text and str(tuned) in text
    model = ["--model", files / "model.safetensors"]
    assert run(files, "evaluate", tuned.name, *model, "--report", page) == 0
    assert headings(page) == [*evaluated, "Paths", "Weights and activations"]


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


def page_words(file):
    """All that a page says, cell by cell, and its notes."""
    text = re.sub(r"<style>.*?</style>", "", file.read_text(), flags=re.DOTALL)
    return {html.unescape(cell).strip() for cell in re.split(r"<[^>]+>", text)}


@pytest.mark.parametrize("verb", ["quantize", "evaluate", "sweep", "tune"])
def test_the_page_has_what_the_terminal_has(verb, make_pair, tmp_path, run, capsys, monkeypatch):
    """Every cell of every table, at its full width."""
    monkeypatch.delenv("COLUMNS", raising=False)
    model, net, data = make_pair(tmp_path)
    features = Dataset.load(data).features
    labelled = tmp_path / "labelled.npz"
    Dataset(features, tuple(np.arange(len(x)) % 3 for x in features)).save(labelled)
    words = {
        "quantize": [model, "--data", data, "-o", tmp_path / "out", "--scheme", "4-bit"],
        "evaluate": [net, "--data", labelled, "--model", model, "--threshold", 3],
        "sweep": [model, "--data", data, "--test", labelled, "--weights", "4,8"],
        "tune": [net, "--data", labelled, "--model", model, "--workers", 1, "--candidates", "0,9"],
    }[verb]
    page = tmp_path / "page.html"
    assert run(verb, *words, "--report", page) == 0
    said, missing, checked = page_words(page), [], 0
    for line in capsys.readouterr().out.splitlines():
        if "│" in line:
            cells = [cell.strip() for cell in line.split("│")[1:-1]]
            if verb == "sweep":  # one name there
                cells[:2] = [f"W{cells[0]} A{cells[1]}"]
            if verb == "tune" and len(cells) == 3:  # a column each there
                cells.pop()
            known = said | {cell.replace(" .. ", "..") for cell in said}
            missing += [cell for cell in cells if cell not in known]
            checked += len(cells)
    assert missing == [] and checked > 5
