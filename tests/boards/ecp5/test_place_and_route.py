# SPDX-License-Identifier: Apache-2.0
"""nextpnr's report, and (marker fpga) a real place and route down to a bitstream."""

import json
import sys
from pathlib import Path

import pytest

from deltaloom.boards.ecp5.place_and_route import place_and_route
from deltaloom.boards.ecp5.synthesis import Netlist
from deltaloom.boards.family.results import Usage
from deltaloom.boards.nextpnr import layout
from deltaloom.boards.nextpnr.timing import Timing, clock_name, parse_report, signal_name
from deltaloom.boards.tools.toolchain import Tool
from deltaloom.golden.errors import UserError

REPORT = Path(__file__).with_name("nextpnr_report.json")
CLOCK = "bridge.commands.clk"


@pytest.fixture
def timing() -> Timing:
    return parse_report(json.loads(REPORT.read_text("utf-8")))


def test_clock_rates(timing: Timing) -> None:
    assert timing.fmax_mhz == {CLOCK: pytest.approx(110.07, abs=0.01)}
    assert timing.wanted_mhz == {CLOCK: 100.0}
    assert timing.met and timing.slowest == CLOCK


def test_usage(timing: Timing) -> None:
    assert timing.usage["DP16KD"] == Usage(2, 56)
    assert timing.usage["EHXPLLL"] == Usage(1, 2)
    assert timing.usage["TRELLIS_COMB"].available == 24288


def test_critical_path_is_the_one_between_registers(timing: Timing) -> None:
    path = timing.path(CLOCK)
    assert path is not None and timing.paths == (path,)
    assert path.start == "bridge.packer.words.storage.0.0"
    assert path.end == "bridge.outputs__payload.value"
    assert path.delay_ns == pytest.approx(1000 / timing.fmax_mhz[CLOCK], abs=0.001)
    assert path.routing_ns == pytest.approx(2.527, abs=0.001)
    assert path.levels == 3
    assert str(path).endswith("9.08 ns (2.53 ns in wires), 3 levels")
    assert timing.path("other") is None


def test_the_slowest_clock_has_the_least_margin() -> None:
    timing = Timing(
        fmax_mhz={"fast": 190.0, "slow": 60.0},
        wanted_mhz={"fast": 200.0, "slow": 50.0},
        usage={},
        paths=(),
    )
    assert timing.slowest == "fast" and not timing.met


def test_a_design_without_clock_has_no_fmax() -> None:
    timing = parse_report({"fmax": {}, "critical_paths": [], "utilization": {}})
    assert timing.slowest is None and timing.met


def test_names_lose_what_the_tools_add() -> None:
    assert clock_name("$glbnet$clk$TRELLIS_IO_IN") == "clk"
    assert signal_name("core.mac.p4_TRELLIS_FF_Q_16_DI_MULT18X18D_P16") == "core.mac.p4"
    assert signal_name("w.0.5") == "w.0.5"


def fake_netlist(folder: Path) -> Netlist:
    file = folder / "netlist.json"
    file.write_text("{}", "utf-8")
    return Netlist(path=file, log=file, top="top", mapper="abc9", cells={})


def fake_tool(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Python code in place of nextpnr and of ecppack."""
    tool = Tool(name="fake", command=(sys.executable, "-c", code), version="1", origin="here")
    monkeypatch.setattr(layout, "require", lambda name: tool)


GOOD = f"""
import shutil, sys
a = sys.argv[1:]
if "--report" in a:
    shutil.copy({str(REPORT)!r}, "report.json")
    open("arguments", "w").write(" ".join(a))
    print("Info: Routing..")
else:
    open("design.bit", "w").write("bits")
"""


def run(folder: Path, **options: object) -> layout.Layout:
    arguments: dict = {"device": "25k", "package": "CABGA381", "speed": 6, "freq_mhz": 100.0}
    return place_and_route(fake_netlist(folder), workdir=folder, **(arguments | options))


def test_options_reach_the_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tool(monkeypatch, GOOD)
    stages: list[str] = []
    placed = run(tmp_path, lpf="pins", seed=7, speed=8, progress=stages.append)
    folder = placed.log.parent
    arguments = (folder / "arguments").read_text("utf-8")
    for part in ("--25k", "--package CABGA381", "--speed 8", "--seed 7", "--freq 100.0", "--lpf"):
        assert part in arguments
    assert "--out-of-context" not in arguments
    assert placed.bitstream is not None and placed.bitstream.read_text("utf-8") == "bits"
    assert (folder / "design.lpf").read_text("utf-8") == "pins"
    assert stages == ["routing: signals", "bitstream: packing"]


def test_without_pins_it_is_out_of_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tool(monkeypatch, GOOD)
    placed = run(tmp_path)
    assert placed.bitstream is None
    assert "--out-of-context" in (placed.log.parent / "arguments").read_text("utf-8")


def test_layouts_are_cached_by_all_that_decides_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tool(monkeypatch, GOOD)
    first = run(tmp_path)
    assert run(tmp_path).cached and run(tmp_path).timing == first.timing
    for change in ({"seed": 2}, {"freq_mhz": 50.0}, {"device": "45k"}, {"speed": 7}, {"lpf": "x"}):
        assert not run(tmp_path, **change).cached


def test_failures_name_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tool(monkeypatch, "print('ERROR: no BELs remaining'); raise SystemExit(1)")
    with pytest.raises(UserError, match=r"^nextpnr-ecp5 failed \(exit code 1\): no BELs") as error:
        run(tmp_path)
    assert Path(str(error.value).rpartition("; see ")[2]).exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"device": "99k"}, "device must be one of .* not '99k'"),
        ({"speed": 5}, "speed must be one of .* not 5"),
        ({"freq_mhz": 0.0}, "freq_mhz must be a positive number, not 0.0"),
        ({"freq_mhz": float("nan")}, "freq_mhz must be a positive number, not nan"),
    ],
)
def test_bad_arguments(option: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        run(tmp_path, **option)
