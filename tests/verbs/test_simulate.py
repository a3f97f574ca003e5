# SPDX-License-Identifier: Apache-2.0
"""`deltaloom simulate`: its two runs, its figures, a mismatch, its errors."""

import json
import re

import numpy as np
import pytest

from deltaloom.boards.tools import toolchain
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import make_network
from deltaloom.sim.execute import SIMULATORS
from deltaloom.sim.frames import choose_frames, shortfall
from deltaloom.verbs import simulate as simulate_verb
from deltaloom.verbs.simulate import plan_runs


@pytest.fixture
def simulate(run, tmp_path):
    """simulate(files, *words): the exit code of the verb in Icarus, in the folder sim."""

    def go(files, *words):
        net, data = files
        options = ["--sim", "icarus", "--word-bits", 32, "--workdir", tmp_path / "sim"]
        return run("simulate", net, "--data", data, *options, *words)

    return go


def test_simulate(files, tmp_path, capsys, cells, simulate):
    assert simulate(files, "--frames", 10, "--json", tmp_path / "out.json") == 0
    out, err = capsys.readouterr()
    full, stalled = json.loads((tmp_path / "out.json").read_text())["runs"]
    # Half of the frames from each sequence, then a quarter of each.
    assert (full["frames"], full["sequences"], full["words"]) == (10, 2, 30)
    assert (stalled["frames"], stalled["sequences"], stalled["words"]) == (4, 2, 12)
    assert full["mismatches"] == stalled["mismatches"] == 0
    assert (full["idle"], stalled["idle"], stalled["backpressure"]) == (0, 0.3, 0.3)
    assert stalled["cycles_per_step"] is None is stalled["utilisation"]
    assert full["cycles_per_step"] == full["counters"]["CYCLES"] / 10
    assert full["utilisation"] == full["ideal_cycles_per_step"] / full["cycles_per_step"] < 1
    table = cells(out)
    assert table["full speed"][:3] == ["10", "30", "no"]
    assert table["full speed"][3] == f"{full['cycles_per_step']:,.1f}"
    assert table["stalled"][2:4] == ["no", "-"]
    assert "full speed: 10 of 10 frames\n" in err
    assert max(map(len, out.splitlines()[:6])) <= 80


def test_simulate_without_stalls_is_one_run(files, tmp_path, capsys, simulate):
    words = ["--idle", 0, "--backpressure", 0, "--frames", 4, "--threshold", 9]
    assert simulate(files, *words, "--waves") == 0
    out = capsys.readouterr().out
    assert "stalled" not in out
    wave = re.search(r"waveform: (.*)", out)
    assert wave and (tmp_path / wave[1]).stat().st_size > 1000
    manifest = json.loads((tmp_path / "sim" / "rtl" / "manifest.json").read_text())
    assert {entry["threshold"] for entry in manifest["lists"]} == {9}


