# SPDX-License-Identifier: Apache-2.0
"""`deltaloom sweep`: its table, its files, its errors."""

import csv
import json

import numpy as np
import pytest

from deltaloom import cli
from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import error, run_dataset
from deltaloom.golden.evaluation.thresholds import uniform_thresholds
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.quantization.quantize import Scheme, quantize
from deltaloom.terminal.scheme_options import read_widths

AUTO = "--scheme auto: finds bits for one error and is for `deltaloom quantize`"
GRU = (
    "a: cell 'gru' is none that integer-only LSTMs have, these are lstm, lstm_cifg, lstm_peephole, "
    "lstm_clip, lstm_norm, linear"
)


@pytest.fixture
def files(tmp_path):
    """MODEL, D and T: a GRU layer of 3 units on 2 inputs, frames to calibrate on and labelled."""
    rng = np.random.default_rng(0)
    paths = tuple(
        FloatPath(source=s, gates=g, weights=rng.normal(size=(3, 3, c)).astype(np.float32))
        for s, g, c in (("x", ("r", "z", "nx"), 2), ("h", ("r", "z", "nh"), 3))
    )
    layer = FloatLayer(name="a", kind="gru", paths=paths, bias=np.zeros((4, 3), np.float32))
    FloatModel(layers=(layer,)).save(tmp_path / "model")
    Dataset((rng.normal(size=(30, 2)).astype(np.float32),)).save(tmp_path / "data.npz")
    features = rng.normal(size=(50, 2)).astype(np.float32)
    Dataset((features,), labels=(rng.integers(0, 3, 50),)).save(tmp_path / "test.npz")
    return tmp_path / "model", tmp_path / "data.npz", tmp_path / "test.npz"


def run(files, *words):
    model, data, test = map(str, files)
    return cli.main(["sweep", model, "--data", data, "--test", test, *map(str, words)])


def test_tables(files, tmp_path, capsys):
    options = ["--weights", "2,5-6", "--activations", "3,16", "--method", "paper"]
    for name in ("out.csv", "out.json"):
        assert run(files, *options, "-o", tmp_path / name) == 0
    text = capsys.readouterr().out
    assert "frame error, float: " in text and max(map(len, text.splitlines())) <= 80
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
    assert [row[:2] for row in rows if row and row[0].isdecimal()] == 2 * [
        [w, a] for w in ("2", "5", "6") for a in ("3", "16")
    ]
    with (tmp_path / "out.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["metric"], found["unit"]) == ("frame error", "%")
    assert [{k: str(v) for k, v in point.items()} for point in found["points"]] == rows
    assert [(row["weight_bits"], row["activation_bits"]) for row in rows] == [
        (w, a) for w in ("2", "5", "6") for a in ("3", "16")
    ]
    model, calibration, test = (
        FloatModel.load(files[0]),
        Dataset.load(files[1]),
        Dataset.load(files[2]),
    )
    scheme = Scheme(
        weight_bits=5,
        activation_bits=3,
        granularity="tensor",
        clipping="paper",
        activation_range="median",
    )
    network = quantize(model, calibration, scheme)
    assert float(rows[2]["error"]) == error(test, run_dataset(network, test).real(network))


def test_thresholds_of_a_network(files, tmp_path, capsys):
    """A quantized network has thresholds alone to sweep, and needs nothing to calibrate on."""
    model, calibration, test = (
        FloatModel.load(files[0]),
        Dataset.load(files[1]),
        Dataset.load(files[2]),
    )
    network = quantize(model, calibration, Scheme(activation_bits=4))
    network.save(tmp_path / "net.safetensors")
    words = ["sweep", str(tmp_path / "net.safetensors"), "--test", str(files[2])]
    words += ["--thresholds", "16,0,48", "-o", str(tmp_path / "out.json")]
    assert cli.main(words) == 0
    points = json.loads((tmp_path / "out.json").read_text())["points"]
    assert [(p["scheme"], p["threshold"]) for p in points] == [("net", t) for t in (0, 16, 48)]
    for point, codes in zip(points, (0, 1, 3), strict=True):
        own = uniform_thresholds(network, codes)
        assert point["error"] == error(test, run_dataset(own, test).real(own))
        assert (point["weight_bits"], point["activation_bits"]) == (8, 4)
    assert "float" not in capsys.readouterr().out
    for option in ("--data", "--weights", "--scheme", "--rounding"):
        value = {"--data": str(files[1]), "--rounding": "gptq"}.get(option, "8")
        assert cli.main([*words, option, value]) == 2
        assert f"{option}: {words[1]} is quantized already; leave it out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "widths"),
    [("8", [8]), ("2-16", [*range(2, 17)]), ("4,2,4", [2, 4]), ("2-4,16", [2, 3, 4, 16])],
)
def test_widths(words, widths):
    assert read_widths("--weights", words) == widths


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weights", "2-17"], "--weights '2-17': widths must be within 2..16, at least one"),
        (["--weights", "5-4"], "--weights '5-4': widths must be within 2..16, at least one"),
        (["--activations", "2-"], "--activations '2-': expected widths such as 2-16, 8 or 2,4,8"),
        (["--activations", "x"], "--activations 'x': expected widths such as 2-16, 8 or 2,4,8"),
        (["-o", "out.txt"], "-o out.txt: unknown format, end it in .csv or .json"),
        (["--thresholds", "0,x"], "--thresholds '0,x': expected whole numbers, such as 0,8,16"),
        (["--thresholds", "-1"], "threshold: -1 is not possible, it must be 0..255"),
        (["--scheme", "auto"], f"{AUTO}; name a preset, a FILE.toml or integer-lstm"),
        (["--scheme", "integer-lstm"], f"{GRU}, linear_relu; choose another scheme"),
    ],
)
def test_errors(files, capsys, options, message):
    assert run(files, *options) == 2
    assert capsys.readouterr().err == f"deltaloom: {message}\n"


def test_without_labels(files, capsys):
    assert run((files[0], files[1], files[1])) == 2
    assert "no frame is scored; an error needs labelled data" in capsys.readouterr().err


def test_calibration_data_without_frames(files, tmp_path, capsys):
    none = {"features": np.zeros((0, 2), np.float32), "lengths": np.zeros(0, np.int64)}
    np.savez(tmp_path / "none.npz", **none)
    given = (files[0], tmp_path / "none.npz", files[2])
    assert run(given, "--weights", "8", "--activations", "8") == 2
    error = capsys.readouterr().err
    assert error == "deltaloom: calibration data: no frames; give some typical sequences\n"
