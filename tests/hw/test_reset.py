# SPDX-License-Identifier: Apache-2.0
"""rst alone makes a design ready, whatever its registers hold before it: random, or unknown."""

import random
import re
import subprocess

import pytest

from deltaloom.golden.engines.engine import run
from deltaloom.golden.models.synthetic import Shape, make_frames, make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.generate import generate

FRAMES = 4
BENCH = """
`timescale 1ns/1ps
module bench;
  reg clk = 0, rst = 1;
  always #5 clk = ~clk;
  reg signed [15:0] frames [0:{last}];
  integer sent = 0, got = 0, cycle = 0, reset_at;
  wire ready, valid, last;
  wire signed [15:0] word;
  deltaloom dut(
    .clk(clk), .rst(rst),
    .s_axis_tdata(frames[sent]), .s_axis_tvalid(!rst && sent <= {last}), .s_axis_tready(ready),
    .s_axis_tlast(sent % {inputs} == {inputs} - 1),
    .s_axis_tuser({{sent > {last} - {inputs}, sent == 0}}),
    .m_axis_tdata(word), .m_axis_tvalid(valid), .m_axis_tready(1'b1), .m_axis_tlast(last),
    .s_axil_awaddr(24'd0), .s_axil_awprot(3'd0), .s_axil_awvalid(1'b0), .s_axil_wdata(32'd0),
    .s_axil_wstrb(4'd0), .s_axil_wvalid(1'b0), .s_axil_bready(1'b1), .s_axil_araddr(24'd0),
    .s_axil_arprot(3'd0), .s_axil_arvalid(1'b0), .s_axil_rready(1'b1));
  initial begin
    $readmemh("frames.hex", frames);
    reset_at = 0;
    if (!$value$plusargs("reset_at=%d", reset_at)) reset_at = 0;
    @(negedge clk);
    rst = 0;
  end
  always @(negedge clk) begin
    cycle = cycle + 1;
    if (cycle > 2 && cycle == reset_at) begin
      rst = 1;
      #1 if (valid !== 1'b0) $display("valid in reset");
      $display("reset");
    end else if (cycle > 2) rst = 0;
  end
  always @(posedge clk) begin
    if (rst) begin
      sent <= 0;
      got <= 0;
    end else begin
      if (ready === 1'b1 && sent <= {last}) sent <= sent + 1;
      if (valid !== 1'b0) begin
        $display("word %d", word);
        got <= got + 1;
        if (got == {words} - 1) $finish;
      end
    end
  end
  initial #200000 $finish;
endmodule
"""
NETWORKS = {
    "frames": ([("gru", 5), ("linear", 2)], 3),
    "sequences": ([Shape(kind="lstm", units=3, both=True), ("linear", 2)], 2),
}


@pytest.fixture(scope="module", params=NETWORKS)
def design(request, tmp_path_factory):
    """(folder with the bench, the Verilog's text, the words that must come)."""
    network = make_network(*NETWORKS[request.param])
    folder = tmp_path_factory.mktemp("rtl")
    made = generate(network, folder, config=derive_config(network, word_bits=32, frames=FRAMES))
    frames = make_frames(network.inputs, FRAMES)
    (result,) = run(network, [frames])
    lines = [f"{int(word) & 0xFFFF:04x}" for word in frames.reshape(-1)]
    (folder / "frames.hex").write_text("\n".join(lines) + "\n")
    facts = {"last": frames.size - 1, "inputs": network.inputs, "words": result.outputs.size}
    (folder / "bench.v").write_text(BENCH.format(**facts))
    return folder, made.verilog.read_text(), result.outputs.reshape(-1).tolist()


def started_from(text, seed):
    """The Verilog with other first values of its registers: random ones, or x without a seed.

    Memories keep theirs, and so does the network's record, which is part of the image as they are.
    """
    rng = random.Random(seed)

    def other(match):
        name, bits = match[1], int(match[2])
        if name.endswith(" record"):
            return match[0]
        value = "x" if seed is None else f"{rng.getrandbits(bits):x}"
        return f"{name} = {bits}'h{value};"

    changed, count = re.subn(r"^(\s*reg .*?) = (\d+)'h[0-9a-f]+;", other, text, flags=re.M)
    assert count > 100
    return changed


def words(folder, text, *plusargs):
    """All lines that the bench prints."""
    (folder / "started.v").write_text(text)
    for command in (
        ["iverilog", "-g2012", "-o", "a.vvp", "bench.v", "started.v"],
        ["vvp", "-n", "a.vvp", *plusargs],
    ):
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    return [" ".join(line.split()) for line in ran.stdout.splitlines()]


@pytest.mark.parametrize("seed", [None, 0, 1, 2, 3])
def test_one_cycle_of_reset_is_enough(design, seed):
    folder, text, wanted = design
    assert words(folder, started_from(text, seed)) == [f"word {w}" for w in wanted]


@pytest.mark.parametrize("at", [40, 300])
def test_a_reset_of_one_cycle_in_the_middle(design, at):
    folder, text, wanted = design
    lines = words(folder, text, f"+reset_at={at}")
    before = lines.index("reset")
    assert lines[:before] == [f"word {w}" for w in wanted[:before]]
    assert lines[before + 1 :] == [f"word {w}" for w in wanted]
