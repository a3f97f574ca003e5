# SPDX-License-Identifier: Apache-2.0
"""The SDRAM in a GW2AR-18's package: its ports have the names that the tools place by."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Module, Signal
from amaranth.lib import io
from amaranth.lib.wiring import Out, PureInterface, Signature

from deltaloom.boards.flow.build import memories_in, prepare
from deltaloom.boards.flow.families import family_of
from deltaloom.boards.flow.sdram_pads import AHEAD_NS, CLOCK, SdramPads, sdram_ports
from deltaloom.boards.registry import BOARDS
from deltaloom.boards.tools.process import silent
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.accelerator import Accelerator
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.datapath.fetch.sdram_words import SdramPins
from deltaloom.hw.sdram_chips import CHIPS

BOARD = BOARDS["tang_nano_20k"]
CHIP = CHIPS[BOARD.sdram]
ACTIVE_LOW = {"cs", "ras", "cas", "we"}


def sites() -> dict[str, str]:
    """Apicula's: where nextpnr has to place each line of the chip."""
    apycula = pytest.importorskip("apycula")
    chipdb = importlib.import_module("apycula.chipdb")
    file = Path(apycula.__file__).parent / f"{BOARD.device.nextpnr}.msgpack.xz"
    database = chipdb.load_chipdb(str(file))
    package, device, _ = database.packages[BOARD.package]
    lines = database.sip_cst[device][package]
    return {name: f"X{column}Y{row}/IOB{half}" for name, row, column, half, _ in lines}


def test_the_ports_are_the_lines_of_the_chip_database() -> None:
    ports = [port.io for port in sdram_ports(BOARD.platform()).values()]
    found = {
        port.name if len(port) == 1 else f"{port.name}[{bit}]"
        for port in ports
        for bit in range(len(port))
    }
    assert found == set(sites())


def test_widths_and_levels() -> None:
    ports = sdram_ports(BOARD.platform())
    widths = {"dq": CHIP.dq_bits, "a": CHIP.row_bits, "ba": CHIP.bank_bits}
    widths["dqm"] = CHIP.dq_bits // 8
    assert {part: len(port) for part, port in ports.items() if len(port) > 1} == widths
    assert {part for part, port in ports.items() if any(port.invert)} == ACTIVE_LOW


def test_an_accelerator_beside_it() -> None:
    """All lines are ports of the design, and constraints tell of none of them."""
    network = make_network([("gru", 24)], 5, seed=1)
    config = derive_config(network, weight_memory=BOARD.sdram, memory_clock_mhz=54.0)
    rtlil, constraints = prepare(Accelerator(config), BOARD, clock_mhz=54.0, baud=115_200)
    assert "sdram" not in constraints and 'IO_LOC "uart_0__rx__io" 70;' in constraints
    top = rtlil[rtlil.index("module \\top\n") :].partition("\nend\n")[0]
    ports = re.findall(r"wire (?:width (\d+) )?(inout|output) \d+  \\(\w+_sdram_\w+)", top)
    assert sum(int(width or 1) for width, _, _ in ports) == 55
    assert {(name, way) for _, way, name in ports if way == "inout"} == {("IO_sdram_dq", "inout")}
    assert rtlil.count("cell \\IOBUF") == 32 and rtlil.count("cell \\ODDR") == 1
    assert rtlil.count("cell \\rPLL") == 1
    # 3 ns ahead of 18.5 are 3 steps of 16, so 13 behind.
    assert re.search(r'parameter \\PSDA_SEL "1101"', rtlil)
    assert re.search(r"connect \\CLKOUTP ", rtlil)
    assert not [memory for memory in memories_in(rtlil) if ".store.bank_" in memory.name]


class Lines(Elaboratable):
    """The pads alone: all that goes out is a counter's, all that comes in is on a light."""

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.domains += [ClockDomain("sync", reset_less=True), ClockDomain(CLOCK, reset_less=True)]
        pll: Any = family_of(BOARD).pll(BOARD, BOARD.clock_mhz, ahead_ns=AHEAD_NS)
        crystal: Any = io.Buffer(io.Direction.Input, platform.request("clk27", 0, dir="-"))
        light: Any = io.Buffer(io.Direction.Output, platform.request("led", 0, dir="-"))
        core: Any = PureInterface(Signature({"sdram": Out(SdramPins(CHIP))}))
        m.submodules += [pll, crystal, light, SdramPads(core)]
        count, parity = Signal(64), Signal()
        m.d.sync += [count.eq(count + 1), parity.eq(core.sdram.dq_i.xor())]
        m.d.comb += [
            *(
                getattr(core.sdram, name).eq(count >> n)
                for n, name in enumerate(SdramPins(CHIP).members)
                if name != "dq_i"
            ),
            pll.clk_in.eq(crystal.i),
            ClockSignal("sync").eq(pll.clk_out),
            ClockSignal(CLOCK).eq(pll.clk_ahead),
            light.o.eq(parity),
        ]
        return m


@pytest.mark.fpga
def test_nextpnr_places_every_line_and_the_bitstream_is_packed(tmp_path: Path) -> None:
    family = family_of(BOARD)
    files = BOARD.platform().build(Lines(), name="top", do_build=False, emit_src=False).files
    rtlil, constraints = (
        text if isinstance(text, str) else text.decode()
        for text in (files["top.il"], files["top.cst"])
    )
    netlist = family.synthesize(rtlil, top="top", workdir=tmp_path, progress=silent)
    placed = family.place_and_route(
        netlist,
        board=BOARD,
        constraints=constraints,
        clock_mhz=BOARD.clock_mhz,
        seed=1,
        workdir=tmp_path,
        progress=silent,
    )
    assert placed.bitstream is not None and placed.bitstream.stat().st_size
    (file,) = tmp_path.glob("layout-*/placed.json")
    places = sites()
    found = placed_lines(json.loads(file.read_text())["modules"]["top"])
    assert {name: found[name] for name in places} == places


def placed_lines(top: Any) -> dict[str, str]:
    """Where the buffers of a placed design's ports are, by the ports' bits."""
    lines = {
        bit: name if len(port["bits"]) == 1 else f"{name}[{n}]"
        for name, port in top["ports"].items()
        for n, bit in enumerate(port["bits"])
    }
    return {
        lines[bits[0]]: cell["attributes"]["NEXTPNR_BEL"]
        for cell in top["cells"].values()
        for pin, bits in cell["connections"].items()
        if cell["type"] in ("TBUF", "IOBUF") and pin in ("O", "IO") and bits[0] in lines
    }
