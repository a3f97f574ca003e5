# SPDX-License-Identifier: Apache-2.0
"""`--weight-memory`: weights in an SDRAM, through the command line."""

import json
from dataclasses import replace

import pytest

from deltaloom.boards.flow.design import BoardDesign
from deltaloom.hw import sdram_chips
from deltaloom.sim.simulate import word_cycles

CHIP = "sdram_16mx16"


def test_generate_says_where_the_weights_are(files, tmp_path, run):
    out = tmp_path / "rtl"
    options = ["--weight-memory", "sdram", "--memory-clock", 60]
    assert run("generate", files[0], "-o", out, *options, "--quiet") == 0
    facts = json.loads((out / "manifest.json").read_text())
    config = facts["config"]
    assert (config["weight_memory"], config["memory_clock_mhz"]) == (CHIP, 60.0)
    assert config["word_bits"] == 32
    pins = {port["name"]: port["width"] for port in facts["ports"]}
    assert (pins["sdram_dq_o"], pins["sdram_dq_i"], pins["sdram_a"]) == (16, 16, 13)


def test_the_clock_that_nobody_names(files, tmp_path, run):
    assert run("generate", files[0], "-o", tmp_path / "rtl", "--weight-memory", CHIP) == 0
    facts = json.loads((tmp_path / "rtl" / "manifest.json").read_text())
    assert facts["config"]["memory_clock_mhz"] == 90.0


@pytest.mark.parametrize("verb", ["generate", "simulate"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--memory-clock", 60], "--memory-clock: 60 is not possible, weights on the chip have"),
        (["--weight-memory", "block_ram", "--memory-clock", 90], "add --weight-memory sdram"),
        (["--on-chip-weights", 9], "--on-chip-weights: 9 is not possible, all weights are on the"),
        (["--weight-memory", "sdram", "--on-chip-weights", -1], "near_bytes: -1 bytes of weights"),
        (["--weight-memory", "sdram", "--memory-clock", 0], "0 is not possible, it must be a num"),
        (["--weight-memory", "sdram", "--memory-clock", -1], "-1 is not possible, it must be a n"),
        (["--weight-memory", "sdram", "--memory-clock", "nan"], "nan is not possible, it must be"),
        (["--weight-memory", "sdram", "--memory-clock", "inf"], "inf is not possible, it must be"),
        (["--weight-memory", CHIP, "--memory-clock", 134], "134 is not possible with"),
    ],
)
def test_a_clock_that_is_of_no_use(files, tmp_path, run, capsys, verb, words, message):
    net, data = files
    out = tmp_path / "out"
    where = ["-o", out] if verb == "generate" else ["--data", data, "--workdir", out]
    assert run(verb, net, *where, *words) == 2
    assert message in capsys.readouterr().err
    assert not list(out.rglob("*.v"))


@pytest.mark.slow
def test_simulate(files, tmp_path, run, monkeypatch, capsys):
    chip = replace(sdram_chips.CHIPS[CHIP], power_up=3000.0)
    monkeypatch.setitem(sdram_chips.CHIPS, CHIP, chip)
    net, data = files
    words = ["--sim", "icarus", "--frames", 2, "--idle", 0, "--backpressure", 0]
    words += ["--weight-memory", "sdram", "--workdir", tmp_path / "sim"]
    words += ["--json", tmp_path / "out.json"]
    assert run("simulate", net, "--data", data, *words) == 0
    (figures,) = json.loads((tmp_path / "out.json").read_text())["runs"]
    assert figures["mismatches"] == 0 < figures["words"]
    # Two beats a weight word.
    assert figures["counters"]["CYCLES"] > 2 * figures["counters"]["BUSY"]
    facts = json.loads((tmp_path / "sim" / "rtl" / "manifest.json").read_text())
    assert word_cycles(facts) == 2


def test_a_boards_design(files, tmp_path, run):
    out = tmp_path / "out"
    words = ["--board", "ulx3s_45f", "--simulated", "-o", out, "--weight-memory", "sdram"]
    assert run("build", files[0], *words, "--clock", 80) == 0
    config = BoardDesign.load(out).config
    assert (config.weight_memory, config.memory_clock_mhz) == (CHIP, 80.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--board", "ecpix5_45f"], "--weight-memory: sdram is not possible, ecpix5_45f has no"),
        (["--word-bits", 48], "word_bits: 48 is not possible, it must be 16 times a power of two"),
        (["--clock", 140], "must be 5 to 133"),
    ],
)
def test_what_is_not_possible_is_one_line(files, tmp_path, run, capsys, words, message):
    out = tmp_path / "out"
    words = ["--simulated", "--weight-memory", "sdram", *words]
    assert run("build", files[0], "-o", out, *words) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
