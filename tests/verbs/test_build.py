# SPDX-License-Identifier: Apache-2.0
"""`deltaloom build` with a build that asks nobody: its options, its report, its errors."""

import json
from types import SimpleNamespace

import pytest

from deltaloom.boards.family.results import Usage
from deltaloom.boards.flow.build import BOARDS
from deltaloom.boards.flow.report import BuildReport
from deltaloom.golden.models.network import Network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.estimates.area import estimate_area
from deltaloom.terminal.estimates import dense_cycles
from deltaloom.verbs.build import Build


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


def test_build(files, tmp_path, capsys, builds, run, cells):
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


def test_build_synthesis_only(files, tmp_path, capsys, builds, run):
    network = Network.load(files[0])
    config = derive_config(network)
    assert run("build", files[0], "-o", tmp_path / "out", "--synth-only") == 0
    assert builds.options["synth_only"] is True and builds.options["clock_mhz"] is None
    assert builds.options["cycles_per_step"] == dense_cycles(network, config)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["bitstream"] is None
    assert ".bit" not in capsys.readouterr().out


def test_build_that_misses_its_clock(files, tmp_path, capsys, builds, run):
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
def test_build_refuses(words, message, files, tmp_path, run, error):
    assert run("build", files[0], "-o", tmp_path / "out", *words) == 2
    assert error().startswith(message)
    assert not (tmp_path / "out").exists()


def test_build_help_names_every_board(capsys, run):
    assert run("build", "--help") == 0
    text = capsys.readouterr().out
    assert Build.help and all(name in text for name in BOARDS)


def test_never_replaces_a_file(files, run, error):
    net, data = files
    assert run("build", net, "--board", "ulx3s_85f", "-o", data) == 2
    assert error() == f"-o {data}: is a file; name a folder"
