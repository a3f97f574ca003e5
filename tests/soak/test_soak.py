# SPDX-License-Identifier: Apache-2.0
"""The soak itself: a planted fault is found, what equals is equal, a log goes on."""

import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import designs
import soak

SEED = 51
"""Of a small design with cells that take means, two cell units and 16 bits a beat of outputs."""
FAULT = """
  reg fault;
  initial fault = $test$plusargs("fault") != 0;
  wire [15:0] right;
  assign m_axis_tdata = right ^ {15'd0, fault & m_axis_tlast & (&right[14:12])};
endmodule
"""
"""Rarely a wrong lowest bit."""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The design's, with a fault that a plusarg turns on; and its orders."""
    folder = tmp_path_factory.mktemp("soak")
    design = designs.make_design(SEED)
    assert design.config.output_elements == 1  # for `FAULT`
    verilog = designs.write_verilog(design, folder / "rtl")
    top, others = verilog.read_text().split("endmodule\n", 1)
    top, count = re.subn(r"\(m_axis_tdata\)", "(right)", top)
    assert count == 1
    verilog.write_text(top + FAULT + others)
    soak.write_orders(design, 0, 60, folder / "orders")
    return soak.build(verilog, folder), folder / "orders"


def test_it_is_equal_and_a_planted_fault_is_found(program):
    words = int(re.fullmatch(r"EQUAL words (\d+), cycles \d+", soak.run(*program))[1])
    found = re.match(r"DIFFERS word \d+: got .* words (\d+), order", soak.run(*program, "+fault"))
    assert 0 < int(found[1]) < words  # not the first word: it is rare


def test_orders_that_are_cut_are_no_success(program, tmp_path):
    file = tmp_path / "orders"
    content = program[1].read_bytes()
    for size in (0, 8, len(content) // 16 * 8, len(content) - 8):
        file.write_bytes(content[:size])
        assert soak.run(program[0], file) == "END orders are cut"


def test_a_seed_is_a_design():
    made = [designs.make_design(seed) for seed in range(12)]
    again = designs.make_design(3)
    assert str(made[3]) == str(again) and (made[3].writes[1] == again.writes[1]).all()
    kinds = {layer.kind for one in made for layer in one.networks[0].layers}
    assert len(kinds) > 8
    assert {one.config.lane_kind for one in made} == {"multiplier", "shift_add"}


def test_the_log_goes_on_and_keeps_a_difference(tmp_path, monkeypatch, capsys):
    def nothing(design, log, folder, seconds):
        log.words += 5
        (folder / "orders").write_bytes(b"")
        return "run 0: DIFFERS" if design.seed == 8 else ""

    monkeypatch.setattr(soak, "soak", nothing)
    words = ["--folder", str(tmp_path), "--count", "1"]
    assert soak.main([*words, "--seed", "7"]) == 0
    assert soak.main(words) == 1  # goes on with 8
    log = json.loads((tmp_path / "soak.json").read_text())
    assert (log["first"], log["next"], log["words"]) == (7, 9, 10)
    assert log["differences"] == {"8": "run 0: DIFFERS"} and (tmp_path / "8/orders").exists()
    assert "10 words equal, 1 differ" in capsys.readouterr().out
    with pytest.raises(SystemExit):  # another first seed would lose it
        soak.main([*words, "--seed", "9"])
    assert "begins with seed 7" in capsys.readouterr().err


@pytest.mark.slow
def test_some_designs(tmp_path, capsys):
    words = ["--folder", str(tmp_path), "--seed", "1", "--count", "4", "--design-seconds", "5"]
    assert soak.main(words) == 0
    assert "4 designs from seed 1" in capsys.readouterr().out
