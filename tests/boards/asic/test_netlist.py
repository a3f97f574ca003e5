# SPDX-License-Identifier: Apache-2.0
import json
import re
import subprocess
from pathlib import Path

import pytest

from deltaloom.boards.asic.macros import Macro, models
from deltaloom.boards.asic.netlist import PartArea, areas, part_of, read_netlist

TINY_MODELS = Path(__file__).parent / "tiny.v"


@pytest.mark.parametrize(
    ("module", "part"),
    [
        ("deltaloom", "glue"),
        ("deltaloom.core.store", "weight memory"),
        ("deltaloom.core.array", "lanes"),
        ("deltaloom.core.drained$213", "accumulators"),
        ("deltaloom.core.input12", "encoders"),
        ("deltaloom.registers", "bus"),
        ("deltaloom.core.newcomer", "glue"),
    ],
)
def test_modules_belong_to_components(module, part):
    assert part_of(module) == part


def test_names_are_plain_and_each_its_own(small):
    netlist = small
    assert list(netlist.modules) == ["deltaloom", "deltaloom_core_array"]
    assert netlist.paths == {"deltaloom_core_array": "core_array"}
    top, lanes = netlist.modules.values()
    assert [i.name for i in top.instances] == ["U1", "core_array", "store", "U2"]
    assert [i.name for i in lanes.instances] == ["q_0_reg", "sum_value_reg", "U1", "U2"]
    assert top.wires == ["store_data_0", "store_data_1", "module_2", "n5"]  # a keyword is none
    assert lanes.wires == ["odd_name_3", "sum_value"]
    assert top.aliases == [("z", "a[0]"), ("one", "1'b1")]
    assert lanes.ports == [
        ("clk", "input", 1), ("d", "input", 1), ("q_0", "output", 1), ("q_1", "output", 1),
    ]  # fmt: skip


def test_ports_whose_plain_names_are_one_stay_apart(cells, tmp_path):
    """Whatever the order in which the module and its instance have them."""
    ports = {
        "q_0": ("output", [3]),
        "a.b": ("input", [4]),
        "a_b": ("input", [5]),
        "q": ("output", [4, 5]),
    }
    part = {
        "ports": {name: {"direction": d, "bits": bits} for name, (d, bits) in ports.items()},
        "cells": {"g": {"type": "INV", "connections": {"A": [4], "Y": [3]}}},
        "netnames": {},
    }
    nets = {"q": [12, 13], "a_b": [11], "q_0": [14], "a.b": [10]}
    top = {
        "ports": {"x": {"direction": "input", "bits": [10, 11]}},
        "cells": {"part": {"type": "deltaloom.part", "connections": nets}},
        "netnames": {},
    }
    file = tmp_path / "netlist.json"
    file.write_text(json.dumps({"modules": {"deltaloom": top, "deltaloom.part": part}}))
    netlist = read_netlist(file, cells)
    module = netlist.modules["deltaloom_part"]
    (instance,) = netlist.top.instances
    (gate,) = module.instances
    # the gate inverts what the top's x[0] is, into what the top has as net 14
    assert instance.pins[gate.pins["A"][0]] == ("x[0]",)
    assert instance.pins[gate.pins["Y"][0]] == ("n14",)
    outputs = dict(module.aliases)
    by_net = {nets: pin for pin, nets in instance.pins.items()}
    assert instance.pins[outputs[by_net[("n12",)]]] == ("x[0]",)
    assert instance.pins[outputs[by_net[("n13",)]]] == ("x[1]",)


def test_areas_are_by_component(cells, small):
    found = areas(small, cells, {"deltaloom_ram_32x2": 500.0})
    assert found == {
        "lanes": PartArea(cells=4, flip_flops=2, cell_area=16.5, macros=0, macro_area=0),
        "glue": PartArea(cells=2, flip_flops=0, cell_area=3.5, macros=1, macro_area=500.0),
    }


BENCH = """
`timescale 1ns / 1ps
module bench;
  reg clk = 0; reg [1:0] a; wire [1:0] y; wire z, one;
  deltaloom dut (.clk(clk), .a(a), .y(y), .z(z), .one(one));
  integer n;
  initial for (n = 0; n < 16; n = n + 1) begin
    a = n[1:0] ^ {n[2], n[3]};
    #10 clk = 1;
    #10 clk = 0;
    $display("%b %b %b %b", a, y, z, one);
  end
endmodule
"""


def test_the_verilog_is_the_netlist(small, tmp_path):
    """What the cells do, by hand: q0 is NAND(a) a cycle later, q1 the XOR of it with q0 before."""
    (tmp_path / "net.v").write_text(small.verilog())
    (tmp_path / "macros.v").write_text(models([Macro(32, 2)]))
    (tmp_path / "bench.v").write_text(BENCH)
    sources = ["bench.v", "net.v", "macros.v", str(TINY_MODELS)]
    subprocess.run(
        ["iverilog", "-g2005", "-gspecify", "-o", "bench", *sources], cwd=tmp_path, check=True
    )
    run = subprocess.run(
        ["vvp", "-n", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    lines = re.findall(r"^([01]{2}) ([01x]{2}) ([01]) ([01])$", run.stdout, re.MULTILINE)
    assert len(lines) == 16
    before = "x"
    for a, y, z, one in lines:
        nand = "0" if a == "11" else "1"
        other = "x" if before == "x" else str(int(nand != before))
        assert (y, z, one) == (other + nand, a[1], "1")
        before = nand
