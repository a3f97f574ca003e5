# SPDX-License-Identifier: Apache-2.0
"""The bench of a mapped netlist, in plain Verilog: loads the image over the bus, sends the frames,
compares every word with golden's.

It is written beside the netlist, so that whoever places it can run it again. From the first frame
on it dumps all nets between cells; `toggles` counts them.
"""

from collections.abc import Sequence
from string import Template

from ...golden.arithmetic import Ints
from ...golden.evaluation.networks import AnyNetwork, run_words, thresholds_of
from ...hw.accelerator import windows
from ...hw.bus.register_map import REGISTER, place_windows
from ...hw.compiler.compile import compile_network
from ...hw.config import AcceleratorConfig
from ..dut import instance, stream_facts
from ..testbench import hex_lines, input_words, stream_words

BENCH = "deltaloom_gates_tb"
RESULT = "result.txt"
"""The file that the bench writes: its verdict, the cycles, and each macro's accesses."""
DUMP = "gates.vcd"
PERIOD_NS = 200
"""Of the simulated clock: longer than any path of cells with the delays of their own models."""
WRITING = {
    "s_axil_awaddr": "write[55:32]",
    "s_axil_awvalid": "awvalid",
    "s_axil_awready": "awready",
    "s_axil_wdata": "write[31:0]",
    "s_axil_wstrb": "4'd15",
    "s_axil_wvalid": "wvalid",
    "s_axil_wready": "wready",
    "s_axil_bresp": "bresp",
    "s_axil_bvalid": "bvalid",
}
"""The bus as the bench writes to it."""
PATIENCE = 100_000
"""Clock cycles without an answer or an output word after which the bench gives up."""

_BENCH = Template("""\
// Loads an image over AXI4-Lite into the mapped netlist, whose memories and registers are all X at
// first, sends frames and compares every output word with golden's. In this folder:
//   iverilog -g2005 -gspecify -o ${bench}.vvp ${bench}.v $files
//   vvp -n ${bench}.vvp && cat $result
`timescale 1ns / 1ps

module $bench;
  localparam WRITES = $writes;
  localparam SENT = $sent;
  localparam WANTED = $wanted;
  localparam PATIENCE = $patience;

  reg clk = 0;
  reg rst = 1;
  always #$half clk = ~clk;

  reg [55:0] writes [0:WRITES-1];  // {address, data}
  reg [$in_top:0] in_words [0:SENT-1];  // {tuser, tlast, tdata}
  reg [$out_top:0] out_words [0:WANTED-1];  // {tlast, tdata}
  integer result, written = 0, sent = 0, got = 0, waited = 0, cycle = 0, first = 0;
  reg loading = 1;
  reg awvalid = 0, wvalid = 0, sending = 0;
  wire [55:0] write = writes[written < WRITES ? written : 0];
  wire [$in_top:0] next = in_words[sent < SENT ? sent : 0];
  wire awready, wready, bvalid, ready, valid, last;
  wire [1:0] bresp;
  wire [$data_top:0] word;
  // Outputs as they are before an edge, whatever overtakes what at it.
  wire #0.001 aw_taken = awvalid & awready;
  wire #0.001 w_taken = wvalid & wready;
  wire #0.001 answered = bvalid;
  wire [1:0] #0.001 answer = bresp;
  wire #0.001 taken = sending & ready;
  wire #0.001 given = valid;
  wire [$out_top:0] #0.001 value = {last, word};

$dut
  initial begin
    $$readmemh("writes.hex", writes);
    $$readmemh("frames.hex", in_words);
    $$readmemh("words.hex", out_words);
    result = $$fopen("$result");
    repeat (8) @(negedge clk);
    rst = 0;
    awvalid = 1;
    wvalid = 1;
  end

  always @(posedge clk) if (!rst) begin
    cycle <= cycle + 1;
    waited <= waited + 1;
    if (waited == PATIENCE) begin
      $$fdisplay(result, "FAIL nothing for %0d cycles after %0d writes, %0d words", PATIENCE,
                 written, got);
      $$finish;
    end
    if (loading) begin
      if (aw_taken) awvalid <= #1 0;
      if (w_taken) wvalid <= #1 0;
      if (answered !== 1'b0) begin
        waited <= 0;
        if ({answered, answer} !== 3'b100) begin
          $$fdisplay(result, "FAIL the answer to write %0d is %b", written, {answered, answer});
          $$finish;
        end
        written <= #1 written + 1;
        if (written == WRITES - 1) begin
          loading <= 0;
          sending <= #1 1;
          first <= cycle + 1;
          #1;
$clear          if ($$test$$plusargs("dump")) begin
            $$dumpfile("$dump");
            $$dumpvars(1, $scopes);
          end
        end else begin
          awvalid <= #1 1;
          wvalid <= #1 1;
        end
      end
    end else begin
      if (taken) begin
        sent <= #1 sent + 1;
        sending <= #1 sent < SENT - 1;
      end
      if (given !== 1'b0) begin
        waited <= 0;
        if ({given, value} !== {1'b1, out_words[got]}) begin
          $$fdisplay(result, "FAIL word %0d is %h, not %h", got, value, out_words[got]);
          $$finish;
        end
        got <= got + 1;
        if (got == WANTED - 1) begin
          $$fdisplay(result, "PASS %0d", WANTED);
          $$fdisplay(result, "CYCLES %0d", cycle + 1 - first);
$counts          $$finish;
        end
      end
    end
  end
endmodule
""")


