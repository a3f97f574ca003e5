# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest

from deltaloom.boards.asic.library import Table, read_library
from deltaloom.golden.errors import UserError


def test_the_corner_and_the_cells_are_those_of_the_file(cells):
    assert cells.corner == "tiny, process 1, 1.2 V, 25 C"
    assert cells.timed
    assert cells.slew == pytest.approx(0.02e-9)
    assert len(cells.cells) == 13
    flip_flop = cells.cells["DFF"]
    assert (flip_flop.area, flip_flop.sequential) == (6, True)
    assert flip_flop.leakage == pytest.approx(0.6e-9)
    assert flip_flop.pins["CLK"].clock
    assert flip_flop.pins["CLK"].capacitance == pytest.approx(0.015e-12)
    assert [pin.name for pin in flip_flop.outputs] == ["Q"]
    assert cells.smallest(1).name == "INV"


def test_an_energy_is_the_mean_of_rise_and_fall(cells):
    (clock,) = cells.cells["DFF"].pins["CLK"].powers
    assert clock.energy(0.0, 0.0) == pytest.approx((0.006 + 0.010) / 2 * 1e-12)
    inverter = cells.cells["INV"].pins["Y"].powers[0]
    assert inverter.related == "A"
    # at the tables' first point, and half way between the two of each axis
    assert inverter.energy(0.02e-9, 0.01e-12) == pytest.approx((0.0050 + 0.0025) / 2 * 1e-12)
    middle = (0.0050 + 0.0025) / 2 + (0.004 + 0.001) / 2
    assert inverter.energy(0.11e-9, 0.055e-12) == pytest.approx(middle * 1e-12)


def test_a_table_is_linear_between_its_points_and_beyond():
    rng = np.random.default_rng(1)
    slews, loads = (1.0, 2.0, 5.0), (10.0, 30.0)
    a, b, c, d = rng.normal(size=4)

    def plane(s, t):
        return a + b * s + c * t + d * s * t

    table = Table(slews, loads, tuple(tuple(plane(s, t) for t in loads) for s in slews))
    for s in (0.5, 1.0, 1.7, 4.0, 9.0):
        for t in (0.0, 10.0, 17.0, 80.0):
            assert table(s, t) == pytest.approx(plane(s, t))
    assert Table((), (), ((3.0,),))(7.0, 8.0) == 3.0
    assert Table((), (1.0, 2.0), ((3.0, 5.0),))(9.0, 1.5) == 4.0


@pytest.mark.parametrize("order", ["slew", "load"])
def test_the_axes_come_in_either_order(order, tmp_path):
    axes = [("input_transition_time", "1, 2, 3"), ("total_output_net_capacitance", "10, 20")]
    values = [[s + 100 * t for t in (10, 20)] for s in (1, 2, 3)]
    if order == "load":
        axes, values = axes[::-1], [list(row) for row in zip(*values, strict=True)]
    rows = ", ".join('"' + ", ".join(map(str, row)) + '"' for row in values)
    template = "".join(f"variable_{n} : {v}; " for n, (v, _) in enumerate(axes, 1))
    index = "".join(f'index_{n} ("{v}"); ' for n, (_, v) in enumerate(axes, 1))
    file = tmp_path / "x.lib"
    file.write_text(
        f"""library (x) {{ time_unit : "1ps"; capacitive_load_unit (1, ff); voltage_unit : "1V";
        power_lut_template (t) {{ {template} {index} }}
        cell (INV) {{ pin (A) {{ direction : input; }} pin (Y) {{ direction : output;
          function : "!A"; internal_power () {{ related_pin : "A";
          rise_power (t) {{ values ({rows}); }} }} }} }}
        cell (FF) {{ ff (Q, QN) {{ next_state : "D"; clocked_on : "C"; }} }} }}"""
    )
    power = read_library(file).cells["INV"].pins["Y"].powers[0]
    assert power.energy(2e-12, 20e-15) == pytest.approx(2002e-15)
    assert power.energy(1.5e-12, 10e-15) == pytest.approx(1001.5e-15)


def test_what_a_flip_flop_is_clocked_by_is_a_clock(tmp_path):
    file = tmp_path / "x.lib"
    file.write_text("""library (x) {
      cell (INV) { pin (A) { direction : input; } pin (Y) { direction : output; function : "!A"; } }
      cell (FF) { ff (IQ, IQN) { next_state : "D"; clocked_on : "!CK"; }
        pin (CK, D) { direction : input; } } }""")
    pins = read_library(file).cells["FF"].pins
    assert [name for name, pin in pins.items() if pin.clock] == ["CK"]


def test_what_is_no_library_of_gates_and_flip_flops_is_refused(tmp_path):
    file = tmp_path / "x.lib"
    with pytest.raises(UserError, match="No such file or directory; name a Liberty file"):
        read_library(file)
    file.write_text("library (x) { cell (INV) { pin (A) { direction : input; } } }")
    with pytest.raises(UserError, match="has no flip-flop"):
        read_library(file)
    file.write_text('library (x) { cell (FF) { ff (Q, QN) { next_state : "D"; } } }')
    with pytest.raises(UserError, match="has no cell of 1 inputs"):
        read_library(file)


@pytest.mark.parametrize(
    ("name", "file", "voltage"),
    [("osu018", "osu018_stdcells", 1.8), ("osu035", "osu035_stdcells", 3.3)],
)
def test_an_installed_library_is_read(name, file, voltage):
    path = Path(f"/usr/share/qflow/tech/{name}/{file}.lib")
    if not path.is_file():
        pytest.skip(f"{path} is not installed: apt-get install qflow-tech-{name}")
    library = read_library(path)
    assert library.voltage == voltage
    flip_flop = library.cells["DFFPOSX1"]
    assert flip_flop.sequential
    assert flip_flop.pins["CLK"].clock
    assert all(cell.area > 0 for cell in library.cells.values() if cell.name != "LATCH")
