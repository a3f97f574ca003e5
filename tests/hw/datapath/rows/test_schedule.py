# SPDX-License-Identifier: Apache-2.0
"""When rounds begin, to the cycle. What D-words carry is tested with `Accumulate`."""

from deltaloom.hw.config import AcceleratorConfig
from deltaloom.hw.datapath.rows.interlock import SUMS_SETTLE, gates_settle
from deltaloom.hw.datapath.rows.schedule import RowSchedule
from deltaloom.hw.words import row_pass
from deltaloom.sim.testing.streams import run, send, set_value

CONFIG = AcceleratorConfig(word_bits=64, drain_rows=2, shifts=(8, 20))
ENTRY = {"slot": 0, "shift": 8, "init": 0, "flush": 0}


def one(words=3, *, empty=0, more=0, flush=0, **fields):
    """A round of a pass with so many D-words, each a unit-word."""
    entry = [ENTRY | {"flush": flush}, *[ENTRY] * 3]
    base = {"unit_words": words, "entries": 1, "entry": entry}
    return dict.fromkeys(row_pass().members, 0) | base | fields, {"empty": empty, "more": more}


def simulate(rounds, *, sums=lambda cycle: True, room=lambda cycle: True, ready_after=0):
    """Cycles of turns by round, counted from the first one; and those with layer_start.

    ready_after: cycles that layer_ready comes after layer_start.
    """
    dut = RowSchedule(CONFIG)
    turns, asked = [[]], []
    total = sum(p["unit_words"] for p, _ in rounds)

    async def drive(ctx):
        tag = {"first": 0, "fresh": 0, "parity": 0}
        for p, kind in rounds:
            set_value(ctx, dut.round, kind)
            await send(ctx, dut.i, [{"pass": p, "step": tag}])

    async def watch(ctx):
        ctx.set(dut.output_room, 1)
        waited = cycle = 0
        while sum(map(len, turns)) < total:
            ctx.set(dut.sums_valid, sums(cycle))
            ctx.set(dut.room, room(cycle))
            start = ctx.get(dut.layer_start)
            ctx.set(dut.layer_ready, start and waited >= ready_after)
            waited = waited + 1 if start else 0
            _, _, turn, starts = await ctx.tick().sample(dut.turn, dut.layer_start)
            if starts:
                asked.append(cycle)
            if turn:
                turns[-1].append(cycle)
                if len(turns[-1]) == rounds[len(turns) - 1][0]["unit_words"]:
                    turns.append([])
            cycle += 1

    run(dut, drive, watch, cycles=500)
    return turns[:-1], asked


def test_rounds_that_wait_for_nothing_follow_without_a_gap():
    turns, asked = simulate([one(3), one(1), one(1, empty=1), one(4)])
    start = turns[0][0]
    assert [cycle for turn in turns for cycle in turn] == list(range(start, start + 9))
    assert asked == []


def test_a_step_begins_when_its_sums_are_written():
    (first, second), _ = simulate([one(3), one(2, step_start=1)])
    assert second[0] - first[-1] == SUMS_SETTLE + 1
    assert second[1] - second[0] == 1


def test_another_round_of_the_same_pass_waits_for_the_sums_too():
    (first, second), _ = simulate([one(3, more=1), one(3)])
    assert second[0] - first[-1] == SUMS_SETTLE + 1


def test_a_layer_begins_when_the_gates_of_the_one_before_are_queued():
    (first, second), asked = simulate([one(3, last=1), one(2, layer_start=1, last=1)])
    assert asked == [first[-1] + gates_settle(CONFIG)]
    assert second[0] == asked[-1] + 1


def test_only_a_layers_last_round_asks_for_its_context():
    rounds = [one(1), one(3, layer_start=1, more=1), one(3, layer_start=1)]
    turns, asked = simulate(rounds, ready_after=4)
    assert turns[1][0] == turns[0][0] + 1
    assert len(asked) == 5
    assert turns[2][0] == asked[-1] + 1


def test_a_word_waits_for_its_sums_unless_none_come():
    def never(cycle):
        return False

    turns, _ = simulate([one(3, empty=1), one(2, flush=1)], sums=never)
    assert [len(turn) for turn in turns] == [3, 2]
    turns, _ = simulate([one(3)], sums=lambda cycle: cycle > 9 and cycle % 2 == 1)
    assert turns == [[11, 13, 15]]


def test_a_word_that_completes_a_gate_waits_for_room_of_the_cycle_before():
    turns, _ = simulate([one(3, last=1)], room=lambda cycle: cycle in (10, 14, 15))
    assert turns == [[11, 15, 16]]
    turns, _ = simulate([one(3)], room=lambda cycle: False)
    assert len(turns[0]) == 3
