# SPDX-License-Identifier: Apache-2.0
import json
from itertools import pairwise
from pathlib import Path

import pytest

from deltaloom.boards.asic.clock_gates import find_gate
from deltaloom.boards.asic.clock_tree import clock_tree
from deltaloom.boards.asic.energy import Activity, EnergyModel
from deltaloom.boards.asic.library import read_library
from deltaloom.boards.asic.macros import MacroModel
from deltaloom.boards.asic.netlist import areas, read_netlist
from deltaloom.boards.asic.timing import analyse, sdc

TINY = Path(__file__).parent / "tiny.lib"
PLAIN = """cell (INV) { area : 1; pin (A) { direction : input; }
    pin (Y) { direction : output; function : "!A"; } }
  cell (AND) { area : 3; pin (A, B) { direction : input; }
    pin (Y) { direction : output; function : "(A & B)"; } }
  cell (FF) { ff (IQ, IQN) { next_state : "D"; clocked_on : "C"; } pin (C, D) { direction : input; }
    pin (Q) { direction : output; function : "IQ"; } }
  cell (CLEARED) { latch (IQ, IQN) { enable : "G"; data_in : "D"; clear : "R"; }
    pin (G, D, R) { direction : input; } pin (Q) { direction : output; function : "IQ"; } }"""
LOW = """cell (LOW) { latch (IQ, IQN) { enable : "!G"; data_in : "D"; }
    pin (G, D) { direction : input; } pin (Q) { direction : output; function : "IQ"; } }"""
INTEGRATED = """cell (GATE) { clock_gating_integrated_cell : "latch_posedge_precontrol";
    statetable ("CK E", "IQ") { table : "L L : - : L"; }
    pin (E) { direction : input; clock_gate_enable_pin : true; }
    pin (SE) { direction : input; clock_gate_test_pin : true; }
    pin (CK) { direction : input; clock : true; clock_gate_clock_pin : true; }
    pin (GCK) { direction : output; clock_gate_out_pin : true; } }"""


def library_of(tmp_path, *cells):
    file = tmp_path / "x.lib"
    file.write_text(f"library (x) {{ {' '.join([PLAIN, *cells])} }}")
    return read_library(file)


def test_a_gate_is_made_of_a_latch_and_an_and(cells):
    gate = find_gate(cells)
    assert gate.cells == ("INV", "LATCH", "AND2")
    assert "INV inverter (.A(clk), .Y(low));" in gate.verilog
    assert "LATCH latch (.D(ce), .G(low), .Q(held));" in gate.verilog
    assert "AND2 gate (.A(clk), .B(held), .Y(gclk));" in gate.verilog


def test_a_latch_that_is_open_while_low_needs_no_inverter(tmp_path):
    gate = find_gate(library_of(tmp_path, LOW))
    assert gate.cells == ("LOW", "AND")
    assert "LOW latch (.D(ce), .G(clk), .Q(held));" in gate.verilog


def test_an_integrated_gate_comes_first_and_its_scan_pin_is_low(tmp_path):
    library = library_of(tmp_path, LOW, INTEGRATED)
    gate = find_gate(library)
    assert gate.cells == ("GATE",)
    assert "GATE gate (.E(ce), .CK(clk), .GCK(gclk), .SE(1'b0));" in gate.verilog
    assert not library.cells["GATE"].flip_flop
    assert not library.cells["LOW"].flip_flop


def test_without_a_plain_latch_there_is_no_gate(tmp_path):
    assert find_gate(library_of(tmp_path)) is None


def port(direction, *bits):
    return {"direction": direction, "bits": list(bits)}


def cell(kind, **pins):
    return {"type": kind, "connections": {pin: [bit] for pin, bit in pins.items()}}


