# SPDX-License-Identifier: Apache-2.0
"""The core file through FuseSoC, and the Edalize example, as their users run them."""

import shutil
from importlib.util import find_spec

import pytest

from deltaloom.hw.exports.fusesoc import core_file

needs_fusesoc = pytest.mark.skipif(find_spec("fusesoc") is None, reason="no FuseSoC")
needs_edalize = pytest.mark.skipif(find_spec("edalize") is None, reason="no Edalize")
FUSESOC = ["fusesoc", "--cores-root", ".", "run"]


def test_targets_are_what_is_there(small):
    alone, all_files = (
        core_file(small.manifest, beside)
        for beside in ((), ("asr_tb.v", "asr_tb_in.hex", "asr.vlt", "test_asr.py"))
    )
    assert alone.startswith("CAPI=2:\n") and '"deltaloom::asr:0.' in alone
    assert "  lint:" in alone and "-Wno-fatal" in alone
    assert "  sim:" not in alone and "vlt" not in alone
    assert "  sim:" in all_files and "-Wall" in all_files and "test_asr" not in all_files
    assert "asr_tb_in.hex: {file_type: user, copyto: asr_tb_in.hex}" in all_files


@needs_fusesoc
def test_lint(design, tool):
    """Without a warning: the waivers come with the core."""
    text = tool([*FUSESOC, "--target", "lint", "deltaloom::asr"], design, "verilator")
    assert "deltaloom::asr" in text and "%Warning" not in text


@needs_fusesoc
def test_sim(design, tool):
    text = tool([*FUSESOC, "--target", "sim", "deltaloom::asr"], design, "iverilog")
    assert "PASS: 14 words of 7 frames" in text


@needs_edalize
@pytest.mark.parametrize(("name", "said"), [("icarus", "PASS: 14 words"), ("verilator", "")])
def test_edalize(name, said, design, tool):
    needed = "iverilog" if name == "icarus" else name
    assert said in tool(["python", "asr_edalize.py", name], design, needed)
    assert (design / f"edalize_{name}").is_dir()


@pytest.mark.slow
@needs_edalize
@pytest.mark.skipif(shutil.which("yosys") is None, reason="no yosys on PATH")
def test_edalize_yosys(design, tool):
    tool(["python", "asr_edalize.py", "yosys"], design)
    assert list((design / "edalize_yosys").glob("*.json"))
