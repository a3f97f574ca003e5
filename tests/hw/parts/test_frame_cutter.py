# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data

from deltaloom.hw.parts.frame_cutter import FrameCutter
from deltaloom.sim.testing.streams import run, send

WORD = data.StructLayout({"value": unsigned(8), "last": unsigned(1)})


def cut(*frames, size, gap=0, there=1.0, taken=1.0):
    """Cut frames of any size to `size` words: (frames, errors, cycles of each frame's words).

    gap: cycles from idle to the next start; there, taken: the odds of a word, and of its taker.
    """
    rng = np.random.default_rng(len(frames))
    dut = FrameCutter(WORD)
    m = Module()
    m.submodules.dut = dut
    index = Signal(8)
    m.d.comb += dut.at_last.eq(index == size - 1)
    with m.If(dut.o.valid & dut.o.ready):
        m.d.sync += index.eq(index + 1)
        with m.If(dut.at_last):
            m.d.sync += index.eq(0)
    words = [
        {"value": value, "last": n == len(frame) - 1}
        for frame in frames
        for n, value in enumerate(frame)
    ]
    found, cycles, errors = [[]], [[]], 0

    async def source(ctx):
        await send(ctx, dut.i, words, lambda: 0 if rng.random() < there else int(rng.integers(4)))

    async def sink(ctx):
        nonlocal errors
        waited, cycle = 0, 0
        while len(found) <= len(frames) or not ctx.get(dut.idle):
            start = len(found) <= len(frames) and waited >= gap
            ctx.set(dut.start, start and ctx.get(dut.idle))
            ctx.set(dut.o.ready, rng.random() < taken)
            sample = dut.idle, dut.start, dut.o.valid, dut.o.ready, dut.o.payload, dut.error
            _, _, idle, _, valid, ready, word, error = await ctx.tick().sample(*sample)
            waited = waited + 1 if idle else 0
            errors += error
            if valid and ready:
                found[-1].append(word.value)
                cycles[-1].append(cycle)
                if len(found[-1]) == size:
                    found.append([])
                    cycles.append([])
            cycle += 1

    run(m, source, sink, cycles=2000)
    return found[:-1], errors, cycles[:-1]


RIGHT = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize(("there", "taken"), [(1, 1), (0.3, 1), (1, 0.3), (0.5, 0.5)])
def test_frames_of_the_right_size_pass(there, taken, gap):
    found, errors, _ = cut(*RIGHT, size=3, gap=gap, there=there, taken=taken)
    assert found == RIGHT
    assert errors == 0


@pytest.mark.parametrize("taken", [1.0, 0.4])
@pytest.mark.parametrize("length", [1, 2])
def test_a_short_frame_is_filled_with_zeros(length, taken):
    found, errors, _ = cut(RIGHT[0], RIGHT[1][:length], RIGHT[2], size=3, taken=taken)
    assert found == [RIGHT[0], RIGHT[1][:length] + [0] * (3 - length), RIGHT[2]]
    assert errors == 1


@pytest.mark.parametrize("taken", [1.0, 0.4])
@pytest.mark.parametrize("more", [1, 5])
def test_what_is_too_long_is_dropped(more, taken):
    found, errors, _ = cut(RIGHT[0], RIGHT[1] + [99] * more, RIGHT[2], size=3, taken=taken)
    assert found == RIGHT
    assert errors == 1


def test_frames_of_one_word():
    found, errors, _ = cut([1], [2, 99, 99], [3], size=1)
    assert found == [[1], [2], [3]]
    assert errors == 1


def test_each_wrong_frame_is_one_error():
    found, errors, _ = cut([1], [2, 3, 4, 5], [6, 7], [8, 9, 10], size=3)
    assert found == [[1, 0, 0], [2, 3, 4], [6, 7, 0], [8, 9, 10]]
    assert errors == 3


def test_a_word_a_cycle_and_one_cycle_between_two_frames():
    _, _, cycles = cut(*RIGHT, size=3)
    first = cycles[0][0]
    assert cycles == [[first + 4 * n + k for k in range(3)] for n in range(3)]


def test_nothing_is_taken_before_the_start():
    dut = FrameCutter(WORD)

    async def testbench(ctx):
        ctx.set(dut.i.payload, {"value": 5, "last": 1})
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        for _ in range(10):
            _, _, idle, valid, ready = await ctx.tick().sample(dut.idle, dut.o.valid, dut.i.ready)
            assert (idle, valid, ready) == (1, 0, 0)

    run(dut, testbench, cycles=100)
