# SPDX-License-Identifier: Apache-2.0
import subprocess

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from deltaloom.boards.asic.library import read_library
from deltaloom.boards.asic.macros import (
    Macro,
    MacroModel,
    MacroPlatform,
    black_boxes,
    liberty,
    models,
)

SKY130 = MacroModel(node=130, voltage=1.8)
HOROWITZ = MacroModel(node=45, voltage=0.9)


@pytest.mark.parametrize(
    ("macro", "area"),
    [(Macro(256, 32), 479.78 * 397.5), (Macro(512, 32), 683.1 * 416.54)],
)
def test_the_area_goes_through_the_published_macros(macro, area):
    assert SKY130.area(macro) == pytest.approx(area, rel=1e-3)
    assert MacroModel(node=260, voltage=1.8).area(macro) == pytest.approx(4 * area, rel=1e-3)


@pytest.mark.parametrize(("kilobytes", "picojoules"), [(8, 10), (32, 20), (1024, 113)])
def test_the_energy_goes_through_the_published_caches(kilobytes, picojoules):
    macro = Macro(kilobytes * 8192 // 64, 64)
    assert HOROWITZ.access(macro) == pytest.approx(picojoules * 1e-12, rel=5e-3)
    double = MacroModel(node=90, voltage=1.8)
    assert double.access(macro) == pytest.approx(8 * picojoules * 1e-12, rel=5e-3)


def test_the_leakage_goes_through_the_published_macros():
    assert SKY130.leakage(Macro(256, 32)) == pytest.approx(0.912e-6, rel=2e-3)
    assert SKY130.leakage(Macro(1024, 32)) == pytest.approx(2.411e-6, rel=2e-3)


class Holder(wiring.Component):
    """A memory of so many words, with read ports in a domain."""

    def __init__(self, depth, width, *, domain="sync", reads=1, writes=1, transparent=False):
        self.memory = Memory(shape=width, depth=depth, init=[])
        self.facts = domain, reads, writes, transparent
        super().__init__({"addr": In(range(max(depth, 2))), "data": Out(width), "word": In(width)})

    def elaborate(self, platform):
        m = Module()
        domain, reads, writes, transparent = self.facts
        m.submodules.memory = self.memory
        ports = [self.memory.write_port() for _ in range(writes)]
        for port in ports:
            m.d.comb += [port.addr.eq(self.addr), port.data.eq(self.word), port.en.eq(1)]
        read = [
            self.memory.read_port(domain=domain, transparent_for=[ports[0]] if transparent else [])
            for _ in range(reads)
        ]
        values = []
        for n, port in enumerate(read):
            m.d.comb += port.addr.eq(self.addr ^ n)
            values.append(port.data)
        m.d.comb += self.data.eq(sum(values, Signal()))
        return m


@pytest.mark.parametrize(
    ("holder", "macros"),
    [
        (Holder(64, 33), 1),
        (Holder(64, 33, reads=2), 2),
        (Holder(64, 32), 0),  # not above the size
        (Holder(15, 1000), 0),  # columns without rows
        (Holder(64, 33, domain="comb"), 0),
        (Holder(64, 33, transparent=True), 0),
        (Holder(64, 33, writes=2), 0),
        (Holder(64, 33, writes=0), 0),  # a table of constants
    ],
)
def test_large_simple_memories_are_macros(holder, macros):
    platform = MacroPlatform(2048)
    text = rtlil.convert(holder, name="top", platform=platform)
    assert text.count("cell \\deltaloom_ram_64x33 ") == macros
    assert text.count("memory width") == (0 if macros else 1)
    assert platform.macros == ({Macro(64, 33)} if macros else set())


BENCH = """
`timescale 1ns / 1ps
module bench;
  reg clk = 0; reg ren = 0, wen = 0; reg [4:0] raddr, waddr; reg [10:0] wdata;
  wire [10:0] rdata;
  {name} dut (clk, ren, raddr, rdata, wen, waddr, wdata);
  reg [22:0] steps [0:{last}];
  integer n;
  initial begin
    $readmemb("steps.txt", steps);
    for (n = 0; n <= {last}; n = n + 1) begin
      {{ren, raddr, wen, waddr, wdata}} = steps[n];
      #5 clk = 1;  // the inputs change at the edge, as behind gates without delays
      {{ren, raddr, wen, waddr, wdata}} = ~steps[n];
      #5 clk = 0;
      $display("%b", rdata);
    end
    $display("%0d %0d", dut.reads, dut.writes);
  end
endmodule
"""


def test_the_model_is_a_memory_that_knows_nothing_at_first(tmp_path):
    """Against a list: X before the first write, X in a collision, the last word held."""
    rng = np.random.default_rng(3)
    macro, steps = Macro(32, 11), 400
    stored, held = ["x" * 11] * 32, "x" * 11
    lines, wanted = [], []
    for _ in range(steps):
        ren, wen = rng.integers(0, 2, 2)
        raddr, waddr = rng.integers(0, 8, 2)
        word = format(rng.integers(0, 1 << 11), "011b")
        lines.append(f"{ren}{raddr:05b}{wen}{waddr:05b}{word}")
        if ren:
            held = "x" * 11 if wen and raddr == waddr else stored[raddr]
        if wen:
            stored[waddr] = word
        wanted.append(held)
    (tmp_path / "steps.txt").write_text("\n".join(lines))
    (tmp_path / "macros.v").write_text(models([macro]))
    (tmp_path / "bench.v").write_text(BENCH.format(name=macro.name, last=steps - 1))
    subprocess.run(
        ["iverilog", "-g2005", "-o", "bench", "bench.v", "macros.v"], cwd=tmp_path, check=True
    )
    run = subprocess.run(
        ["vvp", "-n", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    *got, counts = run.stdout.split("\n")[:-1]
    assert got == wanted
    assert sum("x" in word for word in wanted) > 20
    reads = sum(line[0] == "1" for line in lines)
    writes = sum(line[6] == "1" for line in lines)
    assert counts == f"{reads} {writes}"


def test_black_boxes_and_liberty_have_the_ports(cells, tmp_path):
    macro = Macro(100, 3)
    box = black_boxes([macro])
    assert "(* blackbox *)\nmodule deltaloom_ram_100x3 (clk, ren, raddr, rdata" in box
    assert "input [6:0] raddr;" in box
    assert "output [2:0] rdata;" in box
    file = tmp_path / "macros.lib"
    inverter = "cell (INV) { pin (A) { direction : input; } pin (Y) { direction : output; "
    extra = inverter + 'function : "!A"; } } cell (FF) { ff (Q, QN) { next_state : "D"; } } }'
    file.write_text(liberty([macro], SKY130, cells).rstrip().removesuffix("}") + extra)
    (found,) = [c for c in read_library(file).cells.values() if c.name == macro.name]
    assert found.area == pytest.approx(SKY130.area(macro), abs=1)
    assert found.leakage == pytest.approx(SKY130.leakage(macro), rel=1e-3)
