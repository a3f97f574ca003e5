# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

import pytest

from deltaloom.boards.asic.clock_tree import clock_tree
from deltaloom.boards.asic.macro_library import read_macros
from deltaloom.boards.asic.macros import Macro, MacroModel, liberty
from deltaloom.boards.asic.timing import analyse, sdc
from deltaloom.golden.errors import UserError

TINY = Path(__file__).parent / "tiny.lib"
MACRO, OTHER = Macro(32, 2), Macro(64, 2)
MODEL = MacroModel(node=65, voltage=1.2)
POWER = """internal_power () { when : "ren | wen";
  rise_power (scalar) { values ("1.5"); } fall_power (scalar) { values ("0.25"); } }
internal_power () { when : "!ren & !wen";
  rise_power (scalar) { values ("0.1"); } fall_power (scalar) { values ("0.0"); } }"""


@pytest.fixture
def given(cells, tmp_path):
    """What a compiler may say of one of the two: 5 ns to the data, 1234 um^2, 7 nW, 1.75 pJ."""
    text = liberty([MACRO], MODEL, cells)
    text = re.sub(r"area : \d+;", "area : 1234;", text)
    text = re.sub(r"cell_leakage_power : [\d.]+;", "cell_leakage_power : 7;", text)
    text = re.sub(r"(clock : true;)", rf"\1 {POWER}", text)
    text = re.sub(r'(cell_(?:rise|fall) \(scalar\) \{ values \(")[\d.]+', r"\g<1>5.0", text)
    file = tmp_path / "compiled.lib"
    file.write_text(text)
    return file


def test_known_macros_are_as_the_file_says(given):
    model = MacroModel(node=65, voltage=1.2, known=read_macros(given).cells)
    assert model.area(MACRO) == 1234
    assert model.leakage(MACRO) == pytest.approx(7e-9)
    assert model.access(MACRO) == pytest.approx(1.75e-12)
    for what in ("area", "leakage", "access"):
        assert getattr(model, what)(OTHER) == getattr(MODEL, what)(OTHER)


def test_timing_has_the_delays_of_both_files(cells, small, given, tmp_path, opensta):
    model = MacroModel(node=65, voltage=1.2, known=read_macros(given).cells)
    (tmp_path / "net.v").write_text(small.verilog())
    (tmp_path / "net.sdc").write_text(sdc(small, cells, 20, clock_tree(small, cells, "clk")))
    text = liberty([MACRO, OTHER], model, cells)
    assert MACRO.name not in text and OTHER.name in text
    (tmp_path / "macros.lib").write_text(text)
    files = {"cells": str(TINY), "netlist": "net.v", "sdc": "net.sdc", "macros": "macros.lib"}
    timing = analyse(small, cells, tmp_path, files=files | {"given": given.name}, period_ns=20)
    assert 20 - timing.port_slack_ns > 5


RISE = 'rise_power (scalar) { values ("1.5"); }'
FALL = 'fall_power (scalar) { values ("0.25"); }'
OVER_SLEWS = 'power (t) { index_1 ("0.1, 1.0"); values ("1.0, 20.0"); }'


@pytest.mark.parametrize(
    ("groups", "picojoules"),
    [
        ([RISE], 1.5),
        ([RISE, FALL], 1.75),  # two groups of one condition
        ([RISE + FALL], 1.75),
        (['power (scalar) { values ("1.5"); }'], 3.0),
        ([OVER_SLEWS], 2.0),  # at the least slew, and not beyond it
    ],
)
def test_an_access_is_a_rise_and_a_fall(given, groups, picojoules):
    text = given.read_text()
    template = 'power_lut_template (t) { variable_1 : input_transition_time; index_1 ("1, 2"); }'
    text = re.sub(r"(library \(\w+\) \{)", lambda m: f"{m[1]} {template}", text, count=1)
    powers = "".join(f"internal_power () {{ {one} }}" for one in groups)
    given.write_text(text.replace(POWER, powers))
    (macro,) = read_macros(given).cells.values()
    assert macro.access == pytest.approx(picojoules * 1e-12)


@pytest.mark.parametrize(
    ("pattern", "by", "line"),
    [
        ("deltaloom_ram", "sram", "has no cell deltaloom_ram_WORDSxBITS; give the memories these"),
        (r"bus \(waddr\)", "bus (addr)", "deltaloom_ram_32x2 has no pin or bus waddr; a macro has"),
        ("internal_power", "other_power", "has no internal_power of clk, which says what an"),
        (r"pin \(clk\)", "bus (clk)", "has no internal_power of clk, which says what an"),
        (
            r'"1\.5"',
            '"abc"',
            "--macros .*: could not convert string to float: 'abc', where a number",
        ),
    ],
)
def test_what_is_no_file_of_macros_is_refused(given, pattern, by, line):
    given.write_text(re.sub(pattern, by, given.read_text()))
    with pytest.raises(UserError, match=line):
        read_macros(given)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"--macros .*none.lib: No such file.*; name a Liberty"):
        read_macros(tmp_path / "none.lib")
