# SPDX-License-Identifier: Apache-2.0
"""`--json` of every verb: standard output is one document, which has what the verb prints.

What takes minutes (simulators, place and route) is stood in for; the verbs' own tests run it.
"""

import json
import math
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from deltaloom import cli
from deltaloom.boards.ecp5.timing import Usage
from deltaloom.boards.flow.report import BuildReport
from deltaloom.golden.data import Dataset
from deltaloom.golden.models.network import Network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.image import memories
from deltaloom.sim.board.build import Figures
from deltaloom.terminal.document import to_json
from deltaloom.verbs import VERBS


@pytest.fixture
def document(capfd):
    """document(*words): what `--json -` prints and the exit code; nothing else is on stdout."""

    def run(*words, code=0):
        assert cli.main([*map(str, words), "--json", "-"]) == code
        return json.loads(capfd.readouterr().out)

    return run


@pytest.fixture
def place(make_pair, tmp_path):
    """A folder with model, net, data.npz (without labels), labelled.npz and checkpoint.npz."""
    _, _, data = make_pair(tmp_path)
    features = Dataset.load(data).features
    labels = tuple(np.arange(len(x)) % 3 for x in features)
    Dataset(features, labels).save(tmp_path / "labelled.npz")
    rng = np.random.default_rng(0)
    shapes = {"rnn.weight_ih_l0": (16, 5), "rnn.weight_hh_l0": (16, 4), "fc.weight": (3, 4)}
    np.savez(tmp_path / "checkpoint.npz", **{n: rng.normal(size=s) for n, s in shapes.items()})
    return tmp_path


def test_import(document, place):
    found = document("import", place / "checkpoint.npz", "-o", place / "out")
    sizes = [(one["kind"], one["inputs"], one["units"]) for one in found["layers"]]
    assert sizes == [("lstm", 5, 4), ("linear", 4, 3)]
    assert found["parameters"] == 16 * 9 + 16 + 12 + 3 and found["output"] == str(place / "out")


def test_import_of_a_graph_and_features(document, graph, tmp_path):
    pytest.importorskip("onnxruntime")
    file, weights = graph
    found = document("import", file, "-o", tmp_path / "model")
    assert found["sides"] == {side: str(tmp_path / f"{side}.onnx") for side in ("before", "after")}
    assert "LeakyRelu node 'bend'" in found["nodes"]["before"]
    Dataset((np.ones((5, 3), np.float32),)).save(tmp_path / "raw.npz")
    words = ["--data", tmp_path / "raw.npz", "-o", tmp_path / "made.npz"]
    found = document("features", tmp_path / "before.onnx", *words)
    assert (found["sequences"], found["frames"]) == (1, 5) and found["inputs"] == weights.shape[1]


def test_quantize(document, place):
    words = ["--data", place / "data.npz", "-o", place / "out", "--scheme", "4-bit"]
    found = document("quantize", place / "model", *words)
    network = Network.load(place / "out")
    bits = {name: path.weight_bits for name, path in network.paths()}
    assert {one["name"]: one["weight_bits"] for one in found["paths"]} == bits
    assert found["frames"] == 90 and len(found["saturation"]["features"]) == 5
    assert found["size_bits"] > 0 and isinstance(found["warnings"], list)


def test_quantize_integer_lstm(document, place):
    words = ["--data", place / "data.npz", "-o", place / "out", "--scheme", "integer-lstm"]
    found = document("quantize", place / "model", *words)
    assert [one["outputs"] for one in found["layers"]] == [6, 3] and found["frames"] == 90


def test_sweep(document, place):
    words = ["--data", place / "data.npz", "--test", place / "labelled.npz", "--weights", "4,8"]
    found = document("sweep", place / "model", *words)
    assert [(p["weight_bits"], p["activation_bits"]) for p in found["points"]] == [(4, 16), (8, 16)]
    assert all(0 <= point["error"] <= 100 for point in found["points"])


