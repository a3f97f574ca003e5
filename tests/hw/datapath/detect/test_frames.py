# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass, field

import numpy as np
import pytest

from deltaloom.hw.datapath.detect.frames import FrameInput
from deltaloom.hw.words import EncoderRecord
from deltaloom.sim.testing.streams import run, send, set_value

BUSY_CYCLES = 4
NOTHING = dict.fromkeys(EncoderRecord.members, 0)


@dataclass
class Seen:
    """What came out. steps: (first, fresh, parity) of each tag; elements: (j, value, end)."""

    steps: list = field(default_factory=list)
    contexts: list = field(default_factory=list)
    elements: list = field(default_factory=list)
    errors: int = 0
    restarts: int = 0
    starts: int = 0


def words(*frames, firsts=()):
    """Stream words; each frame is the list of its values."""
    return [
        {"value": value, "last": int(n == len(frame) - 1), "first": int(t in firsts and n == 0)}
        for t, frame in enumerate(frames)
        for n, value in enumerate(frame)
    ]


def simulate(inputs, stream, steps, *, pause=lambda: 0, free=1, ready=1.0, restart_at=None):
    """Run `stream` through a FrameInput until `steps` frames are in, and the words are through.

    free, ready: part of the cycles in which the banks get free and the tag is taken;
    restart_at: the restart request is made after this many starts.
    """
    dut = FrameInput(encoders=2, columns=4096)
    seen = Seen()
    rng = np.random.default_rng(1)
    done = False

    async def source(ctx):
        nonlocal done
        records = [NOTHING | {"enable": 1, "list": n, "columns": inputs} for n in range(2)]
        set_value(ctx, dut.record, {"inputs": inputs, "macs": 1, "program": 0, "encoders": records})
        await send(ctx, dut.i, stream, pause)
        done = True

    async def core(ctx):
        busy, quiet = 0, 0
        outputs = dut.o.valid, dut.o.ready, dut.o.payload, dut.element, dut.start
        others = dut.context[1], dut.frame_error, dut.restart_taken, dut.free
        while quiet < 30:
            if not ctx.get(dut.free):
                set_value(ctx, dut.free, int(rng.random() < free))
            set_value(ctx, dut.o.ready, int(rng.random() < ready))
            set_value(ctx, dut.busy, int(busy != 0))
            set_value(ctx, dut.restart, int(restart_at == seen.starts))
            sample = await ctx.tick().sample(*outputs, *others)
            _, _, valid, taken, tag, element, start, context, error, restarted, was_free = sample
            assert start == (valid and taken)
            if start:
                assert busy == 0
                assert was_free
                seen.starts += 1
                seen.steps.append((tag.first, tag.fresh, tag.parity))
                seen.contexts.append((context.first, context.parity, context.record.list))
                seen.elements.append([])
                busy = -1
                set_value(ctx, dut.free, 0)
            if busy > 0:
                busy -= 1
            if element.valid:
                assert busy == -1  # between a start and its last element
                seen.elements[-1].append((element.j, element.value, element.end))
                if element.end:
                    busy = BUSY_CYCLES
            seen.errors += error
            seen.restarts += restarted
            quiet = quiet + 1 if done and not valid and not element.valid else 0

    run(dut, source, core, cycles=5000)
    assert seen.starts == steps
    return seen


def elements(*frames):
    return [[(j, v, int(j == len(f) - 1)) for j, v in enumerate(f)] for f in frames]


FRAMES = [[1, -2, 3], [32767, -32768, 0], [4, 5, 6], [7, 8, 9]]


@pytest.mark.parametrize("gaps", [0.0, 0.6])
@pytest.mark.parametrize(("free", "ready"), [(1, 1), (0.1, 1), (1, 0.1), (0.3, 0.3)])
def test_frames_become_elements(free, ready, gaps):
    rng = np.random.default_rng(2)
    pause = lambda: int(rng.integers(3)) if rng.random() < gaps else 0  # noqa: E731
    stream = words(*FRAMES, firsts=(2,))
    seen = simulate(3, stream, 4, pause=pause, free=free, ready=ready)
    assert seen.elements == elements(*FRAMES)
    assert seen.steps == [(1, 1, 0), (0, 0, 1), (1, 0, 0), (0, 0, 1)]
    assert seen.contexts == [(1, 0, 1), (0, 1, 1), (1, 0, 1), (0, 1, 1)]
    assert seen.errors == 0


def test_one_element_frames():
    seen = simulate(1, words([3], [-4], [5]), 3)
    assert seen.elements == elements([3], [-4], [5])
    assert [parity for _, _, parity in seen.steps] == [0, 1, 0]
    assert seen.errors == 0


@pytest.mark.parametrize("length", [1, 2])
def test_a_short_frame_is_filled_with_zeros(length):
    short = FRAMES[1][:length]
    seen = simulate(3, words(FRAMES[0], short, FRAMES[2]), 3)
    filled = short + [0] * (3 - length)
    assert seen.elements == elements(FRAMES[0], filled, FRAMES[2])
    assert seen.errors == 1


@pytest.mark.parametrize("extra", [1, 4])
def test_a_long_frame_is_cut(extra):
    seen = simulate(3, words([*FRAMES[0], *range(extra)], FRAMES[1]), 2)
    assert seen.elements == elements(*FRAMES[:2])
    assert [parity for _, _, parity in seen.steps] == [0, 1]
    assert seen.errors == 1


def test_long_frames_of_one_element():
    seen = simulate(1, words([1, 9], [2], [3, 9, 9]), 3)
    assert seen.elements == elements([1], [2], [3])
    assert seen.errors == 2


def test_every_malformed_frame_counts_once():
    seen = simulate(3, words([1], [1, 2, 3, 4, 5, 6], [7, 8, 9], [5, 6]), 4)
    assert seen.elements == elements([1, 0, 0], [1, 2, 3], [7, 8, 9], [5, 6, 0])
    assert seen.errors == 3


def test_a_mark_on_a_later_word_of_a_frame_means_nothing():
    stream = words(*FRAMES[:2])
    stream[4]["first"] = 1
    assert simulate(3, stream, 2).steps == [(1, 1, 0), (0, 0, 1)]


def test_restart_marks_the_next_frame_once():
    seen = simulate(3, words(*FRAMES), 4, restart_at=2)
    assert seen.steps == [(1, 1, 0), (0, 0, 1), (1, 0, 0), (0, 0, 1)]
    assert seen.restarts == 1


def test_no_frame_starts_while_its_bank_is_taken():
    dut = FrameInput(encoders=1, columns=4096)

    async def testbench(ctx):
        record = NOTHING | {"enable": 1, "columns": 1}
        set_value(ctx, dut.record, {"inputs": 1, "macs": 1, "program": 0, "encoders": [record]})
        set_value(ctx, dut.i.payload, {"value": 1, "last": 1, "first": 1})
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        for _ in range(20):
            _, _, start, taken = await ctx.tick().sample(dut.start, dut.i.ready)
            assert not start
            assert not taken
        ctx.set(dut.free, 1)
        await ctx.tick()
        assert ctx.get(dut.start)

    run(dut, testbench, cycles=100)
