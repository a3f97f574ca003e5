# SPDX-License-Identifier: Apache-2.0
"""Netlists after synthesis, cell by cell, against golden: the bench beside a design runs them."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from models import MODELS

from deltaloom.boards.ecp5.synthesis import synthesize
from deltaloom.golden.models.synthetic import make_frames, make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.generate import generate
from deltaloom.sim.testbench import bench_files

pyosys = pytest.importorskip("pyosys")
SHARE = Path(pyosys.__file__).parent / "share"
SYNTHESIS = {"ecp5": "synth_ecp5", "ice40": "synth_ice40 -dsp", "gowin": "synth_gowin -noiopads"}
NETWORKS = {
    "gru": ([("gru", 5), ("linear", 2)], {"weight_bits": 8}, "multiplier"),
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=NETWORKS)
def folder(request, tmp_path_factory):
    """A design and its bench: two sequences of 7 frames in all."""
    layers, options, lanes = NETWORKS[request.param]
    network = make_network(layers, 3, threshold=1, **options)
    config = derive_config(network, word_bits=16, lane_kind=lanes)
    frames = [make_frames(3, 4), make_frames(3, 3, seed=1)]
    files = bench_files(network, config, frames, "top")
    place = tmp_path_factory.mktemp("rtl")
    generate(network, place, config=config, name="top", more=files)
    return place


def passes(folder, *lines):
    """Let yosys do this, one pass a line."""
    code = "import sys\nfrom pyosys import libyosys\ndesign = libyosys.Design()\n"
    code += "for line in sys.argv[1:]:\n    libyosys.run_pass(line, design)\n"
    command = [sys.executable, "-c", code, *lines]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-2000:]


def simulate(folder, family, netlist):
    """What the bench says of a netlist."""
    (folder / "cells.v").write_text(MODELS[family](SHARE))
    files = ["top_tb.v", netlist, "cells.v"]
    for command in (
        ["iverilog", "-g2012", "-s", "top_tb", "-o", "a.vvp", *files],
        ["vvp", "-n", "a.vvp"],
    ):
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if ran.returncode:
            return ran.stdout + ran.stderr
    return ran.stdout.strip()


@pytest.mark.parametrize("family", SYNTHESIS)
def test_plain_synthesis(folder, family):
    synthesis = f"{SYNTHESIS[family]} -top top"
    passes(folder, "read_verilog top.v", synthesis, f"write_verilog -noattr {family}.v")
    assert simulate(folder, family, f"{family}.v") == "PASS: 14 words of 7 frames"


def test_the_flow_of_the_boards(folder, tmp_path):
    """With registers moved into block RAMs and multipliers, and operands into carry cells."""
    netlist = synthesize(folder / "top.v", top="top", workdir=tmp_path)
    assert netlist.brams
    passes(folder, f"read_json {netlist.path}", "write_verilog -noattr flow.v")
    text = (folder / "flow.v").read_text()
    assert '"OUTREG"' in text and ".REG_OUTPUT_CLK" in text
    assert simulate(folder, "ecp5", "flow.v") == "PASS: 14 words of 7 frames"
    # A test of the test: signed factors taken for unsigned ones.
    assert ".SIGNEDA(1'h1)" in text
    wrong = text.replace(".SIGNEDA(1'h1)", ".SIGNEDA(1'h0)").replace(
        ".SIGNEDB(1'h1)", ".SIGNEDB(1'h0)"
    )
    (folder / "wrong.v").write_text(wrong)
    assert "FAIL: word" in simulate(folder, "ecp5", "wrong.v")


@pytest.mark.parametrize("synthesis", ["synth_ecp5", "synth_nexus", "synth_xilinx"])
def test_any_yosys_takes_the_verilog_as_it_is(synthesis, tmp_path):
    """On a design as large as one that yosys aborted on, for wires named like bits of others."""
    network = make_network([("gru", 16), ("linear", 4)], 8)
    generate(network, tmp_path, config=derive_config(network, word_bits=64), name="top")
    passes(tmp_path, "read_verilog top.v", f"{synthesis} -top top")
