# SPDX-License-Identifier: Apache-2.0
"""Small benches for users to start from: real frames in, golden's words compared.

One in plain Verilog, which Icarus and Verilator run as it is, and one in cocotb. Both read the
stream words of the same two files, one a line: `{tuser, tlast, tdata}` of s_axis and
`{tlast, tdata}` of m_axis.
"""

from collections.abc import Iterator, Sequence
from string import Template

import numpy as np

from ..golden.arithmetic import Ints
from ..golden.evaluation.networks import AnyNetwork, run_words
from ..hw.config import AcceleratorConfig
from .dut import instance, stream_facts
from .lint import waivers

FIRST, END = 1, 2
"""tuser of a sequence's first word, and of all words of its last frame."""
PATIENCE = 100_000
"""Clock cycles without an output word after which a bench gives up."""

VERILOG = Template("""\
// A minimal bench of $name: frames from ${name}_tb_in.hex in, words compared with golden's
// in ${name}_tb_out.hex. In this folder:
//   iverilog -g2012 -o ${name}_tb.vvp ${name}_tb.v $name.v && vvp -n ${name}_tb.vvp
//   verilator --binary -Wno-fatal --top-module ${name}_tb ${name}_tb.v $name.v
//   obj_dir/V${name}_tb
`timescale 1ns / 1ps

module ${name}_tb;
  localparam SENT = $sent;      // words of all frames
  localparam WANTED = $wanted;  // words of all outputs
  localparam PATIENCE = $patience;

  reg clk = 0;
  reg rst = 1;  // active high, synchronous
  always #5 clk = ~clk;

  reg [$in_top:0] in_words [0:SENT-1];     // {tuser, tlast, tdata}
  reg [$out_top:0] out_words [0:WANTED-1];  // {tlast, tdata}
  integer sent = 0;
  integer got = 0;
  integer waited = 0;

  wire sending = !rst && sent < SENT;
  wire [$in_top:0] next = in_words[sent < SENT ? sent : 0];
  wire ready;
  wire valid;
  wire last;
  wire [$data_top:0] word;

  // The network is in the design: nothing is written or read here.
$dut
  initial begin
    $$readmemh("${name}_tb_in.hex", in_words);
    $$readmemh("${name}_tb_out.hex", out_words);
    repeat (4) @(negedge clk);
    rst = 0;
  end

  always @(posedge clk)
    if (!rst) begin
      if (sending && ready) sent <= sent + 1;
      waited <= waited + 1;
      if (valid !== 1'b0) begin
        if ({valid, last, word} !== {1'b1, out_words[got]}) begin
          $$display("FAIL: word %0d is %h, not %h", got, {last, word}, out_words[got]);
          $$fatal(1);
        end
        if (got == WANTED - 1) begin
          $$display("PASS: %0d words of $frames frames", WANTED);
          $$finish;
        end
        got <= got + 1;
        waited <= 0;
      end else if (waited == PATIENCE) begin
        $$display("FAIL: no word %0d after %0d cycles", got, PATIENCE);
        $$fatal(1);
      end
    end
endmodule
""")

