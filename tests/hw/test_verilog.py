# SPDX-License-Identifier: Apache-2.0
"""The Verilog as a stranger's tools take it: plain Icarus benches, two designs, plain yosys."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from deltaloom.golden.engines.engine import run
from deltaloom.golden.models.synthetic import make_frames, make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.generate import generate

FRAMES = 6
BENCH = """
`timescale 1ns/1ps
module bench;
  reg clk = 0, rst = 1;
  always #5 clk = ~clk;
  reg signed [15:0] frames [0:{last}];
  integer sent = 0, got = 0;
  wire ready, valid, last;
  wire signed [15:0] word;
  {name} dut(
    .clk(clk), .rst(rst),
    .s_axis_tdata(frames[sent]), .s_axis_tvalid(!rst && sent <= {last}), .s_axis_tready(ready),
    .s_axis_tlast(sent % {inputs} == {inputs} - 1), .s_axis_tuser({{1'b0, sent == 0}}),
    .m_axis_tdata(word), .m_axis_tvalid(valid), .m_axis_tready(1'b1), .m_axis_tlast(last),
    .s_axil_awaddr(24'd0), .s_axil_awprot(3'd0), .s_axil_awvalid(1'b0), .s_axil_wdata(32'd0),
    .s_axil_wstrb(4'd0), .s_axil_wvalid(1'b0), .s_axil_bready(1'b1), .s_axil_araddr(24'd0),
    .s_axil_arprot(3'd0), .s_axil_arvalid(1'b0), .s_axil_rready(1'b1));
  initial begin
    $readmemh("frames.hex", frames);
    repeat (4) @(negedge clk);
    rst = 0;
  end
  always @(posedge clk) begin
    if (!rst && ready === 1'b1 && sent <= {last}) sent <= sent + 1;
    if (!rst && valid !== 1'b0) begin
      $display("%d", word);
      got = got + 1;
      if (got == {words}) $finish;
    end
  end
  initial #1000000 $finish;
endmodule
"""


@pytest.fixture(scope="module")
def network():
    return make_network([("gru", 5), ("linear", 2)], 3)


@pytest.fixture(scope="module")
def design(network, tmp_path_factory):
    return generate(network, tmp_path_factory.mktemp("rtl"), config=small(network))


def small(network):
    return derive_config(network, word_bits=32)


def icarus(standard, folder, *files):
    """What a simulation of these files prints, line by line."""
    program = folder / f"{standard}.vvp"
    for command in (
        ["iverilog", f"-g{standard}", "-o", program, *files],
        ["vvp", "-n", program],
    ):
        process = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stderr + process.stdout
    return process.stdout.split("\n")


def bench(network, folder, name="deltaloom"):
    """(file of a plain bench that feeds some frames, the words that must come)."""
    frames = make_frames(network.inputs, FRAMES)
    (result,) = run(network, [frames])
    lines = [f"{int(word) & 0xFFFF:04x}" for word in frames.reshape(-1)]
    (folder / "frames.hex").write_text("\n".join(lines) + "\n")
    file = folder / "bench.v"
    file.write_text(
        BENCH.format(
            last=frames.size - 1, inputs=network.inputs, words=result.outputs.size, name=name
        )
    )
    return file, result.outputs.reshape(-1).tolist()


@pytest.mark.parametrize("standard", ["2005", "2009", "2012", "2005-sv"])
def test_a_plain_bench_sees_goldens_words_from_the_first(network, design, tmp_path, standard):
    file, wanted = bench(network, tmp_path)
    lines = icarus(standard, tmp_path, file, design.verilog)
    words = [line.strip() for line in lines if re.fullmatch(r"\s*(-?\d+|[xXzZ]+)\s*", line)]
    assert words == [str(word) for word in wanted]


def test_the_text_has_nothing_that_tools_stumble_over(design):
    text = design.verilog.read_text()
    assert "always @*" not in text  # an initial value is no event in SystemVerilog
    assert "[-1:0]" not in text
    assert re.findall(r"\\\S+\[\d+\]\s", text) == []  # a wire with a bit's name
    assert str(Path.cwd()) not in text and "src =" not in text


def test_no_wire_of_the_text_is_without_a_reader_or_a_driver_of_its_width(design, tmp_path):
    """yosys reads it without a warning."""
    code = f"""
from pyosys import libyosys
design = libyosys.Design()
libyosys.run_pass("read_verilog {design.verilog}", design)
libyosys.run_pass("hierarchy -check -top deltaloom", design)
libyosys.run_pass("proc", design)
libyosys.run_pass("check -assert", design)
"""
    import sys

    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stdout[-2000:]
    assert "Warning" not in process.stdout + process.stderr


def test_two_designs_in_one(network, tmp_path):
    other = make_network([("lstm", 4)], 3, seed=5)
    one = generate(network, tmp_path / "one", config=small(network), name="first")
    two = generate(other, tmp_path / "two", config=small(other), name="second")
    modules = [re.findall(r"^module (\S+?)[ (]", d.verilog.read_text(), re.M) for d in (one, two)]
    assert not set(modules[0]) & set(modules[1])
    assert all(m.lstrip("\\").startswith("first") for m in modules[0])
    for name, net in (("first", network), ("second", other)):
        file, wanted = bench(net, tmp_path, name)
        lines = icarus("2012", tmp_path, "-s", "bench", file, one.verilog, two.verilog)
        assert [int(line) for line in lines if line.strip()] == wanted


def test_a_name_that_is_no_identifier_is_refused(network, tmp_path):
    from deltaloom.golden.errors import UserError

    for bad in ("", "1st", "a b", "module", "x.y", "\\x"):
        with pytest.raises(UserError, match="name"):
            generate(network, tmp_path / "rtl", name=bad)
    assert not (tmp_path / "rtl").exists()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ecp5", "ice40", "gowin", "nexus", "xilinx"])
def test_plain_yosys_synthesizes_it(network, design, family):
    code = f"""
from pyosys import libyosys
design = libyosys.Design()
libyosys.run_pass("read_verilog {design.verilog}", design)
libyosys.run_pass("synth_{family} -top deltaloom", design)
"""
    import sys

    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stdout[-2000:]


def test_words_are_not_all_alike(network):
    """Of the bench's stimulus: otherwise the comparison would prove little."""
    (result,) = run(network, [make_frames(network.inputs, FRAMES)])
    assert len(np.unique(result.outputs)) > 4
