# SPDX-License-Identifier: Apache-2.0
"""Networks that take several sweeps over a sequence: the plan, the buffer, and both with a core."""

import numpy as np
import pytest

from deltaloom.golden.engines.engine import run as run_golden
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.synthetic import Shape, make_frames, make_network
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config, longest_sequence
from deltaloom.hw.compiler.plan import Plan
from deltaloom.hw.compiler.sweeps import FRAMES, Span, plan_record, plan_sweeps
from deltaloom.sim.testing.core import BufferedCore, check_core, feed, run_core
from deltaloom.sim.testing.kinds import few_first
from deltaloom.sim.testing.streams import set_value


def both(kind, units, **options):
    return Shape(kind=kind, units=units, both=True, **options)


def started(kind, units):
    return Shape(kind=kind, units=units, initial=True)


def sequences(network, *lengths):
    return [make_frames(network.inputs, n, seed=n, smooth=0.6) for n in lengths]


def test_a_forward_chain_is_one_sweep():
    network = make_network([("lstm", 5), ("gru_before", 4), ("linear", 3)], 2)
    (sweep,) = plan_sweeps(network)
    assert (sweep.layers, sweep.sources, sweep.backward) == ((0, 1, 2), (FRAMES,), False)
    assert not derive_config(network).buffered
    assert longest_sequence(network, derive_config(network)) is None


def test_sweeps_of_a_bidirectional_stack():
    network = make_network([both("lstm", 5), both("gru", 4), ("ligru", 3), ("linear", 2)], 2)
    plan = [(s.layers, s.sources, s.backward) for s in plan_sweeps(network)]
    assert plan == [
        ((0,), (FRAMES,), False),
        ((1,), (FRAMES,), True),
        ((2,), (0, 1), False),
        ((3,), (0, 1), True),
        ((4, 5), (2, 3), False),
    ]


def test_outputs_that_must_be_turned_round_or_put_together_take_a_sweep_of_their_own():
    for shape in (Shape(kind="lstm", units=4, backward=True), both("lstm", 4)):
        last = plan_sweeps(make_network([shape], 3))[-1]
        assert (last.layers, last.backward) == ((), False)


def test_a_projection_stays_in_the_sweep_of_its_layer():
    network = make_network([both("lstm", 5, projection=3), ("linear", 2)], 2)
    assert [s.layers for s in plan_sweeps(network)] == [(0, 1), (2, 3), (4,)]


def test_what_is_read_no_more_makes_room():
    """By hand: frames 0..2 and both directions 2..12; then 0 and 1 only read frames no more."""
    network = make_network([both("lstm", 5), both("gru", 2), ("linear", 2)], 2)
    record = plan_record(network, plan_sweeps(network))
    assert record.spans == {
        FRAMES: Span(offset=0, units=2),
        0: Span(offset=2, units=5),
        1: Span(offset=7, units=5),
        2: Span(offset=0, units=2),
        3: Span(offset=12, units=2),
    }
    assert record.stride == 14


def test_shared_weights_are_stored_once():
    alone = make_network([("lstm", 9)], 3)
    pair = make_network([both("lstm", 9, shared=True)], 3)
    config = derive_config(alone, word_bits=32)
    words = len(compile_network(alone, config).contents["weights"])
    config = derive_config(pair, word_bits=32)
    assert len(compile_network(pair, config).contents["weights"]) == words
    passes = Plan.of(pair, config).passes
    assert [p.shares for p in passes].count(True) == len(passes) / 2


CELLS = ("lstm", "lstm_cifg", "lstm_peephole", "gru", "gru_before", "ligru", "sru4", "sru0")


@pytest.mark.parametrize("kind", few_first(CELLS))
@pytest.mark.parametrize("shared", [False, True])
def test_bidirectional_layers(kind, shared):
    network = make_network([both(kind, 5, shared=shared), ("linear", 3)], 4, threshold=2)
    check_core(network, sequences(network, 4, 1, 3), word_bits=32, idle=0.2, stall=0.3)


@pytest.mark.parametrize(
    ("shape", "inputs"),
    [
        ([both("lstm", 1)], 1),
        ([both("lstm", 3), both("gru", 7), both("ligru", 2)], 5),
        ([("gru", 4), both("lstm", 3), ("sru4", 6), ("sru", 6)], 3),
        ([Shape(kind="gru_before", units=5, backward=True), ("linear", 37)], 3),
        ([Shape(kind="lstm", units=9, projection=4), ("linear", 2)], 3),
        ([Shape(kind="lstm", units=4, projection=11), ("gru", 3)], 3),
        ([both("lstm", 5, projection=3), both("lstm", 3, shared=True, projection=2)], 3),
        ([started("lstm", 5), started("gru", 3)], 3),
        ([started("gru_before", 5), ("linear", 2)], 3),
        (
            [started("sru4", 5), started("ligru", 4)],
            3,
        ),
        ([both("lstm_peephole", 5, initial=True), ("linear", 2)], 3),
        ([both("lstm", 6, projection=3, initial=True), both("gru", 4, initial=True)], 3),
    ],
)
@pytest.mark.parametrize("threshold", [pytest.param(0, marks=pytest.mark.slow), 4])
def test_shapes(shape, inputs, threshold):
    network = make_network(shape, inputs, seed=3, threshold=threshold)
    check_core(network, sequences(network, 3, 1, 5), word_bits=64, stall=0.2)


