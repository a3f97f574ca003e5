# SPDX-License-Identifier: Apache-2.0
import re
import subprocess
from pathlib import Path

import pytest

from deltaloom.boards.asic.clock_tree import clock_tree
from deltaloom.boards.asic.energy import Activity, EnergyModel, PartEnergy
from deltaloom.boards.asic.macros import Macro, MacroModel, liberty
from deltaloom.boards.asic.timing import analyse, sdc

TINY = Path(__file__).parent / "tiny.lib"
MACRO = Macro(32, 2)
MODEL = MacroModel(node=65, voltage=1.2)
SLEW = 0.02e-9
SLEWS = dict.fromkeys(
    ("U1/Y", "U2/Y", "core_array/U1/Y", "core_array/U2/Y", "core_array/q_0_reg/Q"), SLEW
)
NOTHING = Activity(frames=1, cycles=0, toggles={}, accesses={})


def model_of(netlist, cells, slews=SLEWS):
    tree = clock_tree(netlist, cells, "clk")
    return EnergyModel(netlist, cells, slews=slews, macros=[MACRO], model=MODEL, tree=tree)


def run(model, **changes):
    fields = {"frames": 1, "cycles": 0, "toggles": {}, "accesses": {}} | changes
    return model.run(Activity(**fields), period_ns=10)


def test_a_gate_pays_for_its_inside_and_its_load(cells, small):
    """The NAND drives a D and an XOR of the lanes: 0.008 and 0.016 pF; its own table between its
    loads of 0.01 and 0.1 pF, at the ports' slew; the D pays 0.005 pJ a transition."""
    found = run(model_of(small, cells), toggles={"n5": 7})
    load = 0.024e-12
    inside = ((0.006 + 0.003) / 2 + 0.001 * (0.024 - 0.01) / 0.09) * 1e-12
    assert found["glue"].logic == pytest.approx(7 * (inside + load * 1.2**2 / 2))
    assert found["lanes"].logic == pytest.approx(7 * 0.005e-12)


def test_a_net_has_one_count_whatever_it_is_called(cells, small):
    model = model_of(small, cells)
    one = run(model, toggles={"n5": 7})
    assert run(model, toggles={"core_array.d": 7}) == one
    assert run(model, toggles={"core_array.d": 7, "n5": 7}) == one


def test_the_clock_macros_and_leakage_have_their_own(cells, small):
    model = model_of(small, cells)
    found = run(model, cycles=100, accesses={"store": (3, 4)})
    assert found["glue"].memory == pytest.approx(7 * MODEL.access(MACRO))
    pin = 2 * 0.008e-12 + 0.015e-12 * 1.2**2
    assert found["lanes"].clock == pytest.approx(100 * 2 * pin)
    assert found["glue"].clock == pytest.approx(100 * 4 * 0.010e-12 * 1.2**2)
    gates = (0.15 + 0.20) * 1e-9
    assert found["glue"].leakage == pytest.approx((gates + MODEL.leakage(MACRO)) * 1e-6)
    clock, leakage = model.clock_and_leakage(period_ns=10)
    assert clock == pytest.approx(sum(p.clock for p in found.values()) / 1e-6)
    assert leakage == pytest.approx(sum(p.leakage for p in found.values()) / 1e-6)


def test_nothing_costs_nothing(cells, small):
    found = model_of(small, cells).run(NOTHING, period_ns=10)
    assert set(found.values()) == {PartEnergy()}
    assert found["glue"].scaled(3).total == 0


@pytest.fixture
def analysed(cells, small, tmp_path, opensta):
    """The netlist with its files in a folder, analysed at 5 ns."""
    netlist = small
    (tmp_path / "net.v").write_text(netlist.verilog())
    (tmp_path / "net.sdc").write_text(sdc(netlist, cells, 5, clock_tree(netlist, cells, "clk")))
    (tmp_path / "macros.lib").write_text(liberty([MACRO], MODEL, cells))
    files = {"cells": str(TINY), "netlist": "net.v", "sdc": "net.sdc", "macros": "macros.lib"}
    return netlist, analyse(netlist, cells, tmp_path, files=files, period_ns=5), tmp_path


