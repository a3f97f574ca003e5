# SPDX-License-Identifier: Apache-2.0
"""A small design and its manifest, for the tests of the exports."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from deltaloom.boards.tools import toolchain
from deltaloom.golden.models.synthetic import make_frames, make_network
from deltaloom.hw.compiler.compile import compile_plan
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.compiler.plan import Plan
from deltaloom.hw.generate import generate, manifest
from deltaloom.sim.testbench import bench_files


@pytest.fixture(scope="session")
def small():
    """A GRU of 5 units on 3 inputs with 2 outputs; the manifest of its design `asr`."""
    network = make_network([("gru", 5), ("linear", 2)], 3)
    config = derive_config(network, word_bits=32)
    plan = Plan.of(network, config)
    facts = manifest(plan, compile_plan(plan), "asr")
    return SimpleNamespace(network=network, config=config, manifest=facts)


@pytest.fixture(scope="module")
def design(small, tmp_path_factory):
    """The folder with all files of `asr`, benches and exports."""
    frames = [make_frames(3, 4), make_frames(3, 3, seed=1)]
    more = bench_files(small.network, small.config, frames, "asr")
    place = tmp_path_factory.mktemp("design") / "rtl"
    options = {"config": small.config, "name": "asr", "more": more}
    return generate(small.network, place, integration=True, **options).verilog.parent


@pytest.fixture(scope="session")
def tool():
    """tool(words, folder, *needed): what a program of Python's environment prints; it must end
    with code 0."""

    def run(words, folder, *needed):
        ours = toolchain.environment(*map(toolchain.require, needed))
        ours["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), ours["PATH"]))
        ran = subprocess.run(
            words, cwd=folder, env=ours, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    return run