def bench_files(
    network: AnyNetwork,
    config: AcceleratorConfig,
    frames: Sequence[Ints],
    *,
    top: str,
    scopes: Sequence[str],
    macros: Sequence[str],
    sources: Sequence[str],
) -> dict[str, str]:
    """The bench and its words, as texts by file name.

    Parameters
    ----------
    frames: int16 [steps, inputs] of each sequence.
    top: the netlist's top module.
    scopes: its parts' instances, whose nets are dumped.
    macros: paths of the macros, PATH.INSTANCE.
    sources: the other files of a simulation, for the comment that says how to run it.
    """
    results = run_words(network, frames, terms=config.lane_kind == "shift_add")
    bits = 16 * config.input_elements, 16 * config.output_elements
    sent = [word for sequence in frames for word in input_words(sequence, config.input_elements)]
    wanted = [
        word
        for result in results
        for frame in result.outputs
        for word in stream_words(frame, config.output_elements, 0)
    ]
    writes = image_writes(network, config)
    counted = [f"dut.{macro}" for macro in macros]
    facts = {
        "bench": BENCH,
        "files": " ".join(sources),
        "result": RESULT,
        "dump": DUMP,
        "writes": len(writes),
        "sent": len(sent),
        "wanted": len(wanted),
        "patience": PATIENCE,
        "half": PERIOD_NS // 2,
        "dut": instance(top, config, WRITING),
        **stream_facts(config),
        "scopes": ", ".join(["dut", *(f"dut.{scope}" for scope in scopes)]),
        "clear": "".join(
            f"          {macro}.reads = 0;\n          {macro}.writes = 0;\n" for macro in counted
        ),
        "counts": "".join(
            f'          $fdisplay(result, "MACRO {name} %0d %0d", {macro}.reads, {macro}.writes);\n'
            for name, macro in zip(macros, counted, strict=True)
        ),
    }
    return {
        f"{BENCH}.v": _BENCH.substitute(facts),
        "writes.hex": hex_lines([address << 32 | value for address, value in writes], 56),
        "frames.hex": hex_lines(sent, bits[0] + 3),
        "words.hex": hex_lines(wanted, bits[1] + 1),
    }


def image_writes(network: AnyNetwork, config: AcceleratorConfig) -> list[tuple[int, int]]:
    """The writes (byte address, value) that load a network: its image, and its thresholds."""
    image = compile_network(network, config)
    thresholds = thresholds_of(network)
    return [
        *(
            write
            for place in place_windows(windows(config))
            for write in place.encode(image.contents[place.window.name])
        ),
        *(
            (REGISTER["THRESHOLD"].at(n), thresholds[entry.path])
            for n, entry in enumerate(image.lists)
        ),
    ]
