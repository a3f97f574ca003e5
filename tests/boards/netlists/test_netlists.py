# SPDX-License-Identifier: Apache-2.0
"""Netlists after synthesis, cell by cell, against golden: the bench beside a design runs them."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from amaranth.back import rtlil
from models import MODELS

from deltaloom.boards.ecp5.synthesis import synthesize
from deltaloom.boards.flow.build import board_core
from deltaloom.boards.flow.families import family_of
from deltaloom.boards.ice40.spram import words_together
from deltaloom.boards.registry import BOARDS
from deltaloom.boards.tools.process import silent
from deltaloom.golden.models.synthetic import make_frames, make_network
from deltaloom.hw.bus.axi import flat_ports
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.generate import generate
from deltaloom.sim.testbench import bench_files

pyosys = pytest.importorskip("pyosys")
SHARE = Path(pyosys.__file__).parent / "share"
SYNTHESIS = {"ecp5": "synth_ecp5", "ice40": "synth_ice40 -dsp", "gowin": "synth_gowin -noiopads"}
NETWORKS = {
    "gru": ([("gru", 5), ("linear", 16)], {"weight_bits": 8}, "multiplier"),
    "means": ([("ligru_norm_h", 5), ("linear", 16)], {"weight_bits": 8}, "multiplier"),
}
FRAMES = [make_frames(3, 14), make_frames(3, 10, seed=1)]
PASSED = "PASS: 384 words of 24 frames"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=NETWORKS)
def folder(request, tmp_path_factory):
    """A design and its bench."""
    layers, options, lanes = NETWORKS[request.param]
    network = make_network(layers, 3, threshold=1, **options)
    config = derive_config(network, word_bits=16, lane_kind=lanes)
    files = bench_files(network, config, FRAMES, "top")
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
    """As docs/integration.md has it: for iCE40 with its products kept."""
    synthesis = [f"{SYNTHESIS[family]} -top top"]
    if family == "ice40":
        first, second = (f"{synthesis[0]} -run {labels}" for labels in ("begin:coarse", "coarse:"))
        synthesis = [first, "setattr -set keep 1 w:*product_*", second]
    passes(folder, "read_verilog top.v", *synthesis, f"write_verilog -noattr {family}.v")
    assert simulate(folder, family, f"{family}.v") == PASSED


def test_the_flow_of_the_boards(folder, tmp_path):
    """With registers moved into block RAMs and multipliers, and operands into carry cells."""
    netlist = synthesize(folder / "top.v", top="top", workdir=tmp_path)
    assert netlist.brams
    passes(folder, f"read_json {netlist.path}", "write_verilog -noattr flow.v")
    text = (folder / "flow.v").read_text()
    assert '"OUTREG"' in text and ".REG_OUTPUT_CLK" in text
    assert simulate(folder, "ecp5", "flow.v") == PASSED
    # A test of the test: signed factors taken for unsigned ones.
    assert ".SIGNEDA(1'h1)" in text
    wrong = text.replace(".SIGNEDA(1'h1)", ".SIGNEDA(1'h0)").replace(
        ".SIGNEDB(1'h1)", ".SIGNEDB(1'h0)"
    )
    (folder / "wrong.v").write_text(wrong)
    assert "FAIL: word" in simulate(folder, "ecp5", "wrong.v")


def with_weights(bench, netlist, image, config):
    """The bench with the weights in the SPRAM's model, where a host would have loaded them."""
    cells = json.loads(netlist.path.read_text())["modules"]["top"]["cells"]
    (spram,) = (name for name, cell in cells.items() if cell["type"] == "SB_SPRAM256KA")
    together, bits = words_together(config.word_bits), config.word_bits
    words = image.contents["weights"]
    rows = [
        sum(word << n * bits for n, word in enumerate(words[at : at + together]))
        for at in range(0, len(words), together)
    ]
    load = "".join(f"    dut.\\{spram} .mem[{n}] = 16'd{row};\n" for n, row in enumerate(rows))
    head, tail = bench.rsplit("endmodule", 1)
    return f"{head}  initial begin\n    #1;\n{load}  end\nendmodule{tail}"


@pytest.mark.parametrize(
    ("name", "network", "hardwired", "cells"),
    [
        ("icebreaker", "gru", True, ("SB_RAM40_4KNR", "SB_MAC16", "SB_SPRAM256KA")),
        ("icebreaker", "means", True, ("SB_RAM40_4KNR", "SB_MAC16", "SB_SPRAM256KA")),
        ("tang_nano_9k", "gru", False, ("SDPX9B", "MULT18X18")),
    ],
)
def test_the_flow_of_other_families(tmp_path, name, network, hardwired, cells):
    """As `build` synthesizes for a board: its family's script, weights where that has them.

    ECP5's is the test above.
    """
    board = BOARDS[name]
    layers, options, _ = NETWORKS[network]
    network = make_network(layers, 3, threshold=1, **options)
    config = derive_config(network, word_bits=8)
    config = replace(config, hardwired=hardwired, counted=not hardwired)
    image = compile_network(network, config)
    core = board_core(config, image, board)
    text = rtlil.convert(
        core, name="top", ports=flat_ports(core), platform=board.platform(), emit_src=False
    )
    netlist = family_of(board).synthesize(text, top="top", workdir=tmp_path, progress=silent)
    for cell in cells:
        assert netlist.cells.get(cell), netlist.cells
    for file, content in bench_files(network, config, FRAMES, "top").items():
        (tmp_path / file).write_text(content)
    if "SB_SPRAM256KA" in cells:
        bench = (tmp_path / "top_tb.v").read_text()
        (tmp_path / "top_tb.v").write_text(with_weights(bench, netlist, image, config))
    passes(tmp_path, f"read_json {netlist.path}", "write_verilog -noattr flow.v")
    assert simulate(tmp_path, board.family, "flow.v") == PASSED


@pytest.mark.parametrize("synthesis", ["synth_ecp5", "synth_nexus", "synth_xilinx"])
def test_any_yosys_takes_the_verilog_as_it_is(synthesis, tmp_path):
    """On a design as large as one that yosys aborted on, for wires named like bits of others."""
    network = make_network([("gru", 16), ("linear", 4)], 8)
    generate(network, tmp_path, config=derive_config(network, word_bits=64), name="top")
    passes(tmp_path, "read_verilog top.v", f"{synthesis} -top top")
