# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from deltaloom.golden.engines.engine import run as run_golden
from deltaloom.golden.models.synthetic import make_frames, make_network
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.compiler.plan import Plan
from deltaloom.hw.datapath.core import Core
from deltaloom.sim.testing.core import (
    beats,
    check_core,
    feed,
    load_image,
    network_of_paths,
    run_core,
)


def sequences(network, *lengths, seed=0):
    return [
        make_frames(network.inputs, steps, seed=seed + n, smooth=0.6)
        for n, steps in enumerate(lengths)
    ]


def with_weights(network, value):
    """The same network with all weights at `value`."""
    return replace(
        network,
        layers=tuple(
            replace(
                layer,
                paths=tuple(
                    replace(p, weights=np.full_like(p.weights, value)) for p in layer.paths
                ),
            )
            for layer in network.layers
        ),
    )


@pytest.mark.parametrize("threshold", [0, 6])
@pytest.mark.parametrize(
    ("shape", "inputs", "word_bits"),
    [
        ([("lstm", 1)], 1, 8),
        ([("lstm", 3), ("linear", 1)], 2, 8),
        ([("lstm", 3)], 1, 24),
        ([("lstm", 9), ("linear", 4)], 5, 40),
        ([("linear", 3)], 4, 32),
        ([("lstm", 4), ("lstm", 3), ("lstm", 5), ("linear", 2)], 3, 32),
        ([("linear", 5), ("linear", 1), ("lstm", 2)], 3, 16),
    ],
)
def test_shapes(shape, inputs, word_bits, threshold):
    network = make_network(shape, inputs, threshold=threshold)
    check_core(network, sequences(network, 3, 1, 2), word_bits=word_bits)


def test_37_units():
    network = make_network([("lstm", 37), ("linear", 5)], 11, threshold=9)
    check_core(network, sequences(network, 2, 1), word_bits=128)


def test_129_units_take_several_passes():
    network = make_network([("linear", 129)], 3)
    check_core(network, sequences(network, 2, 1), word_bits=64, drain_rows=2)


@pytest.mark.parametrize("activation_bits", [2, 4, 8, 16])
@pytest.mark.parametrize("weight_bits", [2, 4, 8, 16])
def test_widths(weight_bits, activation_bits):
    network = make_network(
        [("lstm", 5), ("linear", 2)],
        3,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        threshold=1,
    )
    check_core(network, sequences(network, 3, 1), word_bits=weight_bits * 4, drain_rows=2)


@pytest.mark.parametrize("drain_rows", [1, 2, 3, 6])
def test_drain_rows(drain_rows):
    network = make_network([("lstm", 7)], 2)
    check_core(network, sequences(network, 2, 1), word_bits=48, drain_rows=drain_rows)


def test_one_word_covers_many_times_all_rows():
    network = make_network([("lstm", 2)], 2)
    check_core(network, sequences(network, 2, 2), word_bits=512, drain_rows=2)


@pytest.mark.parametrize("frame", [0, 32767, -32768])
def test_constant_frames(frame):
    """From the second frame on there are few events or none: all lists of the input are empty."""
    network = make_network([("lstm", 3), ("linear", 2)], 3)
    constant = [np.full((3, 3), frame), np.full((2, 3), frame)]
    check_core(network, constant, word_bits=32)


@pytest.mark.parametrize("weight", [-128, 127])
def test_saturating_weights(weight):
    network = with_weights(make_network([("lstm", 4), ("linear", 4)], 6), weight)
    full_scale = [np.tile([[32767], [-32768]], (2, 6))]
    check_core(network, full_scale, word_bits=32)


@pytest.mark.parametrize(
    "paths",
    [
        [("x", "ifgo"), ("h", "ifo"), ("h", "g")],
        [("x", "if"), ("h", "ifgo")],
        [("h", "go"), ("x", "o"), ("x", "ifg")],
        [("x", "ogfi"), ("h", "f")],
        [("x", "ifgo")],
    ],
)
def test_paths_that_feed_only_some_gates(paths):
    network = network_of_paths(paths, 5, 3, threshold=2)
    check_core(network, sequences(network, 3, 1), word_bits=32, drain_rows=2)


