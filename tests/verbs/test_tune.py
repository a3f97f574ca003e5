# SPDX-License-Identifier: Apache-2.0
"""`deltaloom tune`: its files, its tables, its errors, and that a second run goes on."""

import json
import re

import numpy as np
import pytest

from deltaloom import cli
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames, run
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.evaluate import fidelity
from deltaloom.golden.evaluation.trials import Trials
from deltaloom.golden.evaluation.tuning import METHODS, tune
from deltaloom.golden.models.float_model import FloatModel
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import make_network
from deltaloom.verbs.tune import METHODS as CHOICES
from deltaloom.verbs.tune import read_candidates


@pytest.fixture
def files(tmp_path):
    """NET and D: an LSTM of 6 on 5 inputs, 90 smooth frames labelled with what it says itself."""
    network = make_network([("lstm", 6), ("linear", 3)], 5)
    rng = np.random.default_rng(0)
    walks = [np.cumsum(rng.normal(size=(n, 5)), axis=0).astype(np.float32) / 4 for n in (50, 40)]
    outputs = [run(network, [quantize_frames(network, walk)])[0].outputs for walk in walks]
    network.save(tmp_path / "net.safetensors")
    Dataset(tuple(walks), tuple(y.argmax(axis=1) for y in outputs)).save(tmp_path / "data.npz")
    return tmp_path / "net.safetensors", tmp_path / "data.npz"


def tuned(net, data, *words):
    words = ["tune", net, "--data", data, "--workers", 1, "--candidates", "0,4,16", *words]
    return cli.main(list(map(str, words)))


@pytest.mark.parametrize("method", METHODS)
def test_files_and_tables(files, tmp_path, capsys, method):
    out = tmp_path / "tuned.safetensors"
    assert tuned(*files, "-o", out, "--method", method, "--allowed", 4) == 0
    with Trials(Network.load(files[0]), Dataset.load(files[1])) as trials:
        expected = tune(trials, method, 4.0, candidates={8: (0, 4, 16)})
    thresholds = {name: path.threshold for name, path in Network.load(out).paths()}
    assert thresholds == expected.chosen.thresholds
    assert json.loads((tmp_path / "tuned.front.json").read_text()) == expected.plain()
    text = capsys.readouterr().out
    rows = re.findall(r"│ +([\d.]+) │ +([\d.]+) │ ([\d ]+?) +(<- chosen)? *│", text)
    assert [row[:3] for row in rows] == [
        (
            f"{trial.error:.2f}",
            f"{trial.eliminated:.1f}",
            " ".join(map(str, trial.thresholds.values())),
        )
        for trial in expected.front
    ]
    assert [bool(row[3]) for row in rows] == [t == expected.chosen for t in expected.front]
    assert f"chosen: {expected.chosen.error:.2f} %" in text
    tables = text.partition("report -> ")[0]  # its path may be long
    assert max(map(len, tables.splitlines())) <= 80


def test_a_second_run_takes_all_from_the_log(files, tmp_path, capsys):
    out = tmp_path / "tuned.safetensors"
    assert tuned(*files, "-o", out) == 0
    log = (tmp_path / "tuned.trials.jsonl").read_text()
    first = capsys.readouterr().out
    assert "0 trials from the log" in first
    assert tuned(*files, "-o", out) == 0
    again = capsys.readouterr().out
    count = len(log.splitlines())
    assert again == first.replace(" 0 trials from the log", f" {count} trials from the log")
    assert (tmp_path / "tuned.trials.jsonl").read_text() == log


def test_nothing_is_written_without_an_output(files, tmp_path, capsys):
    before = sorted(tmp_path.iterdir())
    assert tuned(*files) == 0
    assert sorted(tmp_path.iterdir()) == before and "chosen:" in capsys.readouterr().out


def test_metric_and_kept_input(files, tmp_path, capsys):
    out = tmp_path / "tuned.safetensors"
    words = ["-o", out, "--metric", "perplexity", "--keep-input", "--allowed", 9]
    assert tuned(*files, *words) == 0
    front = json.loads((tmp_path / "tuned.front.json").read_text())
    assert (front["metric"], front["unit"]) == ("perplexity", "")
    assert {trial["thresholds"]["lstm0.x"] for trial in front["trials"]} == {0}
    assert "thresholds 0: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--allowed", "-1"], "allowed error: -1.0 is not possible, it must be at least 0"),
        (["--workers", "0"], "workers: 0 is not possible, it must be at least 1"),
        (["--candidates", "0,x"], "--candidates '0,x': expected whole numbers, such as 0,8,16"),
        (["--candidates", "4:0,1"], "--candidates '4:0,1': no path of 4 bits; there are 8"),
        (["--candidates", "300"], "threshold: 300 is not possible, it must be 0..255"),
        (["--metric", "wer"], "metric 'wer': not known; there are frame, phone"),
        (["--fold", "f"], "f: cannot be read as text"),
    ],
)
def test_errors_are_one_line_and_write_nothing(files, tmp_path, capsys, words, message):
    assert tuned(*files, "-o", tmp_path / "out", *words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and message in err
    assert not (tmp_path / "out").exists()


def test_the_output_is_no_input(files, capsys):
    assert tuned(*files, "-o", files[0]) == 2
    assert "is an input itself; name another file" in capsys.readouterr().err


def test_candidates():
    assert read_candidates([], [4, 8]) == {}
    assert read_candidates(["0,8"], [4, 8]) == {4: (0, 8), 8: (0, 8)}
    assert read_candidates(["0,8", "4:1"], [4, 8]) == {4: (1,), 8: (0, 8)}
    with pytest.raises(UserError, match="expected whole numbers"):
        read_candidates(["8:"], [8])


def test_the_help_names_the_methods_that_there_are():
    assert CHOICES == METHODS


def test_without_labels(tmp_path, capsys, make_pair):
    """The error is NMSE to the float model, which is asked for where it is missing."""
    model, net, data = make_pair(tmp_path)
    assert tuned(net, data) == 2
    assert "no frame has a label or a target; give --model" in capsys.readouterr().err
    assert tuned(net, data, "--model", model, "--allowed", 9, "-o", tmp_path / "out") == 0
    text = " ".join(capsys.readouterr().out.split())
    close = fidelity(Network.load(tmp_path / "out"), Dataset.load(data), FloatModel.load(model))
    assert f"NMSE to float, chosen: {close.nmse:.2f} dB" in text
    assert f"{close.worst_sequence}: {close.worst_nmse:.2f} dB" in text
