# SPDX-License-Identifier: Apache-2.0
"""Our models of block RAMs and multipliers against plain Verilog that yosys maps to them.

What yosys takes a cell to do is what it maps to it; so a memory in each of its write modes, of one
port, of two and with byte enables, and products of each size and sign, must give the same words as
the Verilog that they were made from.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from models import MODELS

pyosys = pytest.importorskip("pyosys")
SHARE = Path(pyosys.__file__).parent / "share"
SYNTHESIS = {"ecp5": "synth_ecp5", "gowin": "synth_gowin -noiopads"}
pytestmark = pytest.mark.slow

ONE_PORT = """
module part(input clk, en, we, input [3:0] be, input [9:0] a, b, input [35:0] d, output [35:0] q);
  (* ram_style = "block" *) reg [17:0] mem [0:1023];
  reg [17:0] r;
  integer n;
  initial begin r = 0; for (n = 0; n < 1024; n = n + 1) mem[n] = n * 37 + 5; end
  assign q = r;
  always @(posedge clk) if (en) begin
    BODY
  end
endmodule
"""
BODIES = {
    "no change": "if (we) mem[a] <= d[17:0]; else r <= mem[a];",
    "new": "if (we) begin mem[a] <= d[17:0]; r <= d[17:0]; end else r <= mem[a];",
    "old": "if (we) mem[a] <= d[17:0]; r <= mem[a];",
}
TWO_PORTS = """
module part(input clk, en, we, input [3:0] be, input [9:0] a, b, input [35:0] d, output [35:0] q);
  (* ram_style = "block" *) reg [35:0] mem [0:511];
  reg [35:0] r;
  integer n;
  initial begin r = 0; for (n = 0; n < 512; n = n + 1) mem[n] = n * 36'd98765431 + 7; end
  assign q = r;
  always @(posedge clk) begin
    for (n = 0; n < 4; n = n + 1) if (we && be[n]) mem[a[9:1]][9 * n +: 9] <= d[9 * n +: 9];
    if (en) r <= mem[b[9:1]];
  end
endmodule
"""
PRODUCT = """
module part(input clk, en, we, input [3:0] be, input [9:0] a, b, input [35:0] d, output [35:0] q);
  wire SIGN [WIDTH - 1:0] x = d[WIDTH - 1:0];
  wire SIGN [WIDTH - 1:0] y = {d[17:0], d[35:18]} >> 3;
  wire SIGN [2 * WIDTH - 1:0] p = x * y;
  assign q = p;
endmodule
"""
BENCH = """
`timescale 1ns / 1ps
module bench;
  reg clk = 0, en = 0, we = 0;
  reg [3:0] be = 0;
  reg [9:0] a = 0, b = 0;
  reg [35:0] d = 0;
  wire [35:0] wanted, got;
  integer n, seed = 7;
  part right (clk, en, we, be, a, b, d, wanted);
  mapped netlist (clk, en, we, be, a, b, d, got);
  initial begin
    for (n = 0; n < 4000; n = n + 1) begin
      {en, we, be} = $random(seed);
      a = $random(seed) & 10'h21f;  // often the same
      b = $random(seed) & 10'h21f;
      if (a[9:1] == b[9:1]) b = b ^ 10'h010;  // what is read then is anything
      d = {$random(seed), $random(seed)};
      #1 clk = 1;
      #1 if (got !== wanted) begin
        $display("FAIL %0d: %h, not %h", n, got, wanted);
        $finish;
      end
      clk = 0;
      #1;
    end
    $display("PASS");
    $finish;
  end
endmodule
"""


def compared(family, source, folder):
    """What the bench says of the source and its netlist, and the netlist."""
    (folder / "part.v").write_text(source)
    (folder / "bench.v").write_text(BENCH)
    (folder / "cells.v").write_text(MODELS[family](SHARE))
    code = "import sys\nfrom pyosys import libyosys\ndesign = libyosys.Design()\n"
    code += "for line in sys.argv[1:]:\n    libyosys.run_pass(line, design)\n"
    lines = ["read_verilog -sv part.v", f"{SYNTHESIS[family]} -top part", "rename part mapped"]
    command = [sys.executable, "-c", code, *lines, "write_verilog -noattr mapped.v"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-2000:]
    files = ["bench.v", "part.v", "mapped.v", "cells.v"]
    for command in (["iverilog", "-g2012", "-s", "bench", "-o", "a.vvp", *files], ["vvp", "a.vvp"]):
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.strip(), (folder / "mapped.v").read_text()


@pytest.mark.parametrize("mode", BODIES)
@pytest.mark.parametrize("family", SYNTHESIS)
def test_a_memory_of_one_port(family, mode, tmp_path):
    said, netlist = compared(family, ONE_PORT.replace("BODY", BODIES[mode]), tmp_path)
    assert re.search(r"\b(DP16KD|SPX9|SDPX9B|DPX9B) #", netlist)
    assert said == "PASS"


@pytest.mark.parametrize("family", SYNTHESIS)
def test_a_memory_of_two_ports_with_byte_enables(family, tmp_path):
    said, netlist = compared(family, TWO_PORTS, tmp_path)
    assert re.search(r"\b(DP16KD|SDPX9B) #", netlist)
    assert said == "PASS"


@pytest.mark.parametrize("sign", ["signed", ""])
@pytest.mark.parametrize("width", [9, 18])
@pytest.mark.parametrize("family", SYNTHESIS)
def test_a_product(family, width, sign, tmp_path):
    source = PRODUCT.replace("WIDTH", str(width)).replace("SIGN", sign)
    said, netlist = compared(family, source, tmp_path)
    assert "MULT" in netlist
    assert said == "PASS"


def test_a_wrong_model_is_found(tmp_path, monkeypatch):
    """A test of the test: a memory that keeps what it read while it is written."""
    right = MODELS["ecp5"]
    wrong = right(SHARE).replace('"WRITETHROUGH"', '"NEVER"')
    monkeypatch.setitem(MODELS, "ecp5", lambda share: wrong)
    said, netlist = compared("ecp5", ONE_PORT.replace("BODY", BODIES["new"]), tmp_path)
    assert '"WRITETHROUGH"' in netlist and said.startswith("FAIL")
