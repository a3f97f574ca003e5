# SPDX-License-Identifier: Apache-2.0
"""An `SdramStore` in Icarus beside the chip that checks it, for tests."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from amaranth.hdl import Signal

from ...boards.tools import toolchain
from ...hw.bus.axi import flat_ports
from ...hw.datapath.fetch.sdram_store import SdramStore
from ...hw.datapath.fetch.sdram_words import word_burst
from ...hw.sdram_chips import SdramChip
from ...hw.verilog import to_verilog
from ..memory.chip import PORTS, SOURCE, parameters

__all__ = ["Access", "StoreRun", "run_store"]

LOAD, READ, RESET = 0, 1, 2

BENCH = Template("""\
`timescale 1ns / 1ps
module bench;
  localparam COUNT = $count;
  reg clk = 0, rst = 1;
  always #5 clk = ~clk;
  reg [$top:0] ops [0:COUNT-1];  // {kind, idle cycles before it, address, word}
  integer n = 0, rest = 0, cycle = 0, asked = 0, answered = 0, most = 0, first = -1, last = 0;
  integer held = 0;
  wire [1:0] kind = n < COUNT ? ops[n][$top:$top-1] : 2'd3;
  wire [7:0] idle = ops[n < COUNT ? n : 0][$top-2:$top-9];
  wire [$address_top:0] address = ops[n < COUNT ? n : 0][$top-10:$bits];
  wire go = !rst && n < COUNT && rest == idle;
  wire ready, valid, room;
  wire [$word_top:0] word;
$wires
  // Words that are still to be answered are lost with a reset.
  wire quiet = answered == asked;
  store dut (
      .clk(clk), .rst(rst),
      .store_request_valid(go && kind == 1), .store_request_payload(address),
      .store_request_ready(ready),
      .store_response_valid(valid), .store_response_payload(word),
      .load_en(go && kind == 0 && room), .load_addr(address), .load_data(ops[n < COUNT ? n : 0]),
      .load_ready(room),
      $pins
  );
  sdram_pads #($parameters) chip (.clk(clk), $pads, .errors());
  initial begin
    $$readmemh("ops.hex", ops);
    repeat (4) @(negedge clk);
    rst = 0;
  end
  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (held != 0) begin
      held <= held - 1;
      if (held == 1) rst <= 0;
    end
    if (!rst && n < COUNT && rest != idle) rest <= rest + 1;
    if (go && (kind == 1 && ready || kind == 0 && room || kind == 2)) begin
      n <= n + 1;
      rest <= 0;
      if (kind == 1) begin
        asked = asked + 1;
        if (first < 0) first = cycle;
      end
      if (kind == 2) begin
        rst <= 1;
        held <= 3;
        answered = asked;
        $$display("reset");
      end
    end
    // An answer in the cycle of a reset is lost with the others.
    if (valid && !rst && !(go && kind == 2)) begin
      $$display("word %h", word);
      answered = answered + 1;
      last = cycle;
    end
    if (asked - answered > most) most = asked - answered;
    if (n == COUNT && quiet) begin
      $$display("end %0d %0d %0d", last - first, most, cycle);
      $$finish;
    end
    if (cycle > $patience) begin
      $$display("stuck at %0d of %0d, %0d open", n, COUNT, asked - answered);
      $$fatal(1);
    end
  end
endmodule
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """What a bench does: load a word, ask for one, or reset (address < 0).

    word: to be loaded; None asks. idle: cycles before it, 0 to 255.
    """

    address: int
    word: int | None = None
    idle: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreRun:
    """What came of it.

    Members
    -------
    words: answers in their order; None: a reset
    cycles: from the first request to the last answer
    outstanding: most requests that were open
    total: cycles of the whole run
    said: by the simulator
    """

    words: tuple[int | None, ...]
    cycles: int
    outstanding: int
    total: int
    said: str


def run_store(
    folder: Path,
    store: SdramStore,
    accesses: Sequence[Access],
    *,
    chip: SdramChip,
    clock_mhz: float,
    word_bits: int,
    words: int,
    patience: int = 100_000,
) -> StoreRun:
    """Run accesses one after the other on a store beside `chip`; words: that the store holds.

    AssertionError where the chip sees a rule broken, or the run does not end.
    """
    # A stream that is always ready has a constant for it.
    ports = {n: port for n, port in flat_ports(store).items() if isinstance(port[0], Signal)}
    bits = {name: len(signal) for name, (signal, _) in ports.items()}
    address_bits = store.address_bits
    top = word_bits + address_bits + 10 - 1
    lines = []
    for access in accesses:
        kind = RESET if access.address < 0 else READ if access.word is None else LOAD
        value = (kind << 8 | access.idle) << address_bits | max(access.address, 0)
        lines.append(f"{value << word_bits | (access.word or 0):x}\n")
    beats = word_bits // chip.dq_bits
    facts = {
        "count": len(accesses),
        "top": top,
        "bits": word_bits,
        "word_top": word_bits - 1,
        "address_top": address_bits - 1,
        "patience": patience,
        "wires": "".join(f"  wire [{bits[f'pins_{n}'] - 1}:0] pins_{n};\n" for n in PORTS),
        "pins": ", ".join(f".pins_{n}(pins_{n})" for n in PORTS),
        "pads": ", ".join(f".{n}(pins_{n})" for n in PORTS),
        "parameters": ", ".join(
            f".{name}({value})"
            for name, value in parameters(
                chip, clock_mhz=clock_mhz, burst=word_burst(beats), words=words * beats
            ).items()
        ),
    }
    (folder / "store.v").write_text(to_verilog(store, "store", ports), "utf-8")
    (folder / "bench.v").write_text(BENCH.substitute(facts), "utf-8")
    (folder / "ops.hex").write_text("".join(lines), "utf-8")
    tools = [toolchain.require(name) for name in ("iverilog", "vvp")]
    environment = toolchain.environment(*tools)
    files = ["bench.v", "store.v", str(SOURCE)]
    for command in (["iverilog", "-g2012", "-o", "bench.vvp", *files], ["vvp", "-n", "bench.vvp"]):
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError((done.stdout[-500:] + done.stderr[-500:]).strip())
    said = done.stdout
    if "violations" in said:
        raise AssertionError(said[-500:])
    found = re.findall(r"^(?:word (\S+)|(reset))$", said, re.MULTILINE)
    end = re.search(r"^end (\d+) (\d+) (\d+)$", said, re.MULTILINE)
    if end is None:
        raise AssertionError(said[-500:])
    return StoreRun(
        words=tuple(None if reset else int(word, 16) for word, reset in found),
        cycles=int(end[1]),
        outstanding=int(end[2]),
        total=int(end[3]),
        said=said,
    )