def test_simulate_tells_a_mismatch(files, tmp_path, capsys, monkeypatch, cells, simulate):
    """Hardware of another network: the first wrong word is named, and the code is 1."""
    other = make_network([("lstm", 6), ("linear", 3)], 5, threshold=2, seed=1)
    honest = simulate_verb.generate_verilog
    monkeypatch.setattr(
        simulate_verb,
        "generate_verilog",
        lambda network, *rest, **options: honest(other, *rest, **options),
    )
    assert simulate(files, "--frames", 4, "--json", tmp_path / "out.json") == 1
    out = capsys.readouterr().out
    (only,) = json.loads((tmp_path / "out.json").read_text())["runs"]
    assert only["mismatches"] == 1 and only["cycles_per_step"] is None
    assert cells(out)["full speed"][2] == "yes"
    line = out.splitlines()[-1]
    assert re.search(r"MISMATCH, .*step \d+, unit \d+: got -?\d+, expected -?\d+", line)
    assert "run again with --waves" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--frames", 0], "frames: 0 is not possible, it must be at least 1"),
        (["--idle", 1], "idle: 1.0 is not possible, it must be at least 0 and below 1"),
        (["--threshold", "many"], "threshold 'many': 'many' is not a whole number"),
        (["--word-bits", 20], "word_bits: 20 is not possible, it must be a multiple of"),
    ],
)
def test_simulate_refuses(words, message, files, tmp_path, capsys, simulate):
    assert simulate(files, *words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[-1].startswith(f"deltaloom: {message}")
    assert not (tmp_path / "sim").exists() or not list((tmp_path / "sim").rglob("*.v"))


def test_simulate_features_of_the_wrong_width(files, tmp_path, error, simulate):
    np.save(tmp_path / "wide.npy", np.zeros((4, 7), np.float32))
    assert simulate((files[0], tmp_path / "wide.npy")) == 2
    assert error().startswith("features: 7 per frame, the network takes 5")
    assert not (tmp_path / "sim").exists()


def test_simulate_no_frames(files, tmp_path, error, simulate):
    np.save(tmp_path / "none.npy", np.zeros((0, 5), np.float32))
    assert simulate((files[0], tmp_path / "none.npy")) == 2
    assert error() == "data set: no frames; give at least one"


def test_simulate_unknown_simulator(files, capsys, simulate):
    assert simulate(files, "--sim", "spice") == 2
    assert "invalid choice: 'spice'" in capsys.readouterr().err


def test_simulate_missing_tool(files, tmp_path, monkeypatch, error, simulate):
    monkeypatch.setattr(toolchain.shutil, "which", lambda name: None)
    assert simulate(files) == 2
    line = error()
    assert line.startswith("iverilog is needed and was not found")
    assert line.endswith("install it with: apt-get install iverilog")
    assert not (tmp_path / "sim").exists()


def test_simulators_are_those_of_the_library():
    assert set(simulate_verb.SIMULATORS) == set(SIMULATORS)


@pytest.mark.parametrize(
    ("frames", "lengths"),
    [(1, [1]), (2, [1, 1]), (5, [3, 2]), (14, [7, 7]), (16, [7, 8]), (100, [7, 9])],
)
def test_chosen_frames(frames, lengths, files):
    network, data = make_network([("lstm", 6), ("linear", 3)], 5), Dataset.load(files[1])
    chosen = choose_frames(network, data, frames)
    assert [len(s) for s in chosen] == lengths
    for words, features in zip(chosen, data.features, strict=False):
        assert (words == quantize_frames(network, features)[: len(words)]).all()


@pytest.mark.parametrize(
    ("frames", "start", "sequences", "lengths", "less"),
    [
        (6, 0, 1, {0: 6}, ""),
        (6, 1, None, {1: 3, 3: 3}, ""),
        (6, 1, 1, {1: 6}, ""),
        (7, 0, 3, {0: 3, 1: 3, 3: 1}, ""),
        (40, 3, 1, {3: 5}, "5 of 40 frames"),
        (40, 1, 4, {1: 9, 3: 5}, "14 of 40 frames and 2 of 4 sequences"),
        (14, 1, 3, {1: 5, 3: 5}, "10 of 14 frames and 2 of 3 sequences"),
    ],
)
def test_chosen_sequences(frames, start, sequences, lengths, less):
    """Sequences of 7, 9, 0 and 5 frames, whose words are different."""
    network = make_network([("lstm", 6), ("linear", 3)], 5)
    rng = np.random.default_rng(4)
    data = Dataset(tuple(rng.normal(size=(n, 5)).astype(np.float32) for n in (7, 9, 0, 5)))
    chosen = choose_frames(network, data, frames, start=start, sequences=sequences)
    assert len(chosen) == len(lengths)
    for words, (n, length) in zip(chosen, lengths.items(), strict=True):
        np.testing.assert_array_equal(words, quantize_frames(network, data.features[n])[:length])
    line = shortfall(chosen, frames, sequences)
    assert line == (less and f"only {less} are run: the data has no more in the sequences chosen")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--start", 2], "start: 2 is not possible, the data has sequences 0..1"),
        (["--start", -1], "start: -1 is not possible, the data has sequences 0..1"),
        (["--sequences", 0], "sequences: 0 is not possible, it must be at least 1"),
    ],
)
def test_sequences_that_are_not_there(words, message, files, simulate, error):
    assert simulate(files, *words) == 2
    assert error() == message


def test_simulates_the_chosen_sequence_and_says_that_it_is_less(files, tmp_path, capsys, simulate):
    words = ["--start", 1, "--sequences", 1, "--idle", 0, "--backpressure", 0]
    assert simulate(files, *words, "--json", tmp_path / "out.json") == 0
    (run,) = json.loads((tmp_path / "out.json").read_text())["runs"]
    assert (run["frames"], run["sequences"]) == (9, 1)
    assert "note: only 9 of 200 frames are run" in capsys.readouterr().err


def test_planned_runs():
    sequences = [np.zeros((9, 2), np.int64), np.ones((1, 2), np.int64)]
    full, stalled = plan_runs(sequences, idle=0.0, backpressure=0.5)
    assert (full.idle, full.backpressure) == (0, 0)
    assert [len(s) for s in full.sequences] == [9, 1]
    assert (stalled.idle, stalled.backpressure) == (0, 0.5)
    assert [len(s) for s in stalled.sequences] == [3, 1]


def test_never_replaces_a_file(files, run, error):
    net, data = files
    assert run("simulate", net, "--data", data, "--sim", "icarus", "--workdir", data) == 2
    assert error() == f"--workdir {data}: is a file; name a folder"


def test_a_gru_whose_recurrent_candidate_leaves_8(tmp_path, run, simulate, capsys):
    """Quantized with a wider format for it; every word of the Verilog is golden's."""
    rng = np.random.default_rng(6)

    def path(source, gates, columns):
        weights = rng.uniform(-0.7, 0.7, (3, 4, columns)).astype(np.float32)
        weights[2] *= 40 if source == "h" else 1
        return FloatPath(source=source, gates=gates, weights=weights)

    paths = (path("x", ("r", "z", "nx"), 3), path("h", ("r", "z", "nh"), 4))
    bias = np.repeat(np.array([[-2.5], [0], [0], [0]], np.float32), 4, axis=1)
    layer = FloatLayer(name="gru", kind="gru", paths=paths, bias=bias)
    FloatModel(layers=(layer,)).save(tmp_path / "model")
    Dataset((rng.normal(size=(60, 3)).astype(np.float32),)).save(tmp_path / "data.npz")
    files = tmp_path / "net", tmp_path / "data.npz"
    assert run("quantize", tmp_path / "model", "--data", files[1], "-o", files[0]) == 0
    assert Network.load(files[0]).layers[0].c_exponent > 0
    assert " and nh Q" in capsys.readouterr().out
    assert simulate(files, "--frames", 16, "--json", tmp_path / "out.json") == 0
    runs = json.loads((tmp_path / "out.json").read_text())["runs"]
    assert [each["mismatches"] for each in runs] == [0, 0]
    assert runs[0]["words"] == 4 * runs[0]["frames"] > 0
