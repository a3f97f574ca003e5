# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth.hdl import Fragment, Module, Signal, signed, unsigned
from amaranth.lib import data

from deltaloom.hw.parts.pipeline import delay, history, select
from deltaloom.sim.testing.streams import run, set_value


def clocked():
    m = Module()
    m.d.sync += Signal().eq(0)
    return m


@pytest.mark.parametrize("cycles", [0, 1, 3])
def test_delay(cycles):
    m = clocked()
    i = Signal(8)
    o = delay(m, i, cycles, "o")
    outputs = []

    async def testbench(ctx):
        for value in range(10):
            set_value(ctx, i, value + 100)
            outputs.append(ctx.get(o))
            await ctx.tick()

    run(m, testbench, cycles=20)
    assert outputs == [0] * cycles + list(range(100, 110 - cycles))


def test_delay_of_a_view_has_its_fields():
    m = clocked()
    i = Signal(data.StructLayout({"a": signed(4), "b": unsigned(1)}))
    o = delay(m, i, 2, "o")
    outputs = []

    async def testbench(ctx):
        for value in range(-3, 3):
            ctx.set(i, {"a": value, "b": value & 1})
            outputs.append((ctx.get(o.a), ctx.get(o.b)))
            await ctx.tick()

    run(m, testbench, cycles=20)
    assert outputs == [(0, 0), (0, 0), (-3, 1), (-2, 0), (-1, 1), (0, 0)]


def test_history_is_every_delay():
    m = clocked()
    i = Signal(signed(6))
    taps = history(m, i, 3, "i")
    outputs = []

    async def testbench(ctx):
        for value in (-5, 7, -9, 11):
            ctx.set(i, value)
            outputs.append([ctx.get(tap) for tap in taps])
            await ctx.tick()

    run(m, testbench, cycles=20)
    assert outputs == [[-5, 0, 0, 0], [7, -5, 0, 0], [-9, 7, -5, 0], [11, -9, 7, -5]]


@pytest.mark.parametrize("reset", [False, True])
def test_only_registers_with_a_reset_have_one(reset):
    m = Module()
    _, register = history(m, Signal(3), 1, "i", reset=reset)
    Fragment.get(m, None)
    assert register.name == "i_1" and register.reset_less is not reset


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_select(count):
    m = Module()
    index = Signal(range(8))
    values = [Signal(8, init=20 + n) for n in range(count)]
    o = Signal(8)
    m.d.comb += o.eq(select(values, index))
    m.d.sync += Signal().eq(0)
    outputs = []

    async def testbench(ctx):
        for n in range(count):
            ctx.set(index, n)
            outputs.append(ctx.get(o))

    run(m, testbench, cycles=20)
    assert outputs == [20 + n for n in range(count)]
