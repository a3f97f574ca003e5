# SPDX-License-Identifier: Apache-2.0
"""The sequence buffer's input alone: where sequences end, and what is written where."""

import pytest

from deltaloom.hw.bus.sequence_input import SequenceInput
from deltaloom.hw.config import AcceleratorConfig
from deltaloom.sim.testing.streams import run, send, set_value

STRIDE, UNITS, ROOM = 5, 2, 3
CONFIG = AcceleratorConfig(sequence_words=16, sweeps=2)
RECORD = {
    "backward": 0,
    "compute": 1,
    "emit": 1,
    "end": 1,
    "source_count": 1,
    "sources": [{"offset": 0, "units": UNITS}],
    "target": {"offset": 0, "units": 0},
    "stride": STRIDE,
    "frames": ROOM,
}


def frame(*values, first=0, end=0):
    """A frame's words; `first` with the first one, `end` with the last one."""
    return [
        {
            "value": value,
            "last": int(n == len(values) - 1),
            "first": int(first and n == 0),
            "end": int(end and n == len(values) - 1),
        }
        for n, value in enumerate(values)
    ]


def simulate(*frames, count, restart=False):
    """Sequences, each as (memory, held, last), and pulses (errors, cuts, restarts)."""
    dut = SequenceInput(CONFIG)
    sequences, pulses = [], [0, 0, 0]

    async def source(ctx):
        await send(ctx, dut.i, [word for words in frames for word in words])

    async def sweeps(ctx):
        set_value(ctx, dut.record, RECORD)
        ctx.set(dut.enable, 1)
        ctx.set(dut.restart, restart)
        memory, busy = {}, 0
        while len(sequences) < count:
            ctx.set(dut.enable, busy == 0)
            ctx.set(dut.end, busy == 1)
            held = ctx.get(dut.held), ctx.get(dut.last)
            write = dut.write.en, dut.write.addr, dut.write.data
            seen = dut.frame_error, dut.cut, dut.restart_taken
            values = await ctx.tick().sample(dut.complete, *write, *seen)
            _, _, complete, en, addr, value, *flags = values
            for n, flag in enumerate(flags):
                pulses[n] += flag
            if flags[2]:
                ctx.set(dut.restart, 0)
            if en:
                assert not busy
                memory[addr] = value
            busy = max(busy - 1, 0)
            if complete:
                sequences.append((memory, *held))
                memory, busy = {}, 6

    run(dut, source, sweeps, cycles=500)
    return sequences, tuple(pulses)


def test_a_sequence_ends_with_its_marked_frame():
    frames = frame(1, 2, first=1), frame(3, 4, end=1), frame(5, 6, end=1)
    sequences, pulses = simulate(*frames, count=2)
    assert sequences == [({0: 1, 1: 2, 5: 3, 6: 4}, 2, 5), ({0: 5, 1: 6}, 1, 0)]
    assert pulses == (0, 0, 0)


def test_a_sequence_ends_where_the_next_one_starts():
    frames = frame(1, 2, first=1), frame(3, 4, first=1, end=1)
    sequences, pulses = simulate(*frames, count=2)
    assert sequences == [({0: 1, 1: 2}, 1, 0), ({0: 3, 1: 4}, 1, 0)]
    assert pulses == (0, 0, 0)


def test_one_that_does_not_fit_is_cut():
    frames = [frame(n, n, end=n == ROOM + 1) for n in range(ROOM + 2)]
    sequences, pulses = simulate(*frames, count=2)
    assert [(held, last) for _, held, last in sequences] == [(ROOM, 2 * STRIDE), (2, STRIDE)]
    assert pulses == (0, 1, 0)


@pytest.mark.parametrize("values", [(1,), (1, 2, 3, 4)])
def test_frames_of_the_wrong_size(values):
    sequences, pulses = simulate(frame(*values), frame(7, 8, end=1), count=1)
    assert sequences == [({0: 1, 1: 2 if len(values) > 1 else 0, 5: 7, 6: 8}, 2, 5)]
    assert pulses == (1, 0, 0)


def test_an_end_mark_counts_on_a_word_that_is_dropped():
    sequences, _ = simulate(frame(1, 2, 3, 4, end=1), frame(5, 6, end=1), count=2)
    assert [held for _, held, _ in sequences] == [1, 1]


def test_a_restart_is_taken_once():
    _, pulses = simulate(frame(1, 2), frame(3, 4, end=1), count=1, restart=True)
    assert pulses == (0, 0, 1)
