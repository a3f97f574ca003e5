# SPDX-License-Identifier: Apache-2.0
"""The benches beside a design, run as a user runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deltaloom.boards.tools import toolchain
from deltaloom.golden.models.synthetic import make_frames, make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.generate import generate
from deltaloom.sim.testbench import bench_files, commands


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    network = make_network([("gru", 5), ("linear", 2)], 3)
    config = derive_config(network, word_bits=32)
    frames = [make_frames(3, 4), make_frames(3, 3, seed=1)]
    files = bench_files(network, config, frames, "first")
    place = tmp_path_factory.mktemp("with spaces") / "rtl"
    return generate(network, place, config=config, name="first", more=files).verilog.parent


def run(command, folder, *tools):
    ours = toolchain.environment(*map(toolchain.require, tools))
    ours["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), ours["PATH"]))
    return subprocess.run(
        command, shell=True, cwd=folder, env=ours, capture_output=True, text=True, check=False
    )


def test_icarus(folder):
    ran = run(commands("first")[0], folder, "iverilog")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "PASS: 14 words of 7 frames" in ran.stdout and ran.stderr == ""


def test_a_wrong_word_fails(folder):
    words = folder / "first_tb_out.hex"
    before = words.read_text()
    lines = before.split()
    lines[5] = f"{int(lines[5], 16) ^ 1:05x}"
    words.write_text("\n".join(lines) + "\n")
    try:
        ran = run(commands("first")[0], folder, "iverilog")
    finally:
        words.write_text(before)
    assert ran.returncode != 0 and "FAIL: word 5 is" in ran.stdout


def test_cocotb(folder):
    ran = run(commands("first")[2], folder, "iverilog")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "PASS=1" in ran.stdout


@pytest.mark.slow
def test_verilator(folder, tmp_path):
    """Elsewhere: make, which it calls, takes no folder with spaces."""
    for file in folder.glob("first*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    ran = run(commands("first")[1], tmp_path, "verilator")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "PASS: 14 words of 7 frames" in ran.stdout
