# SPDX-License-Identifier: Apache-2.0
"""`deltaloom generate`: its files, its tables, its errors."""

import json
import re

import pytest


def test_generate(files, tmp_path, capsys, run, cells):
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


def test_generate_without_the_image(files, tmp_path, run):
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
        (["--norm-lanes", 1], "--norm-lanes: 1 is not possible, it is for integer-only LSTMs with"),
        (["--drain-rows", 3, "--word-bits", 64], "drain_rows: 3 is not possible, it must be a di"),
        (["--drain-rows", 0], "drain rows: 0 is not possible, it must be at least 1"),
    ],
)
def test_generate_refuses(words, message, files, tmp_path, run, error):
    assert run("generate", files[0], "-o", tmp_path / "rtl", *words) == 2
    assert error().startswith(message)
    assert not (tmp_path / "rtl").exists()


def test_generate_never_replaces_a_file(files, run, error):
    net, data = files
    assert run("generate", net, "-o", data) == 2
    assert error() == f"-o {data}: is a file; name a folder"


def test_generate_for_other_systems(files, tmp_path, run, error):
    net, data = files
    out = tmp_path / "rtl"
    words = ["generate", net, "-o", out, "--word-bits", 32, "--name", "asr", "--integration"]
    assert run(*words, "--weight-memory", "sdram") == 2
    assert error().startswith("integration: the wrappers do not connect an SDRAM's pins")
    assert not out.exists()
    assert run(*words, "--testbench", data) == 0
    core = (out / "asr.core").read_text()
    assert "asr.vlt" in core and "asr_tb.v" in core
    names = {"asr.h", "asr.rdl", "asr.svd", "asr_dma.v", "asr_litex.py", "asr_pynq.py"}
    assert names <= set(json.loads((out / "manifest.json").read_text())["more_files"])


def test_generate_with_benches_and_then_without(files, tmp_path, run, capsys, error):
    net, data = files
    out = tmp_path / "rtl"
    words = ["generate", net, "-o", out, "--word-bits", 32, "--name", "asr"]
    assert run(*words, "--testbench", data, "--no-bake") == 2
    assert "leave --no-bake out" in error() and not out.exists()
    assert run(*words, "--testbench", data) == 0
    text = capsys.readouterr().out
    assert "  iverilog -g2012 -o asr_tb.vvp asr_tb.v asr.v && vvp -n asr_tb.vvp\n" in text
    benches = ["asr.vlt", "asr_tb.v", "asr_tb_in.hex", "asr_tb_out.hex", "test_asr.py"]
    assert json.loads((out / "manifest.json").read_text())["more_files"] == benches
    assert len((out / "asr_tb_in.hex").read_text().split()) == 16 * 5
    assert run(*words) == 0
    assert not [name for name in benches if (out / name).exists()]
