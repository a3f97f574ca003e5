# SPDX-License-Identifier: Apache-2.0
import gc
import random

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from deltaloom.hw.bus.register_map import REGISTER, STATE_SPACE
from deltaloom.hw.bus.registers import WIDE, Registers

UNUSED = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
"""For a component whose __init__ raises: it is never elaborated, and goes with the collection."""

ERROR = "error"


class Bench:
    """Register bus accesses by byte address; a refused one gives ERROR."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut = ctx, dut

    async def write(self, address, value):
        ctx, bus = self.ctx, self.dut.bus
        ctx.set(bus.w_addr, address // 4)
        ctx.set(bus.w_data, value)
        ctx.set(bus.w_valid, 1)
        (error,) = await ctx.tick().sample(bus.w_error).until(bus.w_ready)
        ctx.set(bus.w_valid, 0)
        ctx.set(bus.w_data, 0xFFFFFFFF)
        return ERROR if error else None

    async def read(self, address):
        ctx, bus = self.ctx, self.dut.bus
        ctx.set(bus.r_addr, address // 4)
        ctx.set(bus.r_en, 1)
        assert not ctx.get(bus.r_valid)
        await ctx.tick()
        ctx.set(bus.r_en, 0)
        data, error = await ctx.tick().sample(bus.r_data, bus.r_error).until(bus.r_valid)
        return ERROR if error else data

    async def counter(self, name):
        address = REGISTER[name].address
        low = await self.read(address)
        return low | (await self.read(address + 4) << 32 if name in WIDE else 0)


def simulate(bench, *, background=None, reset=None, **parameters):
    dut = Registers(**{"thresholds": [3, 0, 65535], "state_words": 10, "lanes": 8, **parameters})
    sim = Simulator(dut if reset is None else ResetInserter(reset)(dut))
    sim.add_clock(1e-8)

    async def run(ctx):
        await bench(ctx, dut, Bench(ctx, dut))

    async def run_background(ctx):
        await background(ctx, dut)

    sim.add_testbench(run)
    if background:
        sim.add_testbench(run_background, background=True)
    sim.run()


def test_identity():
    async def bench(ctx, dut, io):
        assert (await io.read(0)).to_bytes(4, "little") == b"dlom"
        assert await io.read(4) == 0x100
        assert await io.read(0xC) == 0
        ctx.set(dut.busy, 1)
        assert await io.read(0xC) == 1

    simulate(bench)


def test_what_is_not_there():
    """Unmapped, read-only and write-only: an error, and no register changes."""

    async def bench(ctx, dut, io):
        for address in (0x08, 0x40, 0x0FFC, 0x100C, 0x17FC, 0x180C, 0x2000, 0x400028):
            assert await io.read(address) == ERROR, hex(address)
        for address in (0x7FFFFC, 0x800000, 0xFFFFFC):
            assert await io.read(address) == ERROR, hex(address)
        for address in (0x00, 0x04, 0x0C, 0x10, 0x38, 0x40, 0x0FFC, 0x100C, 0x1800, 0x400000):
            assert await io.write(address, 1) == ERROR, hex(address)
        assert [await io.read(0x1000 + 4 * n) for n in range(3)] == [3, 0, 65535]
        assert not ctx.get(dut.new_sequence)

    simulate(bench)


def test_thresholds():
    """Initial values, run-time values, what the encoders are told, and what is out of range."""
    told = []

    async def encoder(ctx, dut):
        port = dut.set_threshold
        async for _, _, en, n, value in ctx.tick().sample(port.en, port.list, port.value):
            if en:
                told.append((n, value))

    async def bench(ctx, dut, io):
        wanted = [3, 0, 65535]
        sent = list(enumerate(wanted))
        for changes in ({}, {1: 65535, 2: 0}, {0: 77}):
            for n, value in changes.items():
                assert await io.write(0x1000 + 4 * n, value) is None
                wanted[n] = value
                sent.append((n, value))
            for n in (2, 0, 1):
                assert await io.read(0x1000 + 4 * n) == wanted[n]
        for value in (65536, 0x80000000, 0xFFFFFFFF):
            assert await io.write(0x1004, value) == ERROR
        assert await io.read(0x1004) == wanted[1]
        await ctx.tick().repeat(3)
        assert told == sent

    simulate(bench, background=encoder)


def test_reset_restores_thresholds_and_tells_them():
    """A write right after reset waits until the initial thresholds are out, and comes last."""
    told = []

    async def encoder(ctx, dut):
        port = dut.set_threshold
        while True:
            _, reset, en, n, value = await ctx.tick().sample(port.en, port.list, port.value)
            if en and not reset:
                told.append((n, value))

    async def bench(ctx, dut, io):
        await io.write(0x1000, 5)
        await io.write(0x08, 1)
        ctx.set(ctx_reset, 1)
        await ctx.tick()
        told.clear()
        ctx.set(ctx_reset, 0)
        await io.write(0x1008, 9)
        assert not ctx.get(dut.new_sequence)
        assert [await io.read(0x1000 + 4 * n) for n in range(3)] == [3, 0, 9]
        assert told == [(0, 3), (1, 0), (2, 65535), (2, 9)]

    ctx_reset = Signal()
    simulate(bench, background=encoder, reset=ctx_reset)


def test_new_sequence_sticks_until_taken():
    async def bench(ctx, dut, io):
        assert not ctx.get(dut.new_sequence)
        await io.write(0x08, 2)
        assert not ctx.get(dut.new_sequence)
        await io.write(0x08, 1)
        await ctx.tick().repeat(5)
        assert ctx.get(dut.new_sequence)
        ctx.set(dut.new_sequence_taken, 1)
        await ctx.tick()
        assert not ctx.get(dut.new_sequence)
        await io.write(0x08, 1)  # with a frame that starts in the same cycle: for the one after it
        ctx.set(dut.new_sequence_taken, 0)
        assert ctx.get(dut.new_sequence)

    simulate(bench)


@pytest.mark.parametrize("seed", range(3))
def test_counters_against_a_model(seed):
    """Random activity in every cycle, reads of all counters in between, clears now and then."""
    rng = random.Random(seed)
    names = [*WIDE, "FRAME_ERRORS"]
    model = dict.fromkeys(names, 0)
    events = [0, 0, 0]

    async def bench(ctx, dut, io):
        inputs = [dut.busy, dut.step_done, dut.dense_macs, dut.beat, dut.macs_done]
        inputs += [dut.frame_error, dut.list_events]

        def quiet():
            for signal in inputs:
                ctx.set(signal, 0)

        for _ in range(40):
            for _ in range(rng.randrange(20)):
                busy, step, beat, error = (rng.getrandbits(1) for _ in range(4))
                dense, done, fired = rng.getrandbits(32), rng.randrange(9), rng.getrandbits(3)
                values = [busy, step, dense, beat, done, error, fired]
                for signal, value in zip(inputs, values, strict=True):
                    ctx.set(signal, value)
                await ctx.tick()
                amounts = [step, busy, beat, done, dense * step, error]
                for name, amount in zip(names, amounts, strict=True):
                    model[name] += amount
                for n in range(3):
                    events[n] += fired >> n & 1
            quiet()
            for name in names:
                assert await io.counter(name) == model[name], name
            assert [await io.read(0x1800 + 4 * n) for n in range(3)] == events
            if rng.random() < 0.1:
                for signal in inputs:
                    ctx.set(signal, 1)  # counting in the cycle of the clear is lost
                await io.write(0x08, 2)
                await ctx.tick()  # so is that of the next cycle
                quiet()
                model.update(dict.fromkeys(names, 0))
                events[:] = [0, 0, 0]

    simulate(bench)


def test_low_word_fixes_the_high_word():
    """A carry between the two reads does not tear the counter."""

    async def bench(ctx, dut, io):
        ctx.set(dut.dense_macs, 0xFFFFFFFF)
        ctx.set(dut.step_done, 1)
        await ctx.tick()
        ctx.set(dut.step_done, 0)
        assert await io.read(0x30) == 0xFFFFFFFF
        ctx.set(dut.step_done, 1)
        await ctx.tick().repeat(3)
        ctx.set(dut.step_done, 0)
        assert await io.read(0x34) == 0
        assert await io.read(0x30) == 0xFFFFFFFC
        assert await io.read(0x34) == 3

    simulate(bench)


def test_state_words():
    """Every word, while the core lends its port now and then."""
    rng = random.Random(5)
    words = [rng.getrandbits(32) for _ in range(10)]

    async def core(ctx, dut):
        state = dut.state
        while True:
            lend = rng.random() < 0.3
            ctx.set(state.ready, lend)
            taken, addr = ctx.get(state.en) and lend, ctx.get(state.addr)
            await ctx.tick()
            ctx.set(state.data, words[addr] if taken else rng.getrandbits(32))

    async def bench(ctx, dut, io):
        for _ in range(5):
            for n in rng.sample(range(10), 10):
                assert await io.read(0x400000 + 4 * n) == words[n]
        assert await io.read(0x400000 + 4 * 10) == ERROR

    simulate(bench, background=core)


def test_image_writes():
    """Pass on with backpressure and errors; refused, and not passed on, while busy."""
    rng = random.Random(6)
    got = []

    async def loader(ctx, dut):
        image = dut.image
        while True:
            ready = rng.random() < 0.4
            addr, data, valid = (ctx.get(s) for s in (image.addr, image.data, image.valid))
            ctx.set(image.ready, ready)
            ctx.set(image.error, addr % 3 == 0)
            if valid and ready:
                got.append((addr, data))
            await ctx.tick()

    async def bench(ctx, dut, io):
        wanted = []
        for _ in range(30):
            addr, data = rng.randrange(1 << 21), rng.getrandbits(32)
            busy = rng.random() < 0.3
            ctx.set(dut.busy, busy)
            error = await io.write(0x800000 + 4 * addr, data)
            assert (error == ERROR) == (busy or addr % 3 == 0)
            if not busy:
                wanted.append((addr, data))
        await io.write(0x1000, 5)
        assert got == wanted

    simulate(bench, background=loader)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"thresholds": []}, "there must be 1..32 lists, not 0"),
        ({"thresholds": [0] * 33}, "there must be 1..32 lists, not 33"),
        ({"thresholds": [65536]}, "a threshold must be 0..65535, not 65536"),
        ({"thresholds": [-1]}, "a threshold must be 0..65535, not -1"),
        ({"state_words": 0}, "state_words must be"),
        ({"state_words": STATE_SPACE + 1}, "state_words must be"),
        ({"lanes": 0}, "lanes must be at least 1"),
    ],
)
@UNUSED
def test_parameters(bad, message):
    with pytest.raises(ValueError, match=message):
        Registers(**{"thresholds": [0], "state_words": 1, "lanes": 1, **bad})
    gc.collect()


def test_one_list_and_one_state_word():
    async def bench(ctx, dut, io):
        ctx.set(dut.state.ready, 1)
        ctx.set(dut.state.data, 0xDEADBEEF)
        assert await io.read(0x400000) == 0xDEADBEEF
        assert await io.read(0x400004) == ERROR
        assert await io.read(0x1000) == 9
        ctx.set(dut.list_events, 1)
        await ctx.tick().repeat(3)
        ctx.set(dut.list_events, 0)
        assert await io.read(0x1800) == 3

    simulate(bench, thresholds=[9], state_words=1, lanes=1)
