# SPDX-License-Identifier: Apache-2.0
"""Batches, streams, initial states, empty sequences, and thresholds against a plain loop."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.integer_lstm.engine import Stream, run
from deltaloom.golden.integer_lstm.float_engine import run_float
from deltaloom.golden.integer_lstm.recipe import quantize
from deltaloom.golden.integer_lstm.synthetic import VARIANTS, make_frames, make_lstm_network


def make(variant="all", sizes=(5, 8, 6), seed=0, corrected=False, **more):
    floats = make_lstm_network(variant, sizes, seed=seed, **more)
    data = Dataset(tuple(make_frames(sizes[0], [30] * 6, seed=seed)))
    return floats, quantize(floats, data, corrected=corrected)


def codes(network, lengths, seed=0):
    return [network.x.codes(x) for x in make_frames(network.inputs, lengths, seed=seed)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_close_to_the_float_network(variant):
    floats, network = make(variant, seed=3, classes=4, corrected=True)  # it does not bifurcate
    sequences = make_frames(5, [40] * 4, seed=9)
    exact = np.concatenate(run_float(floats, sequences))
    found = run(network, [network.x.codes(x) for x in sequences]).outputs
    error = network.y.real(np.concatenate(found)) - exact
    assert np.sqrt(np.mean(error**2)) < 0.1 * exact.std()


def test_a_batch_is_its_sequences_one_by_one():
    _, network = make()
    network = network.with_thresholds({name: 5 for name, _ in network.paths()})
    sequences = codes(network, [7, 0, 13, 1, 13])
    together = run(network, sequences)
    for n, x in enumerate(sequences):
        alone = run(network, [x])
        np.testing.assert_array_equal(together.outputs[n], alone.outputs[0])
        for name, counts in alone.events.items():
            np.testing.assert_array_equal(together.events[name][n], counts[0])
        for ours, own in zip(together.states, alone.states, strict=True):
            np.testing.assert_array_equal(ours.c[n], own.c[0])
            np.testing.assert_array_equal(ours.h[n], own.h[0])


@pytest.mark.parametrize("threshold", [0, 9])
def test_a_run_goes_on_from_its_states(threshold):
    _, network = make()
    network = network.with_thresholds({name: threshold for name, _ in network.paths()})
    sequences = codes(network, [12, 20, 12])
    whole = run(network, sequences)
    first = run(network, [x[:7] for x in sequences])
    second = run(network, [x[7:] for x in sequences], first.states)
    for n, y in enumerate(whole.outputs):
        parts = [first.outputs[n], second.outputs[n]]
        np.testing.assert_array_equal(y, np.concatenate(parts))


def test_a_stream_is_a_sequence():
    _, network = make(classes=3)
    (x,) = codes(network, [15])
    stream = Stream(network)
    np.testing.assert_array_equal([stream.step(frame) for frame in x], run(network, [x]).outputs[0])


def test_no_sequence_and_no_frames():
    _, network = make()
    assert run(network, []).outputs == []
    result = run(network, [np.zeros((0, 5), np.int8)])
    assert result.outputs[0].shape == (0, 3)
    assert all(counts[0].shape == (0,) for counts in result.events.values())


def test_initial_states_are_where_a_sequence_starts():
    """The state that some frames leave, given as the initial one, goes on as they would have."""
    _, network = make("projection", (4, 6))
    (x,) = codes(network, [20])
    before = run(network, [x[:11]]).states[0]
    initial = {"c": before.c[0], "h": before.h[0]}
    started = replace(network, layers=(replace(network.layers[0], initial=initial),))
    np.testing.assert_array_equal(
        run(started, [x[11:]]).outputs[0], run(network, [x]).outputs[0][11:]
    )


def test_initial_states_of_the_float_network_are_quantized():
    floats, _ = make("plain", (4, 6))
    initial = {"c": np.linspace(-2, 2, 6), "h": np.linspace(-0.9, 0.9, 6)}
    layer = replace(floats.layers[0], initial=initial)
    network = quantize(replace(floats, layers=(layer,)), Dataset(tuple(make_frames(4, [9]))))
    own = network.layers[0]
    np.testing.assert_allclose(own.initial["c"] * 2.0**own.cell_log2, initial["c"], atol=1e-3)
    np.testing.assert_allclose(own.y.real(own.initial["h"]), initial["h"], atol=own.y.scale)


def test_thresholds_0_are_dense():
    _, network = make()
    sequences = codes(network, [30, 20])
    tuned = network.with_thresholds({name: 6 for name, _ in network.paths()})
    own, dense = run(tuned.dense(), sequences), run(network, sequences)
    other = run(tuned, sequences)
    for n, y in enumerate(dense.outputs):
        np.testing.assert_array_equal(own.outputs[n], y)
        assert (other.outputs[n] != y).any()
    for name, counts in other.events.items():
        assert sum(c.sum() for c in counts) < sum(c.sum() for c in dense.events[name])


def test_what_a_threshold_takes_over():
    """A code counts as the one that was taken over last, which is at first that of zero."""
    _, network = make("plain", (3, 4))
    x = codes(network, [25])[0]
    limited = network.with_thresholds({"lstm.0.x": 11})
    held = np.full(3, network.x.zero_point)
    taken, fired = [], []
    for frame in x:
        fires = abs(frame - held) > 11
        held = np.where(fires, frame, held)
        taken.append(held)
        fired.append(fires.sum())
    result, wanted = run(limited, [x]), run(network, [np.array(taken)])
    np.testing.assert_array_equal(result.outputs[0], wanted.outputs[0])
    np.testing.assert_array_equal(result.events["lstm.0.x"][0], fired)
    assert 0 < sum(fired) < x.size


def test_the_largest_threshold_takes_nothing_over():
    _, network = make("projection", (4, 6))
    still = network.with_thresholds({name: 255 for name, _ in network.paths()})
    result = run(still, codes(network, [9]))
    assert all(counts[0].sum() == 0 for counts in result.events.values())


@pytest.mark.parametrize("variant", VARIANTS)
def test_saturation_at_full_scale(variant):
    """Every weight and input at its end: nothing leaves its range, and nothing warns."""
    _, network = make(variant, (6, 9), seed=3)
    layer = network.layers[0]
    layer = replace(
        layer,
        weights=np.where(layer.weights < 0, -127, 127),
        recurrent=np.where(layer.recurrent < 0, -127, 127),
        bias=np.where(layer.bias < 0, -(2**31), 2**31 - 1),
    )
    network = replace(network, layers=(layer,))
    x = np.random.default_rng(0).choice([-128, 127], (4, 50, 6))
    result = run(network, list(x))
    y = np.array(result.outputs)
    assert -128 <= y.min() <= y.max() <= 127
    assert np.abs(result.states[0].c).max() <= 32768


def test_corrected_layers_differ_only_with_projections():
    data = Dataset(tuple(make_frames(5, [30] * 6)))
    x = np.random.default_rng(0).integers(-128, 128, (8, 40, 5))
    for variant, differs in (("plain", False), ("all_but_coupled", True)):
        floats = make_lstm_network(variant, (5, 8))
        usual, other = (quantize(floats, data, corrected=c) for c in (False, True))
        a, b = (np.array(run(net, list(x)).outputs) for net in (usual, other))
        assert (a != b).any() == differs


def test_corrected_peepholes_are_closer_to_floats():
    """Of 8 cells and 4 outputs LiteRT gives the first 4 cells their peephole."""
    floats = make_lstm_network("peephole_projection", (5, 8), seed=1)
    layer = replace(floats.layers[0], peephole=floats.layers[0].peephole * 4)
    floats = replace(floats, layers=(layer,))
    sequences = make_frames(5, [40] * 6, seed=1)
    exact = np.concatenate(run_float(floats, sequences))
    errors = []
    for corrected in (False, True):
        network = quantize(floats, Dataset(tuple(sequences)), corrected=corrected)
        found = run(network, [network.x.codes(x) for x in sequences]).outputs
        errors.append(np.abs(network.y.real(np.concatenate(found)) - exact).mean())
    assert errors[1] < errors[0] / 3


def test_states_of_another_number_of_sequences():
    _, network = make()
    states = run(network, codes(network, [3, 3])).states
    with pytest.raises(UserError, match="states: of 2 sequences, 1 are given"):
        run(network, codes(network, [3]), states)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (np.zeros((3, 4), int), "codes: int64 (3, 4), the network takes int8 [steps, 5]"),
        (np.zeros(5, int), "codes: int64 (5,), the network takes int8 [steps, 5]"),
        (np.zeros((3, 5)), "codes: float64 (3, 5), the network takes int8 [steps, 5]"),
        (np.full((3, 5), 128), "codes: a value is outside -128..127; give int8 codes"),
    ],
)
def test_what_is_no_sequence_of_codes(given, text):
    _, network = make()
    with pytest.raises(UserError) as caught:
        run(network, [given])
    assert str(caught.value) == text
