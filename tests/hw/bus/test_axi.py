# SPDX-License-Identifier: Apache-2.0
import random
import re

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from deltaloom.hw.bus.axi import (
    OKAY,
    SLVERR,
    AxiLite,
    AxiLiteSignature,
    AxiStreamSignature,
    flat_ports,
)

OUTPUTS = ("awready", "wready", "bvalid", "bresp", "arready", "rvalid", "rdata", "rresp")
HOLES = (7, 8)
"""Word addresses that the inside answers with an error."""


async def channel(ctx, rng, axil, prefix, items, gap):
    """Offer the items on one channel, holding each until it is taken."""
    for fields in items:
        while rng.random() < gap:
            await ctx.tick()
        for name, value in fields.items():
            ctx.set(getattr(axil, name), value)
        ctx.set(getattr(axil, f"{prefix}valid"), 1)
        await ctx.tick().until(getattr(axil, f"{prefix}ready"))
        ctx.set(getattr(axil, f"{prefix}valid"), 0)
        for name in fields:
            ctx.set(getattr(axil, name), rng.getrandbits(2))  # nothing may look at it any more


async def responses(ctx, rng, axil, prefix, names, count, gap, got):
    """Take `count` responses; checks that each holds until it is taken."""
    for _ in range(count):
        signals = [getattr(axil, name) for name in names]
        await ctx.tick().until(getattr(axil, f"{prefix}valid"))
        first = [ctx.get(s) for s in signals]
        while rng.random() < gap:
            *now, valid = (await ctx.tick().sample(*signals, getattr(axil, f"{prefix}valid")))[2:]
            assert valid and now == first
        ctx.set(getattr(axil, f"{prefix}ready"), 1)
        *now, valid = (await ctx.tick().sample(*signals, getattr(axil, f"{prefix}valid")))[2:]
        assert valid and now == first
        ctx.set(getattr(axil, f"{prefix}ready"), 0)
        got.append(tuple(first))


async def memory(ctx, rng, bus, words, latency):
    """The inside: a memory with holes; `latency` is the chance of each cycle of delay."""
    reading = None
    while True:
        if ctx.get(bus.w_valid) and rng.random() >= latency:
            address = ctx.get(bus.w_addr)
            ctx.set(bus.w_ready, 1)
            ctx.set(bus.w_error, address in HOLES)
            if address not in HOLES:
                words[address] = ctx.get(bus.w_data)
        if ctx.get(bus.r_en):
            assert reading is None, "a read began before the one before it was answered"
            reading = ctx.get(bus.r_addr)
        if reading is not None:
            assert ctx.get(bus.r_addr) == reading
        if reading is not None and rng.random() >= latency:
            ctx.set(bus.r_valid, 1)
            ctx.set(bus.r_data, words.get(reading, 0))
            ctx.set(bus.r_error, reading in HOLES)
            reading = None
        await ctx.tick()
        for signal in (bus.w_ready, bus.w_error, bus.r_valid, bus.r_error):
            ctx.set(signal, 0)
        ctx.set(bus.r_data, rng.getrandbits(32))


def run(dut, *testbenches, background=()):
    sim = Simulator(dut)
    sim.add_clock(1e-8)
    for bench in testbenches:
        sim.add_testbench(bench)
    for bench in background:
        sim.add_testbench(bench, background=True)
    sim.run()


def check(seed, *, gap, latency, count=60):
    """Random writes, then random reads, against a dictionary."""
    rng = random.Random(seed)
    dut = AxiLite()
    axil, words = dut.axil, {}
    writes = [
        (rng.randrange(12), rng.getrandbits(32), rng.choice((15, 15, 15, 0, 7, 8)))
        for _ in range(count)
    ]
    wanted, model = [], {}
    for address, value, strobe in writes:
        good = strobe == 15 and address not in HOLES
        wanted.append((OKAY if good else SLVERR,))
        if good:
            model[address] = value
    reads = [rng.randrange(12) for _ in range(count)]
    wrote, read = [], []

    async def write_address(ctx):
        items = [{"awaddr": 4 * a + rng.randrange(4)} for a, _, _ in writes]
        await channel(ctx, rng, axil, "aw", items, gap)

    async def write_data(ctx):
        items = [{"wdata": v, "wstrb": s} for _, v, s in writes]
        await channel(ctx, rng, axil, "w", items, gap)

    async def write_response(ctx):
        await responses(ctx, rng, axil, "b", ["bresp"], count, gap, wrote)

    async def read_address(ctx):
        while len(wrote) < count:
            await ctx.tick()
        items = [{"araddr": 4 * a + rng.randrange(4)} for a in reads]
        await channel(ctx, rng, axil, "ar", items, gap)

    async def read_response(ctx):
        await responses(ctx, rng, axil, "r", ["rresp", "rdata"], count, gap, read)

    async def inside(ctx):
        await memory(ctx, rng, dut.bus, words, latency)

    run(
        dut,
        write_address,
        write_data,
        write_response,
        read_address,
        read_response,
        background=[inside],
    )
    assert wrote == wanted
    assert words == model
    for address, (response, value) in zip(reads, read, strict=True):
        assert response == (SLVERR if address in HOLES else OKAY)
        assert address in HOLES or value == model.get(address, 0)


@pytest.mark.parametrize("gap", [0.0, 0.7])
@pytest.mark.parametrize("latency", [0.0, 0.7])
@pytest.mark.parametrize("seed", range(3))
def test_random_interleaving(seed, gap, latency):
    check(seed, gap=gap, latency=latency)


