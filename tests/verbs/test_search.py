# SPDX-License-Identifier: Apache-2.0
"""`deltaloom search`: its files and tables, resuming after a kill, its errors."""

import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from deltaloom import cli
from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import error, run_dataset, run_float_dataset
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.models.network import Network
from deltaloom.golden.quantization.presets import read_scheme
from deltaloom.search.methods import METHODS
from deltaloom.terminal.search_options import METHODS as CHOICES
from deltaloom.verbs.search import Search


@pytest.fixture
def files(tmp_path):
    """MODEL, D and T: an LSTM of 5 on 4 inputs and 3 classes, labelled with what it says."""
    rng = np.random.default_rng(4)

    def draw(*shape):
        return rng.normal(0, 0.8, shape).astype(np.float32)

    gates = ("i", "f", "g", "o")
    paths = tuple(
        FloatPath(source=source, gates=gates, weights=draw(4, 5, columns))
        for source, columns in (("x", 4), ("h", 5))
    )
    out = FloatPath(source="x", gates=("y",), weights=draw(1, 3, 5))
    layers = (
        FloatLayer(name="lstm.0", kind="lstm", paths=paths, bias=draw(4, 5)),
        FloatLayer(name="linear", kind="linear", paths=(out,), bias=draw(1, 3)),
    )
    model = FloatModel(layers=layers)
    model.save(tmp_path / "model.safetensors")
    for name, lengths in (("cal", (20, 9)), ("tune", (30, 14, 11, 20, 8))):
        walks = [np.cumsum(draw(n, 4), axis=0) / 3 for n in lengths]
        outputs = run_float_dataset(model, Dataset(tuple(walks)))
        data = Dataset(tuple(walks), tuple(y.argmax(axis=1) for y in outputs))
        data.save(tmp_path / f"{name}.npz")
    return tmp_path / "model.safetensors", tmp_path / "cal.npz", tmp_path / "tune.npz"


def words(files, out, *more):
    model, data, tune = files
    given = ["search", model, "--data", data, "--tune-data", tune, "-o", out, "--evaluations", 40]
    return [str(word) for word in (*given, "--workers", 1, *more)]


def test_files_and_table(files, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(words(files, out, "--knee", "--thresholds", "0,8")) == 0
    text = capsys.readouterr().out
    front = json.loads((out / "front.json").read_text())
    assert [one["number"] for one in front["front"]] == [*range(len(front["front"]))]
    knee = front["front"][front["knee"]]
    assert "<- knee <- picked" in text and "paths: lstm.0.x lstm.0.h linear.x" in text
    assert front["objectives"] == ["error", "size"] and front["evaluations"] <= 40
    lines = (out / "evaluations.jsonl").read_text().splitlines()
    assert f"{len(lines)} measured now" in text
    network, tune = Network.load(out / "network.safetensors"), Dataset.load(files[2])
    outputs = run_dataset(network, tune).real(network)
    assert error(tune, outputs) == pytest.approx(knee["values"]["error"])
    scheme = read_scheme(str(out / "scheme.toml"))
    assert {name: list(bits) for name, bits in scheme.overrides.items()} == knee["bits"]
    page = (out / "report.html").read_text()
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "") and "src=" not in page


