# SPDX-License-Identifier: Apache-2.0
"""`deltaloom generate`, `simulate` and `build`, and what runs verbs beside each other."""

import json
import re
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from deltaloom import cli
from deltaloom.boards.ecp5.timing import Usage
from deltaloom.boards.flow.build import BOARDS
from deltaloom.boards.flow.report import BuildReport
from deltaloom.boards.tools import toolchain
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.estimates.area import estimate_area
from deltaloom.sim.execute import SIMULATORS
from deltaloom.terminal.estimates import dense_cycles
from deltaloom.terminal.stages import Beside, Command, Stages
from deltaloom.verbs import simulate as simulate_verb
from deltaloom.verbs.build import Build
from deltaloom.verbs.simulate import choose_frames, plan_runs


@pytest.fixture
def files(tmp_path):
    """NET and D: an LSTM of 6 on 5 inputs and 3 outputs; sequences of 7 and 9 frames."""
    rng = np.random.default_rng(0)
    network = make_network([("lstm", 6), ("linear", 3)], 5, threshold=2)
    walk = np.cumsum(rng.normal(size=(16, 5)), axis=0).astype(np.float32) / 4
    network.save(tmp_path / "net")
    Dataset((walk[:7], walk[7:])).save(tmp_path / "data.npz")
    return tmp_path / "net", tmp_path / "data.npz"


def run(*words):
    return cli.main([str(word) for word in words])


def cells(text):
    """The rows of the tables in `text`, by their first cell."""
    rows = [[c.strip() for c in row.split("│")[1:-1]] for row in text.splitlines() if "│" in row]
    return {row[0]: row[1:] for row in rows}


def error(capsys):
    """The one line of an error, without the program's name."""
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err.removeprefix("deltaloom: ").rstrip("\n")


def simulate(files, tmp_path, *words):
    net, data = files
    options = ["--sim", "icarus", "--word-bits", 32, "--workdir", tmp_path / "sim"]
    return run("simulate", net, "--data", data, *options, *words)


# generate