def test_tune(document, place):
    words = ["--data", place / "labelled.npz", "--workers", 1, "--candidates", "0,4"]
    found = document("tune", place / "net", *words, "--model", place / "model")
    assert found["chosen"] in found["front"] and found["from_log"] == 0
    assert len(found["fidelity"]["outputs"]) == 3 and "saturation" in found


def test_search(document, place):
    words = ["--data", place / "data.npz", "--tune-data", place / "labelled.npz", "--knee"]
    more = ["-o", place / "out", "--evaluations", 12, "--workers", 1]
    found = document("search", place / "model", *words, *more)
    assert found["picked"] == found["knee"] and found["front"]
    assert set(found["files"]) <= {file.name for file in (place / "out").iterdir()}


def test_evaluate(document, place):
    words = ["--data", place / "data.npz", "--model", place / "model"]
    found = document("evaluate", place / "net", *words)
    assert found["float_error"] is None  # no labels; JSON has no NaN
    assert found["boards"]["ulx3s_85f"]["fits"] and found["estimated_area"]["luts"] > 0


def test_generate(document, place):
    words = ["-o", place / "rtl", "--testbench", place / "data.npz", "--word-bits", 16]
    found = document("generate", place / "net", *words)
    config = derive_config(Network.load(place / "net"), word_bits=16)
    assert [one["words"] for one in found["memories"]] == [m.depth for m in memories(config)]
    for name in (found["verilog"], found["manifest"], *found["benches"]):
        assert (place / "rtl" / name).is_file()
    assert found["lanes"] == config.lanes and found["commands"]


def test_simulate(document, place, monkeypatch):
    def run_plan(plan, verilog, network, **options):
        return SimpleNamespace(
            ok=plan.name != "stalled",
            mismatch="word 3",
            simulator=options["simulator"],
            waves=None,
            **dict.fromkeys(("seed", "steps", "sequences", "words", "states", "seconds"), 7),
            **dict.fromkeys(("cycles_per_step", "ideal_cycles_per_step", "utilisation"), 0.5),
            counters={},
            events={},
        )

    monkeypatch.setattr("deltaloom.verbs.simulate.run_plan", run_plan)
    monkeypatch.setattr("deltaloom.verbs.simulate.generate_verilog", lambda *given: None)
    words = ["--data", place / "data.npz", "--sim", "icarus", "--workdir", place / "sim"]
    found = document("simulate", place / "net", *words, code=1)
    assert [run["mismatches"] for run in found["runs"]] == [0, 1]


def test_build(document, place, monkeypatch):
    usage = dict.fromkeys(("luts", "ffs", "brams", "dsps"), Usage(10, 100))
    report = BuildReport(board="ulx3s_85f", device="LFE5U-85F", clock_mhz=90, fmax_mhz=80, **usage)
    monkeypatch.setattr("deltaloom.boards.flow.build.build", lambda *given, **options: report)
    found = document("build", place / "net", "-o", place / "out", code=1)  # misses its clock
    assert found["luts"] == {"used": 10, "available": 100} and found["timing_met"] is False
    estimates = found["estimates"]
    assert estimates["luts"] > 1000 and estimates["synthesis_seconds"] > 0
    assert estimates["boards"]["ulx3s_85f"]["fits"]


def test_build_simulated_and_run_and_flash(document, place):
    out = place / "out"
    found = document("build", place / "net", "-o", out, "--simulated", "--board", "ulx3s_45f")
    assert found == {"output": str(out), "board": "ulx3s_45f"}
    words = ["--data", place / "data.npz", "--port", "golden", "--frames", 9]
    found = document("run", place / "net", *words)
    assert (found["frames"], found["differ"]) == (9, 0)
    (out / "ulx3s_45f.bit").write_bytes(b"")
    found = document("flash", out, "--print")
    assert found["command"][0] == "openFPGALoader" and found["exit_code"] is None