def test_activation_widths_differ_by_path():
    wide = network_of_paths([("x", "ifgo"), ("h", "ifo"), ("h", "g")], 4, 3)
    paths = wide.layers[0].paths
    other = network_of_paths([("x", "i"), ("h", "g")], 4, 3, activation_bits=16, seed=1)
    mixed = (*paths[:2], other.layers[0].paths[1])
    network = replace(wide, layers=(replace(wide.layers[0], paths=mixed),))
    check_core(network, sequences(network, 3, 1), word_bits=32)


@pytest.mark.parametrize("widths", [(2, 8, 16), (4, 4, 8), (16, 2, 2), (8, 16, 4)])
def test_weight_widths_differ_by_path(widths):
    paths = [("x", "ifgo"), ("h", "ifo"), ("h", "g")]
    network = network_of_paths(paths, 5, 3, widths=widths, threshold=1)
    check_core(network, sequences(network, 3, 1), word_bits=64, drain_rows=2)


def test_sums_of_more_than_35_bits():
    network = make_network([("linear", 2)], 40, weight_bits=16, activation_bits=16)
    assert derive_config(network).sum_bits > 35
    check_core(network, sequences(network, 2), word_bits=32)


def test_zero_points():
    network = make_network([("lstm", 4), ("linear", 3)], 3)
    layers = tuple(
        replace(
            layer,
            paths=tuple(
                replace(p, quantizer=replace(p.quantizer, zero_point=-128 if n else 77))
                for n, p in enumerate(layer.paths)
            ),
        )
        for layer in network.layers
    )
    network = replace(network, layers=layers)
    check_core(network, sequences(network, 3, 2), word_bits=32)


@pytest.mark.parametrize(("idle", "stall"), [(0.5, 0.0), (0.0, 0.9), (0.3, 0.6)])
def test_idle_input_and_stalled_output(idle, stall):
    network = make_network([("lstm", 5), ("linear", 6)], 4, threshold=3)
    check_core(network, sequences(network, 4, 1, 3), word_bits=32, idle=idle, stall=stall)


def test_outputs_that_nobody_takes_stop_the_network_and_lose_nothing():
    """More outputs than the output queue holds, taken only at one cycle in sixty."""
    network = make_network([("linear", 40)], 1)
    check_core(network, sequences(network, 5), word_bits=32, stall=0.98)


def test_runs_are_the_same_in_a_larger_accelerator():
    network = make_network([("lstm", 5), ("linear", 2)], 3, threshold=2)
    small = derive_config(network, word_bits=32)
    large = replace(
        small,
        cells=("linear", "lstm"),
        encoders=3,
        input_encoders=2,
        sum_bits=small.sum_bits + 3,
        pre_bits=small.pre_bits + 3,
        shifts=(0, 40),
        quantizer_shifts=(0, 40),
        activation_bits=16,
        lists=9,
        layers=5,
        weight_words=small.weight_words + 7,
        row_words=small.row_words + 3,
        events=50,
        input_events=50,
        references=30,
        input_references=30,
        states=20,
        program=small.program + 5,
    )
    check_core(network, sequences(network, 3, 1), config=large)


def test_first_frame_starts_a_sequence_without_its_mark():
    network = make_network([("lstm", 3)], 2)
    check_core(network, sequences(network, 3), word_bits=16, mark=False)


def baked(network, **options):
    config = derive_config(network, **options)
    return Core(config, compile_network(network, config))


def expect(network, frames, got):
    expected = np.concatenate([g.outputs for g in run_golden(network, frames)])
    np.testing.assert_array_equal(np.reshape(got, (-1, network.outputs)), expected)


def test_restart_starts_a_sequence_without_its_mark():
    network = make_network([("lstm", 3)], 2)
    core = baked(network, word_bits=16)
    one, two = sequences(network, 2, 3)

    async def source(ctx):
        await feed(ctx, core, [one])
        ctx.set(core.restart, 1)
        await feed(ctx, core, [two], mark=False)

    async def host(ctx):
        while not (await ctx.tick().sample(core.restart_taken))[2]:
            pass
        ctx.set(core.restart, 0)

    expect(network, [one, two], run_core(core, source, 5, host).outputs)