def two_behind_a_gate(cells, tmp_path, buffers=0):
    """Two flip-flops behind a gate in the lanes, and one that is not, which enables them; with so
    many buffers between the two, and half as many in front of the latch."""
    between, late = [4, *range(20, 20 + buffers)], [6, *range(40, 40 + buffers // 2)]
    lanes = {
        "ports": {"clk": port("input", 2), "d": port("input", 3), "q": port("output", 4, 5, 6)},
        "cells": {
            "inverter": cell("INV", A=2, Y=7),
            "latch": cell("LATCH", G=7, D=late[-1], Q=8),
            "gate": cell("AND2", A=2, B=8, Y=9),
            "one": cell("DFF", CLK=9, D=3, Q=4),
            "two": cell("DFF", CLK=9, D=between[-1], Q=5),
            "free": cell("DFF", CLK=2, D=3, Q=6),
            **{f"b{n}": cell("BUF", A=n, Y=m) for n, m in [*pairwise(between), *pairwise(late)]},
        },
        "netnames": {"gated": {"bits": [9]}, "held": {"bits": [8]}, "low": {"bits": [7]}},
    }
    top = {
        "ports": {"clk": port("input", 2), "d": port("input", 3), "q": port("output", 4, 5, 6)},
        "cells": {
            "array": {
                "type": "deltaloom.core.array",
                "connections": {"clk": [2], "d": [3], "q": [4, 5, 6]},
            }
        },
        "netnames": {},
    }
    file = tmp_path / "netlist.json"
    file.write_text(json.dumps({"modules": {"deltaloom": top, "deltaloom.core.array": lanes}}))
    return read_netlist(file, cells)


@pytest.fixture
def gated(cells, tmp_path):
    return two_behind_a_gate(cells, tmp_path)


def test_the_tree_has_the_gates_and_who_is_behind_them(gated, cells):
    tree = clock_tree(gated, cells, "clk")
    assert [(m.part, gate.kind, net) for m, gate, net in tree.gates] == [("lanes", "AND2", "gated")]
    kinds = {i.name: i.kind for i in gated.modules["deltaloom_core_array"].instances}
    assert sorted(kinds[name] for _, name in tree.cells) == ["AND2", "INV", "LATCH"]
    assert tree.gated == {"deltaloom": 0, "deltaloom_core_array": 2}
    area = areas(gated, cells, {}, tree.gated)["lanes"]
    assert (area.cells, area.flip_flops, area.gated) == (6, 3, 2)


def test_a_gated_clock_costs_what_passes_its_gate(gated, cells):
    """Ten cycles, three of them let through; by the numbers of tiny.lib, in pJ."""
    tree = clock_tree(gated, cells, "clk")
    model = EnergyModel(
        gated, cells, slews={}, macros=[], model=MacroModel(node=65, voltage=1.2), tree=tree
    )
    toggles = {"array.gated": 6, "array.low": 20, "array.held": 2}
    activity = Activity(frames=1, cycles=10, toggles=toggles, accesses={})
    found = model.run(activity, period_ns=10)["lanes"]
    gate, inverter = cells.cells["AND2"].outputs[0], cells.cells["INV"].outputs[0]
    latch = cells.cells["LATCH"].outputs[0]
    half, slew = 1.2**2 / 2, cells.slew

    def out(pin, load):
        inside = [power.energy(slew, load * 1e-12) for power in pin.powers]
        return sum(inside) / len(inside) * 1e12 + load * half

    root = 20 * half * (0.015 + 0.01 + cells.cells["AND2"].pins["A"].capacitance * 1e12)
    pins = (20 + 6 + 6) * 0.008 + 20 * 0.004
    driven = 6 * out(gate, 0.030) + 20 * out(inverter, 0.012)
    held = 2 * out(latch, cells.cells["AND2"].pins["B"].capacitance * 1e12)
    assert found.clock == pytest.approx(1e-12 * (root + pins + driven + held))
    assert found.logic == 0
    idle, _ = model.clock_and_leakage(period_ns=10)
    pins = 2 * (0.008 + 0.004)
    assert idle * 10e-9 == pytest.approx(1e-12 * (root / 10 + pins + 2 * out(inverter, 0.012)))


def test_the_constraints_name_the_gates(gated, cells):
    text = sdc(gated, cells, 5, clock_tree(gated, cells, "clk"))
    assert "#   core_array/U2\n" in text or "#   array/U2\n" in text
    assert "set_clock_gating_check -setup 0 -hold 0 [get_clocks clk]" in text


def analysed(netlist, cells, folder):
    (folder / "net.v").write_text(netlist.verilog())
    (folder / "net.sdc").write_text(sdc(netlist, cells, 5, clock_tree(netlist, cells, "clk")))
    files = {"cells": str(TINY), "netlist": "net.v", "sdc": "net.sdc", "macros": ""}
    return analyse(netlist, cells, folder, files=files, period_ns=5)


def test_an_enable_has_the_whole_cycle_up_to_its_gate(gated, cells, tmp_path, opensta):
    """By hand: a flip-flop's fall into an XOR's load, 0.008 pF, and a port's, 0.04 pF; through the
    open latch with that slew, into the AND; there it must be when the clock rises."""
    timing = analysed(gated, cells, tmp_path)
    assert "rror" not in (tmp_path / "sta.log").read_text()
    pin = cells.cells["AND2"].pins["B"].capacitance * 1e12
    rise = 0.15 + 0.2 * (0.048 - 0.01) / 0.09
    slew = 0.03 + 0.25 * (0.048 - 0.01) / 0.09
    fall = 0.16 + 0.18 * (0.048 - 0.01) / 0.09
    fall_slew = 0.03 + 0.2 * (0.048 - 0.01) / 0.09
    through = [
        at + base + 0.01 * (by - 0.02) / 0.18 + step * (pin - 0.01) / 0.09
        for at, by, base, step in ((rise, slew, 0.14, 0.2), (fall, fall_slew, 0.15, 0.18))
    ]
    assert timing.fmax_mhz == pytest.approx(1000 / max(through), rel=1e-3)
    assert timing.worst.slack_ns == pytest.approx(5 - max(through), abs=1e-3)


@pytest.mark.parametrize("buffers", [4, 6])
def test_the_worst_path_is_the_one_that_limits_the_clock(buffers, cells, tmp_path, opensta):
    """And not one into a latch that borrows, whose slack is less at the least period."""
    timing = analysed(two_behind_a_gate(cells, tmp_path, buffers), cells, tmp_path)
    assert (timing.worst.start.split("/")[-1], timing.worst.levels) == ("q_0_reg", buffers)
    assert timing.worst.steps[-1].arrival_ns < 1000 / timing.fmax_mhz