def test_the_scheme_quantizes_to_the_picked_network(files, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(words(files, out, "--pick", 0, "--quantization", "paper")) == 0
    net = tmp_path / "net.safetensors"
    given = ["quantize", files[0], "--data", files[1], "--scheme", out / "scheme.toml", "-o", net]
    assert cli.main([str(word) for word in given]) == 0
    ours, theirs = Network.load(net), Network.load(out / "network.safetensors")
    for (_, a), (_, b) in zip(ours.paths(), theirs.paths(), strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)
        assert a.quantizer == b.quantizer
    capsys.readouterr()


def test_a_second_run_measures_nothing_and_says_the_same(files, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(words(files, out)) == 0
    first = capsys.readouterr().out
    content = (out / "front.json").read_bytes()
    assert cli.main(words(files, out)) == 0
    again = capsys.readouterr().out
    assert ", 0 measured now" in again and again.splitlines()[:-2] == first.splitlines()[:-2]
    assert (out / "front.json").read_bytes() == content


def test_a_damaged_log_is_one_line(files, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(words(files, out)) == 0
    log = out / "evaluations.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines[:3], b"{broken\n", *lines[4:]]))
    capsys.readouterr()
    assert cli.main(words(files, out)) == 0
    found = capsys.readouterr()
    assert ", 1 measured now" in found.out
    assert found.err == (
        f"deltaloom: {log}: line 4 damaged and left out; these are measured again\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_search_goes_on(files, tmp_path, capsys, how):
    """Killed with two workers while it measures; the second run ends as one without a kill."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert cli.main(words(files, whole)) == 0
    command = [sys.executable, "-m", "deltaloom", *words(files, out, "--workers", 2)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    log = out / "evaluations.jsonl"
    while not log.exists() or len(log.read_bytes().splitlines()) < 4:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(how)
    _, said = process.communicate(timeout=60)  # ends when the workers have, too
    assert process.returncode in ((-9,) if how == signal.SIGKILL else (130, 0))
    assert b"Traceback" not in said
    known = len(log.read_bytes().splitlines())
    assert cli.main(words(files, out)) == 0
    text = capsys.readouterr().out
    total = len((whole / "evaluations.jsonl").read_bytes().splitlines())
    assert known >= total or ", 0 measured now" not in text.splitlines()[-3:][0]
    assert len(log.read_bytes().splitlines()) >= total
    assert (out / "front.json").read_bytes() == (whole / "front.json").read_bytes()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--objective", "error"], "objectives: error; give two or three"),
        (["--objective", "speed", "--objective", "error"], "objective 'speed': not known"),
        (["--limit", "size"], "--limit 'size': expected NAME=VALUE, such as size=200"),
        (["--limit", "error=-1"], "limits: none of 2 candidates is within them"),
        (["--weights", "1"], "--weights '1': widths must be within 2..16"),
        (["--thresholds", "a"], "--thresholds 'a': expected whole numbers"),
        (["--vary", "clock=1"], "--vary 'clock=1': expected skip=, lanes= or word-bits="),
        (["--vary", "skip=some"], "--vary 'skip=some': expected skip=, lanes= or word-bits="),
        (["--pick", "99"], "--pick 99: the front has solutions 0.."),
        (["--workers", "0"], "workers: 0 is not possible, it must be at least 1"),
        (["--clock", "0"], "clock: 0.0 MHz is not possible, it must be above 0"),
        (["--board", "none"], "board 'none' is unknown"),
    ],
)
def test_errors_are_one_line(files, tmp_path, capsys, more, message):
    options = ["--evaluations", "2", *more]
    assert cli.main(words(files, tmp_path / "out", *options)) == 2
    found = capsys.readouterr()
    assert found.err.count("\n") == 1 and message in found.err


def test_settings_and_limits(files, tmp_path, capsys):
    out = tmp_path / "out"
    more = ["--objective", "nmse", "--objective", "luts", "--limit", "nmse=-3", "--tied"]
    more += ["--vary", "word-bits=32,64", "--vary", "skip=none,all", "--evaluations", 8]
    assert cli.main(words(files, out, *more, "--pick", 0)) == 0
    front = json.loads((out / "front.json").read_text())
    assert front["limits"] == {"nmse": -3.0}
    assert {*front["front"][0]["settings"]} == {"word_bits", "skip"}
    assert "# deltaloom generate --word-bits " in (out / "scheme.toml").read_text()
    capsys.readouterr()


def test_the_help_names_the_methods_that_there_are():
    assert tuple(METHODS) == CHOICES and Search.help


def test_beacons(run, files, tmp_path, capsys):
    pytest.importorskip("torch")
    model, calibration, tuning = files
    words = ["search", model, "--data", calibration, "--tune-data", tuning, "-o", tmp_path / "out"]
    words += ["--beacons", tuning, "--beacon-epochs", 1, "--beacon-errors", "0,99", "--workers", 1]
    words += ["--weights", "2,4", "--activations", "8", "--evaluations", 6, "--method", "random"]
    assert run(*words, "--knee") == 0
    said = capsys.readouterr().err
    numbers = {int(number) for number in re.findall(r"^beacon (\d+): ", said, re.MULTILINE)}
    front = json.loads((tmp_path / "out" / "front.json").read_text())
    solutions = [*front["front"], *front["solutions"]]
    assert all(one["values"]["untrained-error"] >= one["values"]["error"] for one in solutions)
    kept = {f"beacon-{number}.safetensors" for number in numbers}
    assert kept == {file.name for file in (tmp_path / "out" / "beacons").glob("*.safetensors")}
    assert {one["values"]["beacon"] for one in solutions} & numbers
    assert {one["values"]["beacon"] for one in solutions} <= {-1, *numbers}
    knee = front["front"][front["knee"]]
    assert f"# beacon: {knee['values']['beacon']:.0f}\n" in knee["scheme"]
    data = Dataset.load(tuning)
    network = Network.load(tmp_path / "out" / "network.safetensors")
    outputs = run_dataset(network, data).real(network)
    assert error(data, outputs) == knee["values"]["error"]
    assert run(*words) == 0 and "beacon " not in capsys.readouterr().err  # it is there
    bad = [word if word != "0,99" else "low" for word in words]
    assert run(*bad) == 2
    assert "--beacon-errors" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["errors", "distance", "epochs"])
def test_options_of_beacons_alone_are_refused(run, error, files, tmp_path, name):
    assert run(*words(files, tmp_path / "out", f"--beacon-{name}", "5")) == 2
    assert error() == f"--beacon-{name}: is for --beacons TRAIN; give both, or none"


def test_beacons_that_cannot_be(run, error, files, tmp_path):
    """Known before anything is measured."""
    pytest.importorskip("torch")
    model, calibration, tuning = files
    data = Dataset.load(tuning)
    plain, narrow = tmp_path / "plain.npz", tmp_path / "narrow.npz"
    Dataset(data.features).save(plain)
    Dataset(tuple(x[:, :3] for x in data.features), data.labels).save(narrow)
    for given, train, text in (
        (plain, tuning, "tuning data: no frame has a label or a target; give data that has"),
        (tuning, plain, "training data: no frame has a label or a target; give data that has"),
        (tuning, narrow, "training data: features: 3 per frame, the network takes 4"),
    ):
        more = ["--beacons", train, "--objective", "nmse", "--objective", "size"]
        assert run(*words((model, calibration, given), tmp_path / "out", *more)) == 2
        assert error().startswith(text)
    assert not (tmp_path / "out" / "evaluations.jsonl").exists()


def test_calibration_data_without_frames(files, tmp_path, capsys):
    none = {"features": np.zeros((0, 4), np.float32), "lengths": np.zeros(0, np.int64)}
    np.savez(tmp_path / "none.npz", **none)
    assert cli.main(words((files[0], tmp_path / "none.npz", files[2]), tmp_path / "out")) == 2
    error = capsys.readouterr().err
    assert error == "deltaloom: calibration data: no frames; give some typical sequences\n"