def test_reset_in_the_middle_of_a_frame_at_any_time():
    network = make_network([("lstm", 3), ("linear", 2)], 3)
    frames = sequences(network, 3, 1)
    for cycles in (1, 7, 20, 33, 61, 100, 147, 210):
        core = baked(network, word_bits=32)
        reset = Signal()

        async def source(ctx, core=core, reset=reset, cycles=cycles):
            await feed(ctx, core, [frames[0][:2]])
            ctx.set(core.i.valid, 1)
            await ctx.tick().repeat(cycles)
            ctx.set(core.i.valid, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            await feed(ctx, core, frames, mark=False)

        whole = np.concatenate(frames)
        result = run_core(core, source, 4, dut=ResetInserter(reset)(core), reset=reset)
        expect(network, [whole], result.outputs)
        assert result.frames == 4


def test_image_is_loaded_over_the_write_ports():
    network = make_network([("lstm", 5), ("linear", 2)], 3, threshold=4)
    config = derive_config(network, word_bits=64)
    image = compile_network(network, config)
    core = Core(config)
    frames = sequences(network, 3, 2)

    async def source(ctx):
        await load_image(ctx, core, image, config)
        await feed(ctx, core, frames)

    expect(network, frames, run_core(core, source, 5).outputs)


def test_thresholds_set_between_sequences():
    network = make_network([("lstm", 4), ("linear", 2)], 3)
    core = baked(network, word_bits=32)
    one, two = sequences(network, 3, 4)
    names = [name for name, _ in network.paths()]
    image = compile_network(network, derive_config(network, word_bits=32))
    values = {name: 5 * n + 3 for n, name in enumerate(names)}
    ends = []

    async def source(ctx):
        await feed(ctx, core, [one])
        for _ in range(2000):  # all outputs have come
            await ctx.tick()
        for n, entry in enumerate(image.lists):
            ctx.set(core.set_threshold, {"en": 1, "list": n, "value": values[entry.path]})
            await ctx.tick()
        ctx.set(core.set_threshold, {"en": 0, "list": 0, "value": 0})
        ends.append(1)
        await feed(ctx, core, [two])

    outputs = np.reshape(run_core(core, source, 7).outputs, (-1, 2))
    np.testing.assert_array_equal(outputs[:3], run_golden(network, [one])[0].outputs)
    changed = network.with_thresholds(values)
    np.testing.assert_array_equal(outputs[3:], run_golden(changed, [two])[0].outputs)


def test_short_and_long_frames():
    """A short frame is filled with zeros, a long one cut; the frames after them are in step."""
    network = make_network([("lstm", 3)], 4)
    core = baked(network, word_bits=32)
    good = sequences(network, 5)[0]
    sent = [good[0], good[1][:2], np.append(good[2], [5, 6, 7]), good[3][:1], good[4]]
    frames = good.copy()
    frames[1, 2:] = 0
    frames[3, 1:] = 0

    async def source(ctx):
        await feed(ctx, core, [sent])

    result = run_core(core, source, 5)
    expect(network, [frames], result.outputs)
    assert result.errors == 3


def test_state_memory_holds_the_final_states():
    network = make_network([("lstm", 3), ("linear", 2)], 3)
    core = baked(network, word_bits=32)
    frames = sequences(network, 2)[0]
    states = []

    async def source(ctx):
        await feed(ctx, core, [frames])
        for _ in range(2000):
            await ctx.tick()
        for addr in range(5):
            ctx.set(core.state_addr, addr)
            await ctx.tick()
            word = ctx.get(core.state_data)
            states.append((word >> 16, word & 0xFFFF))

    run_core(core, source, 2)
    final = run_golden(network, [frames])[0].states
    want = [
        (int(c) & 0xFFFF, int(h) & 0xFFFF) for s in final for c, h in zip(s.c, s.h, strict=True)
    ]
    assert states == want


def test_dense_steps_take_the_ideal_cycles_within_one_percent():
    network = make_network([("lstm", 24), ("lstm", 24)], 24)
    frames = make_frames(24, 4, seed=1)
    result = check_core(network, [frames], word_bits=16, drain_rows=2)
    config = derive_config(network, word_bits=16, drain_rows=2)
    before = beats(Plan.of(network, config), run_golden(network, [frames[:2]]))
    ideal = result.beats - before
    assert result.ends[3] - result.ends[1] <= 1.01 * ideal
