# SPDX-License-Identifier: Apache-2.0
"""`deltaloom build --asic` with a build that asks nobody: its options, its report, its errors."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import deltaloom as dl
from deltaloom import cli
from deltaloom.boards.asic.energy import PartEnergy
from deltaloom.boards.asic.library import read_library
from deltaloom.boards.asic.macros import Macro, MacroModel, liberty
from deltaloom.boards.asic.netlist import PartArea
from deltaloom.boards.asic.report import AsicReport
from deltaloom.boards.asic.timing import Step, TimingPath
from deltaloom.golden.integer_lstm.synthetic import make_lstm_network
from deltaloom.golden.models.synthetic import make_network

TINY = Path(__file__).parents[1] / "boards" / "asic" / "tiny.lib"
ENERGY = {
    "lanes": PartEnergy(logic=1e-9, clock=2e-9),
    "bus": PartEnergy(memory=4e-9, leakage=1e-12),
}


def report(**changes):
    step = Step(pin="a_reg/Q", cell="DFF", delay_ns=0.1, arrival_ns=0.1)
    facts = {
        "corner": "tiny, 1.2 V",
        "node": 65,
        "macro_bits": 2048,
        "clock_mhz": 100.0,
        "areas": {
            "lanes": PartArea(cells=1000, flip_flops=5, cell_area=2e5, macros=0, macro_area=0),
            "bus": PartArea(cells=20, flip_flops=1, cell_area=1e5, macros=2, macro_area=1e6),
        },
        "fmax_mhz": 125.0,
        "worst": TimingPath(start="a_reg", end="b_reg", slack_ns=2.0, steps=(step,) * 5),
        "port_slack_ns": 1.0,
        "clock_watts": 1e-3,
        "leakage_watts": 2e-6,
        "cycles_per_step": 50.0,
        "words": 12,
        "energy": ENERGY,
    }
    return AsicReport(**facts | changes)


@pytest.fixture
def network(tmp_path):
    made = make_network([("linear", 2)], 3)
    made.save(tmp_path / "net.safetensors")
    np.save(tmp_path / "data.npy", np.zeros((5, 3), np.float32))
    return tmp_path / "net.safetensors"


@pytest.fixture
def builds(monkeypatch):
    """A build and a simulation that ask nobody; `given` has what they were asked."""
    given = SimpleNamespace(report=report(), options={}, frames=None)

    def build(config, technology, *, progress, **options):
        given.options = options | {"config": config, "technology": technology}
        return "built"

    def simulate(build, network, frames):
        given.frames = [len(each) for each in frames]
        return SimpleNamespace(activity="activity", words=12)

    def of(build, **options):
        given.options |= options
        return given.report

    monkeypatch.setattr("deltaloom.boards.asic.build.build_cells", build)
    monkeypatch.setattr("deltaloom.boards.asic.build.check_tools", lambda technology: None)
    monkeypatch.setattr("deltaloom.sim.gates.run.simulate_gates", simulate)
    monkeypatch.setattr("deltaloom.boards.asic.report.AsicReport.of", of)
    return given


def run(network, *options):
    out = network.parent / "out"
    return cli.main(["build", str(network), "--asic", "-o", str(out), *options])


LIBRARY = ("--liberty", str(TINY), "--node", "65")


def test_the_figures_are_printed_and_written(network, builds, capsys):
    data = str(network.parent / "data.npy")
    assert run(network, *LIBRARY, "--data", data, "--frames", "4", "--word-bits", "16") == 0
    assert builds.frames == [2]  # of each sequence at most half
    assert builds.options["config"].word_bits == 16
    assert builds.options["technology"].node == 65
    assert builds.options["words"] == 12
    out = capsys.readouterr().out
    for text in ("125.0 MHz", "2,000,000", "7.00 nJ", "a_reg -> b_reg: 0.10 ns, 2 cells", "1,020"):
        assert text in out
    folder = network.parent / "out"
    plain = json.loads((folder / "report.json").read_text())
    assert plain["frame_energy"] == pytest.approx(7.001e-9)
    assert plain["frames_per_second"] == 2e6
    assert plain["area"] == pytest.approx(1.3e6)
    assert plain["areas"]["bus"]["macros"] == 2
    page = (folder / "report.html").read_text()
    assert "Worst path between registers" in page
    assert "energy a frame, nJ" in page


def test_an_integer_only_lstm_is_built(network, builds):
    floats = make_lstm_network("plain", (3, 2), classes=2)
    dl.quantize_integer_lstm(floats, dl.Dataset((np.eye(3, dtype=np.float32),))).save(network)
    assert run(network, *LIBRARY, "--data", str(network.parent / "data.npy")) == 0
    assert builds.options["config"].arithmetic == "integer-lstm" and builds.frames == [5]


def test_without_data_nothing_is_simulated(network, builds, capsys):
    builds.report = report(energy=None, words=None)
    assert run(network, *LIBRARY, "--report", "none", "--clock", "50", "--macro-bits", "9") == 0
    assert builds.frames is None
    assert (builds.options["clock_mhz"], builds.options["macro_bits"]) == (50.0, 9)
    assert builds.options["gate_bits"] == 4
    assert run(network, *LIBRARY, "--report", "none", "--gate-bits", "0") == 0
    assert builds.options["gate_bits"] == 0
    assert "those of frames in which every element changes" in capsys.readouterr().out
    assert not (network.parent / "out" / "report.html").exists()


def test_macros_of_a_liberty_file(network, builds, capsys, tmp_path):
    file = tmp_path / "ram.lib"
    model = MacroModel(node=65, voltage=1.2)
    text = liberty([Macro(64, 8)], model, read_library(TINY))
    power = 'internal_power () { rise_power (scalar) { values ("2.0"); } }'
    file.write_text(text.replace("clock : true;", f"clock : true; {power}"))
    builds.report = report(given_macros=(1, 3))
    assert run(network, *LIBRARY, "--macros", str(file)) == 0
    assert list(builds.options["macros"].cells) == ["deltaloom_ram_64x8"]
    assert re.search(r"kinds of macros by --macros\W+1 of 3", capsys.readouterr().out)
    builds.report = report(given_macros=(0, 3))
    assert run(network, *LIBRARY, "--macros", str(file)) == 0
    assert re.search(r"kinds of macros by --macros\W+0 of 3", capsys.readouterr().out)
    assert run(network, *LIBRARY, "--macros", str(TINY)) == 2
    assert "has no cell deltaloom_ram_WORDSxBITS" in capsys.readouterr().err


def test_a_clock_that_is_not_reached_is_exit_code_1(network, builds, capsys):
    builds.report = report(fmax_mhz=81.9)
    assert run(network, *LIBRARY) == 1
    assert "is not reached: take --clock 81." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ([], "--liberty: is missing; name osu018, osu035, osu050, sky130 or a Liberty file"),
        (["--liberty", "nowhere.lib"], "nowhere.lib: there is no such file, and no library of"),
        (["--liberty", str(TINY)], "give --node, in nm"),
        ([*LIBRARY, "--baud", "9600"], "--baud: is not of this kind of build; leave it out"),
        ([*LIBRARY, "--synth-only"], "--synth-only: is not of this kind of build"),
        ([*LIBRARY, "--weight-memory", "sdram"], "--weight-memory: is not of this kind of build"),
        ([*LIBRARY, "--weight-memory", "block_ram"], "--weight-memory: is not of this kind of"),
        ([*LIBRARY, "--hardwired"], "--hardwired: is not of this kind of build; leave it out"),
        ([*LIBRARY, "--board", "ulx3s_85f"], "--board: is not of this kind of build"),
        ([*LIBRARY, "--seed", "1"], "--seed: is not of this kind of build"),
        ([*LIBRARY, "--clock", "-1"], "clock: -1.0 is not possible"),
    ],
)
def test_what_does_not_go_together_is_refused(network, builds, options, line, capsys):
    assert run(network, *options) == 2
    assert line in capsys.readouterr().err


def test_its_options_are_refused_without_it(network, capsys):
    out = str(network.parent / "out")
    assert cli.main(["build", str(network), "-o", out, "--macro-bits", "9"]) == 2
    assert "--macro-bits: is not of this kind of build; add --asic" in capsys.readouterr().err
