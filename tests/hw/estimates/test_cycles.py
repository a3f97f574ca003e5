# SPDX-License-Identifier: Apache-2.0
"""The cycle model against the core in Amaranth's simulator."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.engines.engine import StepModel, run
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.network import path_name
from deltaloom.golden.models.synthetic import Shape, make_frames, make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.estimates.cycles import dense_events, estimate_cycles
from deltaloom.sim.testing.core import check_core
from deltaloom.terminal.estimates import dense_cycles

LENGTHS = (5, 3)


class Recorder(StepModel):
    """Notes which elements fire, by path and step."""

    def __init__(self, network):
        super().__init__(network)
        self.names = {id(path): name for name, path in network.paths()}
        self.fired = {name: [] for name, _ in network.paths()}

    def _encode(self, path, q, reference):
        events = super()._encode(path, q, reference)
        self.fired[self.names[id(path)]].append(np.array([j for j, _ in events], np.int64))
        return events


def fired(network, frames):
    """Which elements fire, by path and step; of h, also in the step behind the last one."""
    recorder = Recorder(network)
    for frame in [*frames, frames[-1]]:
        recorder.step(frame)
    of_h = {name for name, path in network.paths() if path.source == "h"}
    return {name: each if name in of_h else each[:-1] for name, each in recorder.fired.items()}


def measure(network, config, smooth):
    """(the core's run, its frames)."""
    frames = [make_frames(network.inputs, length, seed=length, smooth=smooth) for length in LENGTHS]
    return check_core(network, frames, config=config), frames


SLOW = pytest.mark.slow
CASES = [
    ([("gru", 16)], 30, {"word_bits": 64}),
    ([("gru", 16)], 0, {"word_bits": 32, "drain_rows": 1}),
    ([("lstm", 12), ("linear", 5)], 30, {"word_bits": 64}),
    ([("gru_before", 9)], 30, {"word_bits": 64}),
    ([("lstm", 5), ("gru", 30)], 10, {"word_bits": 64}),
    ([("sru4", 16), ("ligru", 9)], 10, {"word_bits": 64}),
    ([("linear", 1)] * 4, 10, {"word_bits": 64}),
    ([("lstm_peephole", 20)], 20, {"word_bits": 32}),
    ([("gru", 24), ("gru", 24)], 20, {"word_bits": 256}),
    ([("lstm", 5)], 0, {"word_bits": 64, "cell_units": 4}),
    ([("gru", 21)], 10, {"word_bits": 64, "cell_units": 4}),
    (
        [("gru", 13), ("ligru", 6)],
        20,
        {"word_bits": 64, "cell_units": 4, "input_elements": 2, "output_elements": 4},
    ),
    (
        [("gru_before", 9)],
        5,
        {"word_bits": 64, "cell_units": 2, "input_elements": 4, "output_elements": 1},
    ),
    # Cells that take turns.
    ([("layer_norm", 9)], 10, {"word_bits": 64}),
    pytest.param([("lstm_norm", 16), ("lstm_norm", 7)], 10, {"word_bits": 32}, marks=SLOW),
    ([("gru_norm", 1), ("linear", 5)], 10, {"word_bits": 64}),
    pytest.param([("lstm_norm_xh_c", 13)], 10, {"word_bits": 64, "cell_units": 2}, marks=SLOW),
    pytest.param(
        [("ligru_norm_h", 21), ("gru", 9), ("ligru_norm", 37)],
        10,
        {"word_bits": 64, "cell_units": 4},
        marks=SLOW,
    ),
    pytest.param(
        [("gru_norm_xh", 13), ("ligru", 6)],
        10,
        {"word_bits": 64, "cell_units": 4, "input_elements": 2, "output_elements": 4},
        marks=SLOW,
    ),
]


@pytest.mark.parametrize(("layers", "threshold", "options"), CASES)
def test_cycles(layers, threshold, options):
    network = make_network(layers, 6, seed=1, threshold=threshold)
    config = derive_config(network, **options)
    measured, frames = measure(network, config, smooth=0.9)
    # Where the elements are known, every step takes the cycles that it takes.
    exact = estimate_cycles(network, config, [fired(network, each) for each in frames])
    assert np.diff(exact.ends).tolist() == np.diff(measured.ends).tolist()
    assert exact.beats == measured.beats
    # Spread evenly, they are within 4 cycles a step.
    events = [result.events for result in run(network, frames)]
    estimate = estimate_cycles(network, config, events)
    assert estimate.beats == measured.beats
    steps = len(measured.ends) - 1
    took = measured.ends[-1] - measured.ends[0]
    assert abs(estimate.ends[-1] - estimate.ends[0] - took) <= 4 * steps


def test_weights_of_two_widths():
    network = make_network([("gru", 16), ("gru", 9)], 6, seed=1, weight_bits=4)
    wide = make_network([("gru", 16)], 6, seed=1)
    config = derive_config(network, wide, word_bits=64)
    for each in (network, wide):
        measured, frames = measure(each, config, smooth=0)
        exact = estimate_cycles(each, config, [fired(each, x) for x in frames])
        assert np.diff(exact.ends).tolist() == np.diff(measured.ends).tolist()


def test_steps_of_powers_of_two():
    network = make_network([("gru", 16)], 6, seed=1, threshold=10)
    network = replace(network, delta_mode="power_of_two")
    config = derive_config(network, word_bits=64)
    measured, frames = measure(network, config, smooth=0.9)
    exact = estimate_cycles(network, config, [fired(network, each) for each in frames])
    assert np.diff(exact.ends).tolist() == np.diff(measured.ends).tolist()


def test_frames_that_never_change():
    network = make_network([("gru", 24)], 3, seed=1, threshold=255)
    config = derive_config(network, word_bits=64)
    zeros = [np.zeros((5, 3), np.int64)]
    measured = check_core(network, zeros, config=config)
    estimate = estimate_cycles(network, config, [run(network, zeros)[0].events])
    assert np.diff(estimate.ends).tolist() == np.diff(measured.ends).tolist()
    assert estimate.beats == measured.beats == 0


def test_dense_steps_take_every_column():
    network = make_network([("gru", 24)], 3, seed=1)
    config = derive_config(network, word_bits=64)
    dense = dense_events(network, 3)
    assert {name: e.tolist() for name, e in dense.items()} == {
        "gru0.x": [3, 3, 3],
        "gru0.h": [0, 24, 24],
    }
    groups = 24 * 3 // 8
    assert estimate_cycles(network, config, [dense]).beats == groups * (3 * 3 + 2 * 24)


SWEEPS = [
    [Shape(kind="gru", units=12, backward=True)],
    [Shape(kind="lstm", units=5, both=True, projection=3), Shape(kind="linear", units=4)],
    pytest.param(
        [Shape(kind="gru", units=9), Shape(kind="ligru", units=7, backward=True)],
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize("shapes", SWEEPS)
def test_sweeps_over_sequences(shapes):
    """With a sequence buffer: every frame's last output leaves in the cycle that it does."""
    network = make_network(shapes, 6, seed=1, threshold=5)
    config = derive_config(network, word_bits=64, frames=max(LENGTHS))
    measured, frames = measure(network, config, smooth=0.9)
    exact = estimate_cycles(network, config, [fired_in_order(network, each) for each in frames])
    assert [end + 1 for end in exact.ends] == measured.ends  # which counts from 1
    assert exact.beats == measured.beats
    events = [result.events for result in run(network, frames)]
    estimate = estimate_cycles(network, config, events)
    assert estimate.beats == measured.beats
    assert abs(estimate.ends[-1] - measured.ends[-1]) <= 4 * sum(LENGTHS) * len(network.layers)
    dense = dense_cycles(network, config)
    assert dense is not None and dense > network.inputs


def fired_in_order(network, frames):
    """Which elements fire, in the order of the frames; a backward layer has them turned round."""
    recorder = Recorder(network)
    recorder.run(frames)
    turned = {
        path_name(layer, n): layer.backward
        for layer in network.layers
        for n in range(len(layer.paths))
    }
    return {name: e[::-1] if turned[name] else e for name, e in recorder.fired.items()}


def test_dense_steps_of_a_backward_layer_begin_at_its_last_frame():
    network = make_network([Shape(kind="gru", units=2, backward=True)], 3, seed=1)
    assert dense_events(network, 3)["gru0.h"].tolist() == [2, 2, 0]


def test_not_covered():
    network = make_network([("gru", 8)], 3, seed=1)
    config = derive_config(network, word_bits=64, lane_kind="shift_add")
    with pytest.raises(UserError, match="lane_kind: shift_add is not in the cycle model"):
        estimate_cycles(network, config, [dense_events(network, 2)])
    assert dense_cycles(network, config) is None


def test_no_steps():
    network = make_network([("gru", 24)], 3, seed=1)
    config = derive_config(network, word_bits=64)
    with pytest.raises(UserError, match="events: there are no steps"):
        estimate_cycles(network, config, [dense_events(network, 0)])