def test_flash_keeps_the_programs_words_apart(document, place, monkeypatch):
    """What it prints is no part of the document, and not lost."""
    document("build", place / "net", "-o", place / "out", "--simulated")
    (place / "out" / "ulx3s_85f.bit").write_bytes(b"")
    program = place / "bin" / "openFPGALoader"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho loading\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    assert document("flash", place / "out")["exit_code"] == 0


def test_board_sim(document, place, monkeypatch):
    class Board:
        port = "/dev/pts/9"

        def __init__(self, program, **options):
            pass

        def wait(self):
            raise KeyboardInterrupt

        def close(self):
            return Figures(cycles=5, to_board=6, from_board=7, damaged=0)

    monkeypatch.setattr("deltaloom.sim.board.build.build_board", lambda *given, **options: None)
    monkeypatch.setattr("deltaloom.sim.board.build.SimulatedBoard", Board)
    found = document("board-sim", place)
    assert (found["port"], found["cycles"]) == ("/dev/pts/9", 5)


def test_demo(document, place, monkeypatch):
    report = {"rtl_mismatches": 0, "float_error": 19.0}
    monkeypatch.setattr("deltaloom.verbs.demo.check_tools", lambda budget: None)
    monkeypatch.setattr("deltaloom.verbs.demo.run_demo", lambda *given: report)
    monkeypatch.setattr("deltaloom.verbs.demo.print_report", lambda *given: print("a table"))
    assert document("demo", "-o", place / "out") == report


def test_finetune(document, place):
    pytest.importorskip("torch")
    words = ["--model", place / "model", "--data", place / "labelled.npz", "--tune-data"]
    words += [place / "labelled.npz", "--epochs", 1, "-o", place / "out"]
    found = document("finetune", place / "net", *words)
    assert [one["number"] for one in found["epochs"]] == [0, 1]
    assert found["output"] == str(place / "out")


def test_every_verb_is_above():
    text = Path(__file__).read_text("utf-8")
    assert [verb for verb in VERBS if f'document("{verb}"' not in text] == []


# The mechanism


def test_a_file_is_written_beside_what_is_printed(files, run, capsys, tmp_path):
    net, data = files
    words = ["run", net, "--data", data, "--port", "golden"]
    assert run(*words, "--json", tmp_path / "out.json", "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert json.loads((tmp_path / "out.json").read_text())["frames"] == 16
    assert run(*words, "--json", "-", "--quiet") == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 16
    assert run(*words, "--json", "/dev/stdout") == 0


def test_never_another_file_of_the_run(files, run, error, tmp_path):
    net, data = files
    own = tmp_path / "own.py"
    own.write_text("def count(data, outputs):\n    return 1\n")
    words = ["evaluate", net, "--data", data, "--report", tmp_path / "page.html"]
    for file, rule in (
        (net, "is an input itself; name another file"),
        (own, "is an input itself; name another file"),
        (tmp_path / "page.html", "is another file of this run; name one of its own"),
    ):
        assert run(*words, "--metric", f"{own}:count", "--json", file) == 2
        assert error() == f"--json {file}: {rule}"
    assert not (tmp_path / "page.html").exists()


def test_an_error_leaves_no_document(files, run, error, tmp_path):
    words = ["evaluate", files[0], "--data", tmp_path / "none.npz", "--json"]
    assert run(*words, "-") == 2
    assert "none.npz" in error()
    assert run(*words, tmp_path / "out.json") == 2
    assert "none.npz" in error() and not (tmp_path / "out.json").exists()


def test_plain_data():
    given = {"a": (1, np.float32(0.5), np.arange(2)), 3: {"b": math.nan, "c": Path("d")}, "e": None}
    wanted = {"a": [1, 0.5, [0, 1]], "3": {"b": None, "c": "d"}, "e": None}
    assert json.loads(to_json(given)) == wanted
