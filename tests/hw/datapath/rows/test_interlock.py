# SPDX-License-Identifier: Apache-2.0
import pytest

from deltaloom.hw.config import AcceleratorConfig
from deltaloom.hw.datapath.rows.interlock import SUMS_SETTLE, Interlock, gates_settle
from deltaloom.hw.datapath.rows.stages import SCALE, complete_stage
from deltaloom.sim.testing.streams import run

CONFIGS = [AcceleratorConfig(shifts=(10, high)) for high in (10, 20, 40)]


def simulate(config, turns):
    """(cycles with sums_written, cycles with gates_queued); turns: completes_gate by cycle."""
    dut = Interlock(config)
    written, queued = set(), set()

    async def drive(ctx):
        for cycle in range(max(turns, default=0) + 40):
            ctx.set(dut.turn, cycle in turns)
            ctx.set(dut.completes_gate, turns.get(cycle, 0))
            _, _, is_written, is_queued = await ctx.tick().sample(
                dut.sums_written, dut.gates_queued
            )
            if is_written:
                written.add(cycle)
            if is_queued:
                queued.add(cycle)

    run(dut, drive, cycles=1000)
    return written, queued


def gap(cycles):
    """The cycles that are missing."""
    return sorted(set(range(max(cycles))) - cycles)


@pytest.mark.parametrize("config", CONFIGS)
def test_one_word(config):
    written, queued = simulate(config, {4: 1})
    assert gap(written) == list(range(5, 4 + SUMS_SETTLE))
    assert gap(queued) == list(range(5, 4 + gates_settle(config)))


@pytest.mark.parametrize("config", CONFIGS)
def test_the_last_word_counts(config):
    written, queued = simulate(config, {4: 1, 5: 0, 7: 1, 9: 0})
    assert gap(written) == list(range(5, 9 + SUMS_SETTLE))
    assert gap(queued) == list(range(5, 7 + gates_settle(config)))


def test_words_for_m_only_keep_no_layer_waiting():
    _, queued = simulate(CONFIGS[0], {4: 0, 5: 0})
    assert gap(queued) == []


def test_nothing_to_wait_for_after_reset():
    written, queued = simulate(CONFIGS[0], {})
    assert 0 in written and 0 in queued


def test_what_is_waited_for_has_happened():
    """M is written in stage SCALE, so a word of the cycle after may read it; the gate is queued."""
    assert SUMS_SETTLE > SCALE
    for config in CONFIGS:
        assert gates_settle(config) > complete_stage(config)
