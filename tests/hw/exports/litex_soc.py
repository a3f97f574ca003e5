# SPDX-License-Identifier: Apache-2.0
"""A LiteX SoC with the design `asr`, its Verilog run in Verilator. In the design's folder:

    python litex_soc.py

A Wishbone master beside the SoC reads and writes registers, and frames go through the streams.
"""

import sys
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

HERE = Path.cwd()
ORIGIN = 0x9000_0000
ID, CONTROL, STEPS, THRESHOLD = 0x00, 0x08, 0x10, 0x1000
FIRST = 1 << 17  # tuser[0] of the words of asr_tb_in.hex


def words(name):
    return [int(line, 16) for line in (HERE / f"asr_tb_{name}.hex").read_text().split()]


async def access(dut, address, data=None):
    """A read, or a write of data, at a byte address of the accelerator."""
    dut.wb_adr.value = (ORIGIN + address) // 4
    dut.wb_dat_w.value = data or 0
    dut.wb_we.value = data is not None
    dut.wb_sel.value, dut.wb_cyc.value, dut.wb_stb.value = 15, 1, 1
    while True:
        await RisingEdge(dut.sys_clk)
        if dut.wb_ack.value:
            break
    found, wrong = int(dut.wb_dat_r.value), bool(dut.wb_err.value)
    dut.wb_cyc.value = dut.wb_stb.value = 0
    await RisingEdge(dut.sys_clk)
    return found, wrong


async def send(dut):
    for word in words("in"):
        dut.sink_data.value, dut.sink_last.value = word & 0xFFFF, word >> 16 & 1
        dut.sink_user.value, dut.sink_valid.value = word >> 17, 1
        await RisingEdge(dut.sys_clk)
        while not dut.sink_ready.value:
            await RisingEdge(dut.sys_clk)
    dut.sink_valid.value = 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def registers_and_frames(dut):
    for name in ("sink_valid", "wb_cyc", "wb_stb", "wb_cti", "wb_bte"):
        getattr(dut, name).value = 0
    dut.source_ready.value, dut.sys_rst.value = 1, 1
    Clock(dut.sys_clk, 10, "ns").start()
    await ClockCycles(dut.sys_clk, 4)
    dut.sys_rst.value = 0
    await ClockCycles(dut.sys_clk, 20)
    assert (await access(dut, ID))[0] == 0x6D6F6C64
    before = (await access(dut, THRESHOLD))[0]
    await access(dut, THRESHOLD, 77)
    assert (await access(dut, THRESHOLD))[0] == 77
    await access(dut, THRESHOLD, before)
    cocotb.start_soon(send(dut))
    for n, wanted in enumerate(words("out")):
        await RisingEdge(dut.sys_clk)
        while not dut.source_valid.value:
            await RisingEdge(dut.sys_clk)
        got = int(dut.source_last.value) << 16 | int(dut.source_data.value)
        assert got == wanted, f"word {n} is {got:#x}, not {wanted:#x}"
    await ClockCycles(dut.sys_clk, 10)
    await ReadOnly()
    await RisingEdge(dut.sys_clk)
    assert (await access(dut, STEPS))[0] == 7


def make_soc():
    """Verilog of the SoC, in soc/soc.v."""
    from asr_litex import Accelerator
    from litex.build.generic_platform import Pins, Subsignal
    from litex.build.sim import SimPlatform
    from litex.soc.integration.soc import SoCRegion
    from litex.soc.integration.soc_core import SoCMini
    from litex.soc.interconnect import wishbone
    from migen import ClockDomain

    def stream(name, widths):
        return (name, 0, *(Subsignal(part, Pins(n)) for part, n in widths.items()))

    wires = {"valid": 1, "ready": 1, "last": 1, "data": 16}
    clock = [("sys_clk", 0, Pins(1)), ("sys_rst", 0, Pins(1))]
    platform = SimPlatform(
        "SIM", [*clock, stream("sink", {**wires, "user": 2}), stream("source", wires)]
    )
    soc = SoCMini(platform, clk_freq=int(100e6), bus_standard="wishbone")
    soc.clock_domains.cd_sys = domain = ClockDomain("sys")
    soc.comb += [
        domain.clk.eq(platform.request("sys_clk")),
        domain.rst.eq(platform.request("sys_rst")),
    ]
    soc.asr = Accelerator(platform)
    soc.bus.add_slave(
        "asr", soc.asr.bus, SoCRegion(origin=ORIGIN, size=Accelerator.SIZE, cached=False)
    )
    host = wishbone.Interface(address_width=32, data_width=32, addressing="word")
    soc.bus.add_master("host", host)
    platform.add_extension(host.get_ios("wb"))
    soc.comb += host.connect_to_pads(platform.request("wb"), mode="slave")
    into, out = platform.request("sink"), platform.request("source")
    sink, source = soc.asr.sink, soc.asr.source
    soc.comb += [
        getattr(sink, part).eq(getattr(into, part)) for part in ("valid", "last", "data", "user")
    ]
    soc.comb += [getattr(out, part).eq(getattr(source, part)) for part in ("valid", "last", "data")]
    soc.comb += [into.ready.eq(sink.ready), source.ready.eq(out.ready)]
    soc.finalize()
    folder = HERE / "soc"
    folder.mkdir(exist_ok=True)
    platform.get_verilog(soc, name="soc").write(str(folder / "soc.v"))
    return [folder / "soc.v", *(Path(source[0]) for source in platform.sources)]


if __name__ == "__main__":
    from cocotb_tools.runner import get_results, get_runner

    sys.path[:0] = [str(HERE), str(Path(__file__).parent)]
    sources = make_soc()
    runner = get_runner("verilator")
    options = {"hdl_toplevel": "soc", "timescale": ("1ns", "1ps"), "build_args": ["-Wno-fatal"]}
    runner.build(sources=sources, build_dir=HERE / "soc", **options)
    results = runner.test(hdl_toplevel="soc", test_module="litex_soc", test_dir=HERE)
    ran, failed = get_results(results)
    print(f"{ran} ran, {failed} failed")
    sys.exit(min(failed, 1) if ran else 1)