def test_timing_is_that_of_the_tables(analysed):
    """By hand: a flip-flop's rise into 0.096 pF (the XOR, a port, the macro), the XOR's fall after
    a slew of 0.2689 ns into 0.008 pF, and the set-up of a fall."""
    _, timing, _ = analysed
    worst = timing.worst
    assert (worst.start, worst.end) == ("core_array/q_0_reg", "core_array/sum_value_reg")
    assert [step.cell for step in worst.steps] == ["DFF", "DFF", "XOR2", "DFF"]
    assert worst.levels == 1
    flip_flop = 0.15 + 0.2 * (0.096 - 0.01) / 0.09
    slew = 0.03 + 0.25 * (0.096 - 0.01) / 0.09
    gate = 0.108 + 0.03 * (slew - 0.02) / 0.18 + 0.18 * (0.008 - 0.01) / 0.09
    assert worst.steps[-1].arrival_ns == pytest.approx(flip_flop + gate, abs=2e-4)
    assert worst.slack_ns == pytest.approx(5 - 0.12 - flip_flop - gate, abs=2e-4)
    assert timing.fmax_mhz == pytest.approx(1000 / (0.12 + flip_flop + gate), rel=1e-3)
    assert timing.port_slack_ns < worst.slack_ns
    assert set(timing.slews) == {*SLEWS, "core_array/sum_value_reg/Q"}


def power(folder, activity):
    """OpenSTA's internal and switching power in W with one activity for all pins."""
    script = (folder / "sta.tcl").read_text().split('puts "== ports"')[0]
    script += f"set_power_activity -global -activity {activity} -duty 0.5\nreport_power -digits 9\n"
    (folder / "power.tcl").write_text(script)
    run = subprocess.run(
        ["sta", "-no_splash", "-exit", "power.tcl"],
        cwd=folder, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    numbers = re.search(r"^Total\s+(\S+)\s+(\S+)", run.stdout, re.MULTILINE)
    return float(numbers[1]), float(numbers[2])


def test_opensta_finds_the_same_energy(analysed, cells):
    """With one activity everywhere: its switching power, and its internal power, of which Debian's
    of 2019 has twice as much for outputs and clocks."""
    netlist, timing, folder = analysed
    still, none = power(folder, 0)
    internal, switching = power(folder, 1)
    assert none == 0
    nets = {
        (f"{netlist.path(module)}." if netlist.path(module) else "") + net
        for module in netlist.modules.values()
        for net in [
            *module.wires,
            *(f"{n}[{k}]" if w > 1 else n for n, _, w in module.ports for k in range(w)),
        ]
        if net != "clk"
    }
    found = run(model_of(netlist, cells, timing.slews), toggles=dict.fromkeys(nets, 1))
    ours = sum(part.logic for part in found.values())
    clock = 2 * 2 * cells.cells["DFF"].pins["CLK"].powers[0].energy(0, 0)
    factor = still * 5e-9 / clock
    assert factor == pytest.approx(1, rel=1e-4) or factor == pytest.approx(2, rel=1e-4)
    data = 2 * 0.005e-12  # the flip-flops' inputs, which it does not count twice
    theirs = ((internal - still) * 5e-9 - data) / factor + data + switching * 5e-9
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_opensta_propagates_over_what_it_was_told(analysed):
    """Why the counts are not given to it: a gate's output keeps what follows from its inputs."""
    folder = analysed[2]
    script = (folder / "sta.tcl").read_text().split('puts "== ports"')[0]
    script += """
    if {[info commands sta::get_pins_error] != ""} { puts "newer"; exit }
    foreach activity {0.25 0.75} {
      sta::set_power_pin_activity [get_pins U1/Y] $activity 0.5
      report_power -instances [get_cells U1] -digits 9
    }
    """
    (folder / "pins.tcl").write_text(script)
    run = subprocess.run(
        ["sta", "-no_splash", "-exit", "pins.tcl"],
        cwd=folder, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if "newer" in run.stdout:
        pytest.skip("a newer OpenSTA")
    one, other = re.findall(r"^ (\S+) \S+ \S+ \S+ U1$", run.stdout, re.MULTILINE)
    assert one == other
