# SPDX-License-Identifier: Apache-2.0
"""Every kind of lane with every delta mode and mix of widths, in the whole core."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deltaloom.golden.arithmetic import WIDTHS
from deltaloom.golden.engines.engine import run as run_golden
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import Shape, make_frames, make_network, make_path
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.compiler.plan import Plan
from deltaloom.hw.config import AcceleratorConfig
from deltaloom.sim.testing.core import beats, check_core
from deltaloom.sim.testing.kinds import crossed

KINDS = ("multiplier", "shift_add")
MODES = ("exact", "power_of_two")
EVERY = [(kind, mode) for kind in KINDS for mode in MODES]
CELLS = ("lstm", "gru", "gru_before", "ligru", "sru4", "lstm_cifg")


def frames_of(network, *lengths, seed=0):
    return [
        make_frames(network.inputs, steps, seed=seed + n, smooth=0.6)
        for n, steps in enumerate(lengths)
    ]


def mixed(cell, units, inputs, bits, thresholds, mode, seed):
    """A layer of `cell` with the (weight, activation) bits and thresholds of its paths, in turn."""
    rng = np.random.default_rng(seed)
    whole = make_network([(cell, units), ("linear", 2)], inputs, seed=seed, delta_mode=mode)
    layer = whole.layers[0]
    paths = []
    for n, path in enumerate(layer.paths):
        weights, activations = bits[n % len(bits)]
        threshold = min(thresholds[n % len(thresholds)], (1 << activations) - 1)
        options = {"weight_bits": weights, "activation_bits": activations, "threshold": threshold}
        size = path.units, path.columns
        paths.append(make_path(rng, path.source, path.gates, *size, **options))
    return replace(whole, layers=(replace(layer, paths=tuple(paths)), *whole.layers[1:]))


WIDTH_PAIRS = st.tuples(st.sampled_from(WIDTHS), st.sampled_from(WIDTHS))


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    kind=st.sampled_from(KINDS),
    mode=st.sampled_from(MODES),
    cell=st.sampled_from(CELLS),
    units=st.integers(1, 5),
    bits=st.lists(WIDTH_PAIRS, min_size=1, max_size=3),
    thresholds=st.lists(st.sampled_from([0, 1, 3, 40, 300]), min_size=1, max_size=3),
    seed=st.integers(0, 99),
)
def test_any_mix(kind, mode, cell, units, bits, thresholds, seed):
    network = mixed(cell, units, 3, bits, thresholds, mode, seed)
    widest = max(path.weight_bits for _, path in network.paths())
    frames = frames_of(network, 3, 2, seed=seed)
    check_core(network, frames, word_bits=2 * widest, drain_rows=1 + seed % 2, lane_kind=kind)


@pytest.mark.parametrize(("lanes", "activation_bits"), crossed(EVERY, WIDTHS))
def test_widths_of_codes(lanes, activation_bits):
    kind, mode = lanes
    bits = {"activation_bits": activation_bits, "weight_bits": 4}
    network = make_network([("lstm", 5), ("linear", 2)], 3, delta_mode=mode, **bits)
    config = derive_config(network, word_bits=16, lane_kind=kind)
    digits = activation_bits + (mode == "exact")
    assert config.levels == (None if kind == "multiplier" else max(2, (digits + 1) // 2))
    check_core(network, frames_of(network, 3, 1), config=config)


@pytest.mark.parametrize("kind", KINDS)
def test_an_accelerator_for_both_modes_runs_images_of_either(kind):
    networks = [
        make_network([("lstm", 4), ("gru", 3)], 3, threshold=n, delta_mode=mode)
        for n, mode in enumerate(MODES)
    ]
    config = derive_config(*networks, word_bits=32, lane_kind=kind)
    assert config.delta_modes == MODES
    for network in networks:
        check_core(network, frames_of(network, 3, 2), config=config, idle=0.1, stall=0.4)


@pytest.mark.parametrize(("kind", "mode"), EVERY)
def test_deltas_from_one_end_of_the_codes_to_the_other(kind, mode):
    """Full-scale steps on saturating weights, back and forth."""
    network = make_network([("linear", 4)], 6, delta_mode=mode)
    frames = [np.tile([[32767], [-32768]], (3, 6)), np.tile([[-32768], [32767], [0]], (2, 6))]
    for weight in (-128, 127):
        layer = network.layers[0]
        paths = tuple(
            replace(path, weights=np.full_like(path.weights, weight)) for path in layer.paths
        )
        whole = replace(network, layers=(replace(layer, paths=paths),))
        check_core(whole, frames, word_bits=32, lane_kind=kind)


@pytest.mark.parametrize("mode", MODES)
def test_two_directions_projections_and_initial_states(mode):
    first = Shape(kind="lstm", units=4, both=True, initial=True, projection=3)
    shape = [first, Shape(kind="gru", units=3, both=True), ("linear", 2)]
    network = make_network(shape, 3, threshold=2, delta_mode=mode)
    check_core(network, frames_of(network, 4, 3), word_bits=32, lane_kind="shift_add")


@pytest.mark.parametrize("mode", MODES)
def test_frames_that_stand_still_leave_empty_lists(mode):
    network = make_network([("lstm", 3), ("linear", 2)], 3, delta_mode=mode)
    frames = [np.full((4, 3), value) for value in (0, 32767, -32768)]
    check_core(network, frames, word_bits=32, lane_kind="shift_add")


@pytest.mark.slow
def test_dense_steps_of_terms_take_their_beats_and_little_more():
    """A list is replayed from its end on: what the array waits for at a layer's end is bounded."""
    network = make_network([("lstm", 24), ("lstm", 24)], 24)
    frames = make_frames(24, 4, seed=1)
    result = check_core(network, [frames], word_bits=16, drain_rows=2, lane_kind="shift_add")
    config = derive_config(network, word_bits=16, drain_rows=2, lane_kind="shift_add")
    before = beats(Plan.of(network, config), run_golden(network, [frames[:2]], terms=True))
    ideal = result.beats - before
    assert result.ends[3] - result.ends[1] <= 1.03 * ideal


def test_a_mode_that_the_accelerator_lacks():
    network = make_network([("lstm", 3)], 2)
    config = derive_config(network, word_bits=32)
    message = "delta mode: power_of_two, the accelerator has exact; quantize with one of these"
    with pytest.raises(UserError, match=message):
        compile_network(replace(network, delta_mode="power_of_two"), config)


def test_configurations_that_are_not_possible():
    with pytest.raises(UserError, match="lane_kind: 'serial' is not possible, it must be one of"):
        AcceleratorConfig(lane_kind="serial")
    for modes in ((), ("power_of_two", "exact"), ("nearest",)):
        with pytest.raises(UserError, match="delta_modes: "):
            AcceleratorConfig(delta_modes=modes)


def test_power_of_two_needs_narrower_sums():
    exact = make_network([("lstm", 8)], 8)
    other: Network = replace(exact, delta_mode="power_of_two")
    wide, narrow = (derive_config(n, word_bits=64, lane_kind="shift_add") for n in (exact, other))
    assert narrow.lane_bits == wide.lane_bits - 1