@pytest.mark.parametrize("length", [1, 2, 9])
def test_any_length(length):
    network = make_network([both("lstm", 3)], 2, seed=5)
    check_core(network, sequences(network, length, 1, length), word_bits=32)


def run_buffered(network, source, frames, *, room, **options):
    config = derive_config(network, word_bits=32, frames=room)
    assert longest_sequence(network, config) == room
    core = BufferedCore(config, compile_network(network, config))

    async def testbench(ctx):
        await source(ctx, core)

    return run_core(core, testbench, frames, **options)


def test_a_sequence_ends_where_the_next_one_starts():
    network = make_network([both("gru", 3), ("linear", 2)], 2, seed=6)
    first, second = sequences(network, 4, 3)

    async def source(ctx, core):
        for t, frame in enumerate([*first, *second]):
            for j, value in enumerate(frame):
                starts = j == 0 and t in (0, len(first))
                word = {"value": int(value), "last": j == 1, "first": starts, "end": 0}
                set_value(ctx, core.i.payload, word)
                ctx.set(core.i.valid, 1)
                while not (await ctx.tick().sample(core.i.ready))[2]:
                    pass
                ctx.set(core.i.valid, 0)

    result = run_buffered(network, source, len(first), room=8)
    expected = run_golden(network, [first])[0].outputs
    np.testing.assert_array_equal(np.reshape(result.outputs, expected.shape), expected)


def test_a_sequence_that_is_too_long_is_cut_and_counted():
    network = make_network([both("lstm", 3)], 2, seed=7)
    (frames,) = sequences(network, 10)
    cuts = 0

    async def source(ctx, core):
        await feed(ctx, core, [frames])

    config = derive_config(network, word_bits=32, frames=4)
    core = BufferedCore(config, compile_network(network, config))

    async def count(ctx):
        nonlocal cuts
        for _ in range(1500):
            cuts += (await ctx.tick().sample(core.cut))[2]

    async def testbench(ctx):
        await source(ctx, core)

    result = run_core(core, testbench, 10, count)
    pieces = run_golden(network, [frames[:4], frames[4:8], frames[8:]])
    expected = np.concatenate([piece.outputs for piece in pieces])
    np.testing.assert_array_equal(np.reshape(result.outputs, expected.shape), expected)
    assert cuts == 2


def test_frames_of_the_wrong_size_are_mended_and_counted():
    network = make_network([both("gru", 3)], 3, seed=8)
    words = [(1, 0), (2, 1), (3, 0), (4, 0), (5, 0), (6, 1), (7, 0), (8, 0), (9, 1)]
    mended = np.array([[1, 2, 0], [3, 4, 5], [7, 8, 9]])

    async def source(ctx, core):
        for n, (value, last) in enumerate(words):
            word = {"value": value, "last": last, "first": n == 0, "end": n > 5}
            set_value(ctx, core.i.payload, word)
            ctx.set(core.i.valid, 1)
            while not (await ctx.tick().sample(core.i.ready))[2]:
                pass
            ctx.set(core.i.valid, 0)

    result = run_buffered(network, source, 3, room=5)
    expected = run_golden(network, [mended])[0].outputs
    np.testing.assert_array_equal(np.reshape(result.outputs, expected.shape), expected)
    assert result.errors == 2


def test_what_does_not_fit_is_refused():
    forward = make_network([("lstm", 3)], 2)
    network = make_network([both("lstm", 3)], 2)
    with pytest.raises(UserError, match="sequence_words: 0, the network has layers that need"):
        compile_network(network, derive_config(forward, word_bits=32))
    begun = make_network([started("lstm", 3)], 2)
    with pytest.raises(UserError, match="initial state that is not zero"):
        compile_network(begun, derive_config(forward, word_bits=32))


def test_one_buffered_accelerator_takes_networks_without_backward_layers_too():
    network = make_network([both("lstm", 3), ("linear", 2)], 2, seed=9)
    forward = make_network([started("lstm", 4), ("linear", 2)], 3, seed=9)
    config = derive_config(network, forward, word_bits=32, frames=4)
    for each in (network, forward):
        check_core(each, sequences(each, 3, 4), config=config)