def test_read_and_write_are_independent():
    """A read whose answer is never taken does not stop writes, and the other way round."""
    dut = AxiLite()
    axil, words = dut.axil, {}
    rng = random.Random(0)
    got = []

    async def stuck_read(ctx):
        await channel(ctx, rng, axil, "ar", [{"araddr": 0}], 0)

    async def bench(ctx):
        for n in range(3):
            ctx.set(axil.awaddr, 4 * n)
            ctx.set(axil.wdata, n + 1)
            ctx.set(axil.wstrb, 15)
            ctx.set(axil.awvalid, 1)
            ctx.set(axil.wvalid, 1)
            await ctx.tick()
            ctx.set(axil.awvalid, 0)
            ctx.set(axil.wvalid, 0)
            await responses(ctx, rng, axil, "b", ["bresp"], 1, 0, got)
        assert ctx.get(axil.rvalid)

    async def inside(ctx):
        await memory(ctx, rng, dut.bus, words, 0)

    run(dut, stuck_read, bench, background=[inside])
    assert got == [(OKAY,)] * 3
    assert words == {0: 1, 1: 2, 2: 3}


def test_no_combinational_path_to_an_output():
    """Whatever the inputs do within a cycle, the outputs stay until the clock edge."""
    rng = random.Random(3)
    dut = AxiLite()
    axil, bus = dut.axil, dut.bus
    inputs = [axil.awvalid, axil.wvalid, axil.wstrb, axil.bready, axil.arvalid, axil.rready]
    inputs += [axil.awaddr, axil.wdata, axil.araddr, bus.w_ready, bus.r_valid, bus.r_data]
    seen = set()

    async def bench(ctx):
        for _ in range(400):
            before = [ctx.get(getattr(axil, name)) for name in OUTPUTS]
            for _ in range(4):
                signal = rng.choice(inputs)
                ctx.set(signal, rng.getrandbits(len(signal)))
                assert [ctx.get(getattr(axil, name)) for name in OUTPUTS] == before
            seen.update(name for name, value in zip(OUTPUTS, before, strict=True) if value)
            await ctx.tick()

    run(dut, bench)
    assert seen >= {"awready", "wready", "arready", "bvalid", "rvalid"}


def test_throughput_is_as_documented():
    dut = AxiLite()
    axil, bus = dut.axil, dut.bus
    cycles = {}

    async def bench(ctx):
        ctx.set(bus.w_ready, 1)
        ctx.set(bus.r_valid, 1)
        for signal in (axil.awvalid, axil.wvalid, axil.arvalid, axil.bready, axil.rready):
            ctx.set(signal, 1)
        ctx.set(axil.wstrb, 15)
        for valid in ("bvalid", "rvalid"):
            await ctx.tick().until(getattr(axil, valid))
        for valid in ("bvalid", "rvalid"):
            n = 1
            while not (await ctx.tick().sample(getattr(axil, valid)))[2]:
                pass
            while not (await ctx.tick().sample(getattr(axil, valid)))[2]:
                n += 1
            cycles[valid] = n

    run(dut, bench)
    assert cycles == {"bvalid": 2, "rvalid": 3}


class Top(wiring.Component):
    def __init__(self):
        super().__init__(
            {
                "s_axis": In(AxiStreamSignature(16, user=1)),
                "m_axis": Out(AxiStreamSignature(16)),
                "s_axil": In(AxiLiteSignature()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.axi = axi = AxiLite()
        wiring.connect(m, wiring.flipped(self.s_axil), axi.axil)
        m.d.sync += self.m_axis.tdata.eq(self.s_axis.tdata)
        return m


def test_verilog_ports_have_the_standard_names():
    top = Top()
    text = verilog.convert(top, name="deltaloom", ports=flat_ports(top))
    module = text[text.index("module deltaloom(") :].partition("endmodule")[0]
    names = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);$", module, re.MULTILINE)
    got = {name: (way, int(high or 0) + 1) for way, high, name in names}
    assert got == {
        "clk": ("input", 1),
        "rst": ("input", 1),
        "s_axis_tdata": ("input", 16),
        "s_axis_tvalid": ("input", 1),
        "s_axis_tready": ("output", 1),
        "s_axis_tlast": ("input", 1),
        "s_axis_tuser": ("input", 1),
        "m_axis_tdata": ("output", 16),
        "m_axis_tvalid": ("output", 1),
        "m_axis_tready": ("input", 1),
        "m_axis_tlast": ("output", 1),
        "s_axil_awaddr": ("input", 24),
        "s_axil_awprot": ("input", 3),
        "s_axil_awvalid": ("input", 1),
        "s_axil_awready": ("output", 1),
        "s_axil_wdata": ("input", 32),
        "s_axil_wstrb": ("input", 4),
        "s_axil_wvalid": ("input", 1),
        "s_axil_wready": ("output", 1),
        "s_axil_bresp": ("output", 2),
        "s_axil_bvalid": ("output", 1),
        "s_axil_bready": ("input", 1),
        "s_axil_araddr": ("input", 24),
        "s_axil_arprot": ("input", 3),
        "s_axil_arvalid": ("input", 1),
        "s_axil_arready": ("output", 1),
        "s_axil_rdata": ("output", 32),
        "s_axil_rresp": ("output", 2),
        "s_axil_rvalid": ("output", 1),
        "s_axil_rready": ("input", 1),
    }
