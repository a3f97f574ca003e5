# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from deltaloom.hw.config import AcceleratorConfig
from deltaloom.hw.datapath.units.outputs import Outputs, output_words
from deltaloom.sim.testing.streams import run, set_value

SHAPES = [(1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (8, 4)]


def make(units, elements):
    return AcceleratorConfig(word_bits=64, drain_rows=2, cell_units=units, output_elements=elements)


def simulate(config, counts, *, taken):
    """Unit-words of so many units, each a frame: (values sent, beats, most units under way).

    A unit-word's room is reserved as early as may be: a cycle after `room` was high.
    """
    dut = Outputs(config)
    together, elements = config.cell_units, config.output_elements
    rng = np.random.default_rng(7)
    values = [rng.integers(-32768, 32768, count).tolist() for count in counts]
    beats_left = sum(-(-count // elements) for count in counts)
    beats, under_way, most = [], 0, 0

    async def source(ctx):
        nonlocal under_way, most
        reserved, had_room, sent = 0, False, 0
        pending = []
        while sent < len(values):
            take = had_room and reserved < len(values) and (rng.random() < 0.7)
            had_room = ctx.get(dut.room)
            ctx.set(dut.take, take)
            if take:
                set_value(ctx, dut.units, counts[reserved])
                pending.append(reserved)
                under_way += counts[reserved]
                most = max(most, under_way)
                reserved += 1
            ctx.set(dut.i.valid, 0)
            if pending and rng.random() < 0.8:
                n = pending[0]
                left = values[n][:together]
                payload = {"layer": 0, "unit": 0, "end": int(len(values[n]) <= together)}
                if together == 1:
                    payload["h"] = left[0]
                else:
                    payload["h"] = left + [0] * (together - len(left))
                    payload["mask"] = (1 << len(left)) - 1
                set_value(ctx, dut.i.payload, payload)
                ctx.set(dut.i.valid, 1)
                values[n] = values[n][together:]
                if not values[n]:
                    pending.pop(0)
                    sent += 1
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.take, 0)

    async def sink(ctx):
        nonlocal under_way
        while len(beats) < beats_left:
            ready = rng.random() < taken
            ctx.set(dut.o.ready, ready)
            _, _, valid, word = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid and ready:
                one = [word.value] if elements == 1 else [word.value[n] for n in range(elements)]
                beats.append((one, word.last))
                under_way -= elements

    expected = [list(each) for each in values]
    run(dut, source, sink, cycles=6000)
    return expected, beats, most


@pytest.mark.parametrize(("units", "elements"), SHAPES)
@pytest.mark.parametrize("taken", [1.0, 0.3])
def test_outputs_leave_in_order_and_none_is_lost(units, elements, taken):
    config = make(units, elements)
    rng = np.random.default_rng(units)
    counts = rng.integers(1, config.unit_word + 1, 40).tolist()
    values, beats, _ = simulate(config, counts, taken=taken)
    expected = []
    for each in values:
        for first in range(0, len(each), elements):
            expected.append((each[first : first + elements], int(first + elements >= len(each))))
    assert len(beats) == len(expected)
    for (beat, last), (frame, ends) in zip(beats, expected, strict=True):
        assert (beat[: len(frame)], last) == (frame, ends)


def test_nothing_is_reserved_beyond_the_queue():
    config = make(1, 1)
    _, _, most = simulate(config, [config.unit_word] * 80, taken=0.05)
    assert output_words(config) - 2 * config.unit_word <= most <= output_words(config)
