# SPDX-License-Identifier: Apache-2.0
"""Builds: memories found in the design, what is refused early, the real thing (marker fpga)."""

from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import memory

from deltaloom.boards.ecp5.chips import DEVICES
from deltaloom.boards.ecp5.family import Ecp5
from deltaloom.boards.family.memory import Memory
from deltaloom.boards.flow.build import build, build_design, check_tools, memories_in
from deltaloom.boards.registry import BOARDS
from deltaloom.boards.tools import toolchain
from deltaloom.boards.ulx3s import ulx3s_25f
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.synthetic import make_network
from deltaloom.sim.testing.loopback import Loopback


def test_memories_of_a_design() -> None:
    m = Module()
    inner = Module()
    m.submodules.inner = inner
    inner.submodules.one = one = memory.Memory(shape=10, depth=100, init=[])
    m.submodules.two = two = memory.Memory(shape=3, depth=5, init=[])
    one.read_port(), one.read_port(), two.read_port(domain="comb")
    ports = [port.addr for port in (one.write_port(), two.write_port())]
    found = memories_in(rtlil.convert(m, name="top", ports=ports, emit_src=False))
    assert sorted(found, key=lambda entry: entry.name) == [
        Memory(name="top.inner.one", depth=100, width=10, read_ports=2),
        Memory(name="top.two", depth=5, width=3, asynchronous=True),
    ]


def test_synthesis_only(tmp_path: Path) -> None:
    report = build_design(
        Loopback(), board=ulx3s_25f, workdir=tmp_path, synth_only=True, cycles_per_step=500
    )
    assert (report.board, report.device) == ("ulx3s_25f", "LFE5U-25F")
    assert report.brams.used == 2 and report.brams.available == 56
    assert report.dsps.used == 0 and 500 < report.luts.used < 2000
    assert report.fmax_mhz is None and report.bitstream is None
    assert report.clock_mhz == ulx3s_25f.clock_mhz
    assert report.latency_us == 500 / ulx3s_25f.clock_mhz


def test_weights_that_do_not_fit_are_refused_before_synthesis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ecp5, "synthesize", None)  # calling it would fail
    network = make_network([("lstm", 150)], 64)  # 4 * 150 * 214 bytes
    with pytest.raises(
        UserError,
        match=r"^weights take \d+ block RAMs at 8 bits and everything else \d+, ulx3s_25f has 56 "
        r"\(\d+ too few\): quantize to 4 bits \(\d+\), build for ulx3s_[48]5f \(\d+\) or use fewer",
    ):
        build(network, "ulx3s_25f", workdir=tmp_path)


def test_a_netlist_larger_than_the_device_is_refused(tmp_path: Path) -> None:
    tiny = replace(ulx3s_25f, name="tiny", device=replace(DEVICES["LFE5U-25F"], luts=400))
    with pytest.raises(UserError, match=r"takes \d+ LUTs, tiny has 400 \(\d+ too few\)"):
        build_design(Loopback(), board=tiny, workdir=tmp_path)


def test_clock_the_pll_cannot_make_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="clock 1000 MHz"):
        build(make_network([("lstm", 4)], 4), "ulx3s_25f", workdir=tmp_path, clock_mhz=1000.0)


def test_a_larger_board_of_the_same_series_is_advised_first(tmp_path: Path) -> None:
    network = make_network([("lstm", 150)], 64)
    for name, larger in (("orangecrab_25f", "orangecrab_85f"), ("colorlight_i5", "colorlight_i9")):
        with pytest.raises(UserError, match=f"build for {larger} "):
            build(network, BOARDS[name], workdir=tmp_path)


def test_missing_tools_are_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: None)
    stages: list[str] = []
    network = make_network([("lstm", 4)], 4)
    with pytest.raises(UserError, match="pyosys is needed and was not found; looked at: "):
        build(network, "ulx3s_25f", workdir=tmp_path, progress=stages.append)
    assert stages == [] and list(tmp_path.iterdir()) == []


def test_synthesis_alone_asks_for_no_placer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("deltaloom.boards.flow.build.require", asked.append)
    check_tools(ulx3s_25f, synth_only=True)
    assert asked == ["pyosys"]
    check_tools(ulx3s_25f)
    assert asked[1:] == ["pyosys", "nextpnr-ecp5", "ecppack"]


@pytest.mark.fpga
def test_bitstream_of_the_loopback(tmp_path: Path) -> None:
    stages: list[str] = []
    report = build_design(
        Loopback(), board=ulx3s_25f, workdir=tmp_path, cycles_per_step=100, progress=stages.append
    )
    assert report.bitstream is not None
    bits = report.bitstream.read_bytes()
    assert b"LFE5U-25F" in bits[:200] and len(bits) > 50_000
    assert report.timing_met and report.critical_path is not None
    assert report.latency_us == 1.0
    assert stages[-1] == "bitstream: packing"
    again = build_design(Loopback(), board=ulx3s_25f, workdir=tmp_path, cycles_per_step=100)
    assert again == report