def test_generate(files, tmp_path, capsys):
    out = tmp_path / "made" / "rtl"
    assert run("generate", files[0], "-o", out, "--word-bits", 64, "--drain-rows", 4) == 0
    text = capsys.readouterr().out
    facts = json.loads((out / "manifest.json").read_text())
    assert (facts["config"]["word_bits"], facts["config"]["drain_rows"]) == (64, 4)
    table = cells(text)
    for memory in facts["memories"]:
        lines = (out / f"{memory['name']}.hex").read_text().split()
        depth, width = (int(n.replace(",", "")) for n in table[memory["name"]][:2])
        assert len(lines) == depth and {len(line) for line in lines} == {-(-width // 4)}
        assert table[memory["name"]][3] == f"{memory['name']}.hex"
    assert re.search(r"lanes .* 8\n", text) and "lstm, linear" in text
    assert "module deltaloom(" in (out / "deltaloom.v").read_text()
    assert max(map(len, text.splitlines()[:-1])) <= 80


def test_generate_without_the_image(files, tmp_path, capsys):
    for name, words in (("baked", []), ("empty", ["--no-bake"])):
        assert run("generate", files[0], "-o", tmp_path / name, "--word-bits", 32, *words) == 0
    baked, empty = ((tmp_path / n / "deltaloom.v").read_text() for n in ("baked", "empty"))
    assert len(empty) < len(baked)
    hexes = [(tmp_path / n / "weights.hex").read_text() for n in ("baked", "empty")]
    assert hexes[0] == hexes[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--word-bits", 20], "word_bits: 20 is not possible, it must be a multiple of"),
        (["--drain-rows", 3, "--word-bits", 64], "drain_rows: 3 is not possible, it must be a di"),
        (["--drain-rows", 0], "drain rows: 0 is not possible, it must be at least 1"),
    ],
)
def test_generate_refuses(words, message, files, tmp_path, capsys):
    assert run("generate", files[0], "-o", tmp_path / "rtl", *words) == 2
    assert error(capsys).startswith(message)
    assert not (tmp_path / "rtl").exists()


def test_generate_never_replaces_a_file(files, capsys):
    net, data = files
    assert run("generate", net, "-o", data) == 2
    assert error(capsys) == f"-o {data}: is a file; name a folder"


def test_build_and_simulate_never_replace_a_file(files, capsys):
    net, data = files
    assert run("build", net, "--board", "ulx3s_85f", "-o", data) == 2
    assert error(capsys) == f"-o {data}: is a file; name a folder"
    assert run("simulate", net, "--data", data, "--sim", "icarus", "--workdir", data) == 2
    assert error(capsys) == f"--workdir {data}: is a file; name a folder"


# simulate


def test_simulate(files, tmp_path, capsys):
    assert simulate(files, tmp_path, "--frames", 10, "--json", tmp_path / "out.json") == 0
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


def test_simulate_without_stalls_is_one_run(files, tmp_path, capsys):
    words = ["--idle", 0, "--backpressure", 0, "--frames", 4, "--threshold", 9]
    assert simulate(files, tmp_path, *words, "--waves") == 0
    out = capsys.readouterr().out
    assert "stalled" not in out
    wave = re.search(r"waveform: (.*)", out)
    assert wave and (tmp_path / wave[1]).stat().st_size > 1000
    manifest = json.loads((tmp_path / "sim" / "rtl" / "manifest.json").read_text())
    assert {entry["threshold"] for entry in manifest["lists"]} == {9}


def test_simulate_tells_a_mismatch(files, tmp_path, capsys, monkeypatch):
    """Hardware of another network: the first wrong word is named, and the code is 1."""
    other = make_network([("lstm", 6), ("linear", 3)], 5, threshold=2, seed=1)
    honest = simulate_verb.generate_verilog
    monkeypatch.setattr(
        simulate_verb, "generate_verilog", lambda network, *rest: honest(other, *rest)
    )
    assert simulate(files, tmp_path, "--frames", 4, "--json", tmp_path / "out.json") == 1
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
def test_simulate_refuses(words, message, files, tmp_path, capsys):
    assert simulate(files, tmp_path, *words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[-1].startswith(f"deltaloom: {message}")
    assert not (tmp_path / "sim").exists() or not list((tmp_path / "sim").rglob("*.v"))


def test_simulate_features_of_the_wrong_width(files, tmp_path, capsys):
    np.save(tmp_path / "wide.npy", np.zeros((4, 7), np.float32))
    assert simulate((files[0], tmp_path / "wide.npy"), tmp_path) == 2
    assert error(capsys).startswith("features: 7 per frame, the network takes 5")
    assert not (tmp_path / "sim").exists()


def test_simulate_no_frames(files, tmp_path, capsys):
    np.save(tmp_path / "none.npy", np.zeros((0, 5), np.float32))
    assert simulate((files[0], tmp_path / "none.npy"), tmp_path) == 2
    assert error(capsys) == "data set: no frames; give at least one"


def test_simulate_unknown_simulator(files, tmp_path, capsys):
    assert simulate(files, tmp_path, "--sim", "spice") == 2
    assert "invalid choice: 'spice'" in capsys.readouterr().err


def test_simulate_missing_tool(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(toolchain.shutil, "which", lambda name: None)
    assert simulate(files, tmp_path) == 2
    line = error(capsys)
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


def test_planned_runs():
    sequences = [np.zeros((9, 2), np.int64), np.ones((1, 2), np.int64)]
    full, stalled = plan_runs(sequences, idle=0.0, backpressure=0.5)
    assert (full.idle, full.backpressure) == (0, 0)
    assert [len(s) for s in full.sequences] == [9, 1]
    assert (stalled.idle, stalled.backpressure) == (0, 0.5)
    assert [len(s) for s in stalled.sequences] == [3, 1]


# build


def report(**changes):
    usage = Usage(10, 100)
    facts = {"board": "ulx3s_85f", "device": "LFE5U-85F", "clock_mhz": 100.0}
    area = dict.fromkeys(("luts", "ffs", "brams", "dsps"), usage)
    return BuildReport(**facts, **area, **changes)


@pytest.fixture
def builds(monkeypatch):
    """A build that asks nobody and gives `given.report`; `given.options` is what it was asked."""
    given = SimpleNamespace(report=report(), options={})

    def build(network, board, *, progress, **options):
        given.options = options | {"board": board}
        progress("synthesis: all of it")
        options["workdir"].mkdir(parents=True, exist_ok=True)
        return given.report

    monkeypatch.setattr("deltaloom.boards.flow.build.build", build)
    return given


def test_build(files, tmp_path, capsys, builds):
    bits = tmp_path / "design.bit"
    bits.write_bytes(b"bits")
    builds.report = report(fmax_mhz=123.4, bitstream=bits)
    out = tmp_path / "out"
    words = ["--clock", 80, "--seed", 3, "--word-bits", 64, "--cycles-per-step", 500]
    assert run("build", files[0], "--board", "ulx3s_45f", "-o", out, *words) == 0
    options = builds.options
    assert (options["board"], options["clock_mhz"], options["seed"]) == ("ulx3s_45f", 80, 3)
    assert (options["config"].word_bits, options["cycles_per_step"]) == (64, 500)
    assert options["synth_only"] is False and options["workdir"] == out
    written = BuildReport.from_json((out / "report.json").read_text())
    assert written.bitstream == out / "ulx3s_85f.bit"
    assert written.bitstream.read_bytes() == b"bits"
    text, err = capsys.readouterr()
    assert cells(text)["Fmax"][0] == "123.4 MHz" and "ulx3s_85f.bit" in text
    area = estimate_area(options["config"])
    estimated = f"{area.luts:,} LUTs, {area.flip_flops:,} flip-flops, {area.block_rams:,} block"
    assert text.startswith("estimated without the serial bridge: " + estimated)
    assert err == "synthesis: all of it\n"


def test_build_synthesis_only(files, tmp_path, capsys, builds):
    network = Network.load(files[0])
    config = derive_config(network)
    assert run("build", files[0], "-o", tmp_path / "out", "--synth-only") == 0
    assert builds.options["synth_only"] is True and builds.options["clock_mhz"] is None
    assert builds.options["cycles_per_step"] == dense_cycles(network, config)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["bitstream"] is None
    assert ".bit" not in capsys.readouterr().out


def test_build_that_misses_its_clock(files, tmp_path, capsys, builds):
    builds.report = report(fmax_mhz=87.9)
    assert run("build", files[0], "-o", tmp_path / "out") == 1
    assert "100 MHz is not reached: build with --clock 87" in capsys.readouterr().out
    assert (tmp_path / "out" / "report.json").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--board", "abacus"], "board 'abacus' is unknown: use one of colorlight_i5, "),
        (["--clock", "-1"], "clock: -1.0 is not possible, it must be a number above 0"),
        (["--cycles-per-step", "nan"], "cycles per step: nan is not possible"),
        (["--word-bits", 20], "word_bits: 20 is not possible"),
    ],
)
def test_build_refuses(words, message, files, tmp_path, capsys):
    assert run("build", files[0], "-o", tmp_path / "out", *words) == 2
    assert error(capsys).startswith(message)
    assert not (tmp_path / "out").exists()


def test_build_help_names_every_board(capsys):
    assert run("build", "--help") == 0
    text = capsys.readouterr().out
    assert Build.help and all(name in text for name in BOARDS)


# Verbs beside each other


def beside(tmp_path, words, result):
    command = Command(title="it", words=words, result=result)
    return Stages(), command, tmp_path / "it.log"


def test_a_verb_beside(files, tmp_path, capsys):
    result = tmp_path / "out.json"
    words = ["evaluate", files[0], "--data", files[1], "--json", result]
    stages, command, log = beside(tmp_path, words, result)
    with stages, Beside(command, log, stages) as verb:
        verb.wait()
    assert json.loads(result.read_text())["steps"] == 16
    assert stages.seconds.keys() == {"it"} and capsys.readouterr().err.endswith(" s  it\n")


def test_a_verb_beside_that_fails(tmp_path):
    result = tmp_path / "old.json"
    result.write_text("{}")
    words = ["evaluate", tmp_path / "absent", "--data", "d", "--json", result]
    stages, command, log = beside(tmp_path, words, result)
    with (
        pytest.raises(UserError, match=r"^\S*absent: no such file"),
        Beside(command, log, stages) as verb,
    ):
        verb.wait()
    assert "absent" in log.read_text()


def test_a_verb_beside_without_a_result(tmp_path):
    stages, command, log = beside(tmp_path, ["--version"], tmp_path / "never")
    with (
        pytest.raises(UserError, match=r"--version ended with code 0: .*; see .*it\.log"),
        Beside(command, log, stages) as verb,
    ):
        verb.wait()


def test_a_verb_beside_ends_with_the_block(files, tmp_path):
    """Also what it has started: no simulator stays behind."""
    words = ["simulate", files[0], "--data", files[1], "--sim", "icarus", "--frames", 16]
    words += ["--word-bits", 32, "--workdir", tmp_path / "sim", "--idle", 0.99999]
    stages, command, log = beside(tmp_path, words, tmp_path / "never")
    with pytest.raises(ZeroDivisionError), Beside(command, log, stages):
        for _ in range(600):
            if log.exists() and "stalled" in log.read_text():
                break
            time.sleep(0.1)
        time.sleep(1)
        raise ZeroDivisionError
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(tmp_path / "sim") not in left


def test_python_m(tmp_path):
    words = [sys.executable, "-m", "deltaloom", "--version"]
    ran = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "") and ran.stdout.startswith("deltaloom ")
