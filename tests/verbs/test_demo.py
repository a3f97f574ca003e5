# SPDX-License-Identifier: Apache-2.0
"""`deltaloom demo` on little data and a narrow accelerator; all of it is `make demo`."""

import json

import pytest

from deltaloom import cli
from deltaloom.boards.tools import toolchain
from deltaloom.golden.data import Dataset
from deltaloom.golden.models.network import Network
from deltaloom.terminal.demo_report import PICTURES, print_report
from deltaloom.verbs.demo import MODELS, SPEECH, UNITS, Budget, run_demo

KEYS = {
    *("float_error", "quantized_error", "delta_error", "eliminated_operations", "threshold"),
    *("rtl_words", "rtl_mismatches", "cycles_per_step", "ideal_cycles_per_step", "utilisation"),
    *("luts", "ffs", "dsps", "brams"),
}
BUDGET = Budget(
    thresholds=(0, 10, 60), word_bits=256, frames=(("icarus", 4),), stalled=("icarus",), board=""
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The folder and the report of a demo on 400 frames to calibrate, 400 to tune, 700 to test."""
    folder = tmp_path_factory.mktemp("demo")
    for name, count in (("calibration", 4), ("tuning", 4), ("test", 7)):
        data = Dataset.load(SPEECH / f"{name}.npz").subset(range(count))
        short = [x[:100] for x in data.features], [y[:100] for y in data.labels]
        Dataset(*map(tuple, short), data.label_names).save(folder / f"{name}.npz")
    return folder / "out", run_demo("lstm", folder / "out", BUDGET, folder)


def test_report(demo):
    folder, report = demo
    assert json.loads((folder / "report.json").read_text()) == report
    assert report.keys() >= KEYS and KEYS <= report["units"].keys() == UNITS.keys()
    assert report["threshold"] == 10  # 60 ruins the network, 0 eliminates less
    assert 0 < report["float_error"] < 40
    assert abs(report["quantized_error"] - report["float_error"]) < 2
    assert abs(report["delta_error"] - report["float_error"]) < 5
    assert 50 < report["eliminated_operations"] < 100
    assert [(run["run"], run["frames"]) for run in report["simulations"]] == [
        ("full speed", 4),
        ("stalled", 2),
    ]
    assert report["simulations"][1]["idle"] > 0 < report["simulations"][1]["backpressure"]
    assert report["rtl_words"] == (4 + 2) * 39 and report["rtl_mismatches"] == 0
    assert 0 < report["scored_frames"] < report["test_frames"]
    assert 0 < report["ideal_cycles_per_step"] < report["cycles_per_step"]
    assert 0.5 < report["utilisation"] < 1
    assert report["utilisation"] == pytest.approx(
        report["ideal_cycles_per_step"] / report["cycles_per_step"]
    )
    assert report["luts"] is None  # nothing was synthesized
    assert [p["threshold"] for p in report["threshold_curve"]] == [0, 10, 60]


def test_files(demo):
    folder, report = demo
    for name in PICTURES:
        assert (folder / name).stat().st_size > 10_000
    network = Network.load(folder / "network.safetensors")
    assert {path.threshold for _, path in network.paths()} == {report["threshold"]}
    assert "simulate 4 frames in icarus" in report["stage_seconds"]


def test_table(demo, capsys):
    folder, report = demo
    area = {"luts": 12345, "available": {"luts": 83640}, "board": "ulx3s_85f"}
    print_report(report | area, folder, SPEECH / "test.npz")
    text = capsys.readouterr().out
    for part in (
        f"({report['scored_frames']:,} scored frames)",
        "RTL runs that differ, icarus",
        "0 of 2",
        f"{report['float_error']:.2f} %",
        f"{report['delta_error']:.2f} %",
        f"{report['eliminated_operations']:.1f} %",
        f"{report['cycles_per_step']:,.0f}",
        f"{report['utilisation']:.3f}",
        "12,345 of 83,640",
        "threshold.png",
    ):
        assert part in text
    assert max(len(line) for line in text.splitlines() if "│" in line) <= 80


def test_a_mismatch_ends_with_1(demo, capsys, monkeypatch, tmp_path):
    _, report = demo
    runs = [report["simulations"][0] | {"mismatch": "output at step 3", "mismatches": 1}]
    bad = report | {"simulations": runs, "rtl_mismatches": 1}
    monkeypatch.setattr("deltaloom.verbs.demo.check_tools", lambda budget: None)
    monkeypatch.setattr("deltaloom.verbs.demo.run_demo", lambda *rest: bad)
    assert cli.main(["demo", "-o", str(tmp_path)]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "MISMATCH, output at step 3" in text and "--sim icarus --waves" in text


def test_missing_tool(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(toolchain.shutil, "which", lambda name: None)
    assert cli.main(["demo", "-o", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and " is needed and was not found" in err
    assert not (tmp_path / "out").exists()


def test_output_that_is_a_file(tmp_path, capsys):
    (tmp_path / "out").write_text("")
    assert cli.main(["demo", "-o", str(tmp_path / "out")]) == 2
    assert "is a file; name a folder" in capsys.readouterr().err


@pytest.mark.parametrize("cell", MODELS)
def test_shipped_models_are_there(cell):
    assert (SPEECH / MODELS[cell]).is_file()