COCOTB = Template('''\
"""A minimal cocotb bench of $name: frames in, words compared with golden's.

Needs cocotb 2. In this folder: python test_$name.py icarus, or verilator.
"""

import sys
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

HERE = Path(__file__).resolve().parent
IN_BITS = $in_bits  # of s_axis_tdata
OUT_BITS = $out_bits  # of m_axis_tdata
UNUSED = ("awaddr", "awprot", "awvalid", "wdata", "wstrb", "wvalid", "araddr", "arprot", "arvalid")


def read(name):
    return [int(line, 16) for line in (HERE / f"${name}_tb_{name}.hex").read_text().split()]


async def send(dut):
    """All words, each until it is taken."""
    for word in read("in"):
        dut.s_axis_tdata.value = word & ((1 << IN_BITS) - 1)
        dut.s_axis_tlast.value = word >> IN_BITS & 1
        dut.s_axis_tuser.value = word >> IN_BITS + 1
        dut.s_axis_tvalid.value = 1
        await RisingEdge(dut.clk)
        while not dut.s_axis_tready.value:
            await RisingEdge(dut.clk)
    dut.s_axis_tvalid.value = 0


@cocotb.test(timeout_time=$timeout, timeout_unit="us")
async def words_are_goldens(dut):
    dut.rst.value = 1  # active high, synchronous
    for name in UNUSED:  # the network is in the design: nothing is written or read here
        getattr(dut, f"s_axil_{name}").value = 0
    for name in ("s_axis_tdata", "s_axis_tlast", "s_axis_tuser", "s_axis_tvalid"):
        getattr(dut, name).value = 0
    for name in ("s_axil_bready", "s_axil_rready", "m_axis_tready"):
        getattr(dut, name).value = 1
    Clock(dut.clk, 10, "ns").start()
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    cocotb.start_soon(send(dut))
    for n, wanted in enumerate(read("out")):
        await RisingEdge(dut.clk)
        while not dut.m_axis_tvalid.value:
            await RisingEdge(dut.clk)
        word = int(dut.m_axis_tlast.value) << OUT_BITS | int(dut.m_axis_tdata.value)
        assert word == wanted, f"word {n} is {word:#x}, not {wanted:#x}"


if __name__ == "__main__":
    from cocotb_tools.runner import get_results, get_runner

    simulator = sys.argv[1] if len(sys.argv) > 1 else "icarus"
    runner = get_runner(simulator)
    runner.build(
        sources=[HERE / "$name.v"],
        hdl_toplevel="$name",
        build_dir=HERE / f"sim_{simulator}",
        build_args=["-Wno-fatal"] if simulator == "verilator" else [],
        timescale=("1ns", "1ps"),
    )
    results = runner.test(hdl_toplevel="$name", test_module="test_$name", test_dir=HERE)
    sys.exit(min(get_results(results)[1], 1))
''')


def bench_files(
    network: AnyNetwork, config: AcceleratorConfig, frames: Sequence[Ints], name: str
) -> dict[str, str]:
    """Both benches of the design `name`, their words, the linter's waivers: texts by file name.

    frames: words [steps, inputs] of each sequence: int16, int8 codes or tokens.
    """
    results = run_words(network, list(frames), terms=config.lane_kind == "shift_add")
    bits = 16 * config.input_elements, 16 * config.output_elements
    sent = [word for sequence in frames for word in input_words(sequence, config.input_elements)]
    wanted = [
        word
        for result in results
        for frame in result.outputs
        for word in stream_words(frame, config.output_elements, 0)
    ]
    steps = sum(len(sequence) for sequence in frames)
    facts = {
        "name": name,
        "sent": len(sent),
        "wanted": len(wanted),
        "frames": steps,
        "patience": PATIENCE,
        "in_bits": bits[0],
        "out_bits": bits[1],
        "dut": instance(name, config),
        **stream_facts(config),
        "timeout": 1000 * (1 + steps),
    }
    return {
        f"{name}_tb.v": VERILOG.substitute(facts),
        f"test_{name}.py": COCOTB.substitute(facts),
        f"{name}_tb_in.hex": hex_lines(sent, bits[0] + 3),
        f"{name}_tb_out.hex": hex_lines(wanted, bits[1] + 1),
        **waivers(name),
    }


def commands(name: str) -> tuple[str, ...]:
    """What runs the benches and the linter, in the design's folder."""
    bench = f"{name}_tb"
    files = f"{bench}.v {name}.v"
    return (
        f"iverilog -g2012 -o {bench}.vvp {files} && vvp -n {bench}.vvp",
        f"verilator --binary -Wno-fatal --top-module {bench} {files} && obj_dir/V{bench}",
        f"python test_{name}.py icarus",
        f"verilator --lint-only -Wall {name}.vlt {name}.v",
    )


def input_words(sequence: Ints, elements: int) -> Iterator[int]:
    """A sequence's words of s_axis, {tuser, tlast, tdata}."""
    for step, frame in enumerate(sequence):
        user = END * (step == len(sequence) - 1)
        for n, word in enumerate(stream_words(frame, elements, user)):
            yield word | (FIRST * (step == 0 and n == 0)) << (16 * elements + 1)


def stream_words(frame: Ints, elements: int, user: int) -> Iterator[int]:
    """A frame's stream words, {tuser, tlast, tdata}, the first element lowest."""
    padded = np.concatenate([frame, np.zeros(-len(frame) % elements, np.int64)])
    rows = padded.reshape(-1, elements)
    for n, row in enumerate(rows):
        data = sum((int(value) & 0xFFFF) << 16 * k for k, value in enumerate(row))
        yield data | (n == len(rows) - 1) << 16 * elements | user << (16 * elements + 1)


def hex_lines(words: Sequence[int], bits: int) -> str:
    """Words for $readmemh, one a line."""
    return "".join(f"{word:0{(bits + 3) // 4}x}\n" for word in words)
