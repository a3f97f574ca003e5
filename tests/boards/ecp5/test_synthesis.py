# SPDX-License-Identifier: Apache-2.0
"""Small designs through Yosys: cell counts, the cache, the second mapper, errors."""

from pathlib import Path
from typing import Any

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib import memory

from deltaloom.boards.ecp5.devices import memory_fit
from deltaloom.boards.ecp5.synthesis import synthesize
from deltaloom.boards.family.memory import Memory
from deltaloom.boards.nextpnr import yosys
from deltaloom.boards.tools.toolchain import Tool
from deltaloom.golden.errors import UserError

pytest.importorskip("pyosys")


class Multiplier(Elaboratable):
    """A registered product of two 9-bit numbers: 18 flip-flops, one multiplier with the others."""

    def __init__(self) -> None:
        self.a, self.b, self.product = Signal(9), Signal(9), Signal(18)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        a, b = Signal(9), Signal(9)
        m.d.sync += [a.eq(self.a), b.eq(self.b), self.product.eq(a * b)]
        return m

    def rtlil(self) -> str:
        return rtlil.convert(self, name="top", ports=[self.a, self.b, self.product], emit_src=False)


def ram(depth: int, width: int) -> str:
    m = Module()
    m.submodules.ram = store = memory.Memory(shape=width, depth=depth, init=[])
    write, read = store.write_port(), store.read_port()
    ports = [write.addr, write.data, write.en, read.addr, read.data]
    return rtlil.convert(m, name="top", ports=ports, emit_src=False)


def test_counts_of_a_small_design(tmp_path: Path) -> None:
    netlist = synthesize(Multiplier().rtlil(), top="top", workdir=tmp_path)
    assert (netlist.luts, netlist.ffs, netlist.dsps, netlist.brams) == (0, 18, 1, 0)
    assert netlist.mapper == "abc9" and not netlist.cached
    assert netlist.path.exists() and netlist.log.exists()


def test_without_multipliers_luts_do_the_product(tmp_path: Path) -> None:
    netlist = synthesize(Multiplier().rtlil(), top="top", workdir=tmp_path, options=("-nodsp",))
    assert netlist.dsps == 0 and netlist.luts > 81


@pytest.mark.parametrize(
    ("depth", "width"), [(16, 16), (64, 16), (64, 32), (512, 36), (512, 40), (3000, 20), (5000, 20)]
)
def test_memory_estimates_against_yosys(depth: int, width: int, tmp_path: Path) -> None:
    netlist = synthesize(ram(depth, width), top="top", workdir=tmp_path)
    estimate = memory_fit(Memory(name="m", depth=depth, width=width))
    assert netlist.brams == estimate.brams


def test_the_second_run_comes_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Multiplier().rtlil()
    first = synthesize(text, top="top", workdir=tmp_path)
    monkeypatch.setattr(yosys, "run_tool", None)  # calling it would fail
    second = synthesize(text, top="top", workdir=tmp_path)
    assert second.cached and second.cells == first.cells and second.path == first.path
    with pytest.raises(TypeError):
        synthesize(text, top="top", workdir=tmp_path, options=("-nodsp",))  # not that one


def test_progress_names_the_stages_in_order(tmp_path: Path) -> None:
    stages: list[str] = []
    synthesize(Multiplier().rtlil(), top="top", workdir=tmp_path, progress=stages.append)
    assert stages[0] == "synthesis: reading the design"
    assert stages[-1] == "synthesis: improving the netlist"
    assert "synthesis: mapping LUTs (abc9)" in stages


def test_verilog_file_with_plain_abc(tmp_path: Path) -> None:
    source = tmp_path / "adder.v"
    source.write_text("module top(input a, b, output y); assign y = a ^ b; endmodule\n", "utf-8")
    netlist = synthesize(source, top="top", workdir=tmp_path, mappers=("abc",))
    assert (netlist.mapper, netlist.luts, netlist.cells) == ("abc", 1, {"LUT4": 1})


def test_a_broken_mapper_is_followed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As abc9 has been seen to: it begins, ends with an error, and leaves no netlist."""
    real = yosys.run_tool

    def run(command: list[str], **rest: Any) -> int:
        if command[-1] == "abc9.ys":
            rest["log"].write_text("2.46. Executing ABC9 pass.\nERROR: Assert\n", "utf-8")
            return 1
        return real(command, **rest)

    monkeypatch.setattr(yosys, "run_tool", run)
    netlist = synthesize(Multiplier().rtlil(), top="top", workdir=tmp_path)
    assert (netlist.mapper, netlist.ffs, netlist.dsps) == ("abc", 18, 1)
    assert synthesize(Multiplier().rtlil(), top="top", workdir=tmp_path).mapper == "abc"


def test_errors_are_one_line_with_the_log(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"^yosys failed \(exit code 1\): .*; see .*\.log$"
    ) as error:
        synthesize("module \\top\n  nonsense\nend\n", top="top", workdir=tmp_path)
    log = Path(str(error.value).rpartition("; see ")[2])
    assert "nonsense" in log.read_text("utf-8")
    with pytest.raises(UserError, match="Module `other' not found"):
        synthesize(Multiplier().rtlil(), top="other", workdir=tmp_path)


def test_a_killed_tool_is_an_error_and_leaves_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = Tool(name="pyosys", command=("sh", "-c", "kill -9 $$"), version="0", origin="here")
    monkeypatch.setattr(yosys, "require", lambda name: tool)
    with pytest.raises(UserError, match=r"exit code -9\): it printed no error"):
        synthesize(Multiplier().rtlil(), top="top", workdir=tmp_path)
    assert [folder.suffix for folder in tmp_path.iterdir()] == [".failed"]


def test_mappers_are_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"mappers must be one or more of .*, not \(\)"):
        synthesize("", top="top", workdir=Path(), mappers=())
