# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from deltaloom.sim.testing.streams import checked, get, put, receive, run, send, set_value

PAIR = StructLayout({"a": signed(4), "b": ArrayLayout(unsigned(2), 2)})


class Slow(wiring.Component):
    """Takes a payload, holds it for a cycle, and gives it out."""

    def __init__(self):
        super().__init__({"i": In(stream.Signature(PAIR)), "o": Out(stream.Signature(PAIR))})

    def elaborate(self, platform):
        m = Module()
        full = Signal()
        m.d.comb += [self.i.ready.eq(~full), self.o.valid.eq(full)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [self.o.p.eq(self.i.p), full.eq(1)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += full.eq(0)
        return m


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (signed(4), -8),
        (signed(4), 7),
        (unsigned(4), 15),
        (unsigned(0), 0),
        (range(5), 7),
        (1, True),
        (PAIR, {"a": -8, "b": [3, 0]}),
    ],
)
def test_checked_takes_what_fits(shape, value):
    assert checked(shape, value) == value


@pytest.mark.parametrize(
    ("shape", "value", "message"),
    [
        (signed(4), -9, r"-9 does not fit signed\(4\), -8\.\.7"),
        (signed(4), 8, r"8 does not fit signed\(4\), -8\.\.7"),
        (unsigned(4), 16, r"16 does not fit unsigned\(4\), 0\.\.15"),
        (unsigned(4), -1, "-1 does not fit"),
        (unsigned(0), 1, "1 does not fit"),
        (PAIR, {"a": 0, "b": [4, 0]}, "4 does not fit"),
        (PAIR, {"a": 0}, r"fields must be \['a', 'b'\], got"),
        (PAIR, {"a": 0, "b": [0, 0], "c": 0}, "fields must be"),
        (PAIR, 3, "fields must be"),
        (PAIR, {"a": 0, "b": [0]}, r"an array of 2 is needed, got \[0\]"),
    ],
)
def test_checked_rejects_what_the_simulator_would_cut(shape, value, message):
    with pytest.raises(ValueError, match=message):
        checked(shape, value)


def test_set_value_of_ports_and_fields():
    dut = Slow()

    async def testbench(ctx):
        set_value(ctx, dut.i.p.a, -8)
        set_value(ctx, dut.i.valid, 1)
        assert ctx.get(dut.i.p.a) == -8
        with pytest.raises(ValueError, match="8 does not fit"):
            set_value(ctx, dut.i.p.a, 8)
        with pytest.raises(ValueError, match="2 does not fit"):
            set_value(ctx, dut.i.valid, 2)

    run(dut, testbench, cycles=10)


@pytest.mark.parametrize(("rest_in", "rest_out"), [(0, 0), (0, 3), (3, 0), (2, 1)])
def test_every_payload_arrives_once_and_in_order(rest_in, rest_out):
    dut = Slow()
    payloads = [{"a": n - 8, "b": [n & 3, n >> 2]} for n in range(16)]
    received = []

    async def source(ctx):
        await send(ctx, dut.i, payloads, lambda: rest_in)

    async def sink(ctx):
        received.extend(await receive(ctx, dut.o, len(payloads), lambda: rest_out))
        for _ in range(5):
            assert ctx.get(dut.o.valid) == 0
            await ctx.tick()

    run(dut, source, sink, cycles=200)
    assert [{"a": r.a, "b": list(r.b)} for r in received] == payloads


def test_put_and_get_leave_the_stream_idle():
    dut = Slow()

    async def testbench(ctx):
        await put(ctx, dut.i, {"a": 5, "b": [1, 2]})
        assert ctx.get(dut.i.valid) == 0
        assert (await get(ctx, dut.o)).a == 5
        assert ctx.get(dut.o.ready) == 0

    run(dut, testbench, cycles=10)


def test_run_times_out():
    dut = Slow()

    async def testbench(ctx):
        await get(ctx, dut.o)

    with pytest.raises(TimeoutError, match="1 testbenches have not ended after 10 cycles"):
        run(dut, testbench, cycles=10)
