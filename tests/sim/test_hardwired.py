# SPDX-License-Identifier: Apache-2.0
"""Accelerators with the network in their logic, and without counters, against golden."""

import gc
import subprocess
from dataclasses import replace

import pytest

from deltaloom.boards.tools import toolchain
from deltaloom.golden.models.synthetic import Shape, make_frames, make_network
from deltaloom.hw.accelerator import Accelerator, windows
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.generate import generate
from deltaloom.sim.testbench import bench_files

CASES = {
    "ligru, one lane": ([("ligru", 9)], 8),
    "gru and linear, two lanes": ([("gru", 5), ("linear", 2)], 16),
    "both ways": ([Shape(kind="gru", units=3, both=True), ("linear", 2)], 8),
}


@pytest.mark.parametrize(("layers", "word_bits"), CASES.values(), ids=CASES)
def test_words_are_goldens(layers, word_bits, tmp_path):
    network = make_network(layers, 3, threshold=1)
    config = derive_config(network, word_bits=word_bits)
    config = replace(config, hardwired=True, counted=False)
    frames = [make_frames(3, 4), make_frames(3, 3, seed=1)]
    files = bench_files(network, config, frames, "top")
    generate(network, tmp_path, config=config, name="top", more=files)
    ours = toolchain.environment(toolchain.require("iverilog"), toolchain.require("vvp"))
    for command in (
        ["iverilog", "-g2012", "-s", "top_tb", "-o", "a.vvp", "top_tb.v", "top.v"],
        ["vvp", "-n", "a.vvp"],
    ):
        ran = subprocess.run(command, cwd=tmp_path, env=ours, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.startswith("PASS: ")


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_only_weights_are_loaded():
    network = make_network([("gru", 5)], 3)
    config = replace(derive_config(network), hardwired=True)
    assert [window.name for window in windows(config)] == ["weights"]
    with pytest.raises(ValueError, match=r"image must be there where config\.hardwired is"):
        Accelerator(config)
    gc.collect()  # what was not built is not told of in another test
