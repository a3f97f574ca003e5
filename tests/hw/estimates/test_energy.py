# SPDX-License-Identifier: Apache-2.0
"""The energy model against netlists that were measured, and what it does not cover."""

from math import sqrt
from pathlib import Path

import numpy as np
import pytest

import deltaloom
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames, run
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.thresholds import uniform_thresholds
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.models.synthetic import Shape, make_frames, make_network
from deltaloom.golden.quantization.quantize import Scheme, quantize
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.compiler.plan import Plan
from deltaloom.hw.estimates.cycles import dense_events
from deltaloom.hw.estimates.energy import CORNER, amounts, estimate_energy
from deltaloom.hw.estimates.energy_measured import MEASURED
from deltaloom.sim.testing.cut import cut

SPEECH = Path(deltaloom.__file__).parent / "data" / "speech"


def planned(network, **options):
    return Plan.of(network, derive_config(network, **options))


@pytest.mark.parametrize(
    ("cell", "size", "bits", "word_bits", "frames", "measured"),
    [
        ("gru", {"units": 8, "layers": 1}, 4, 8, 4, 177.4),
        ("gru", {"units": 32, "layers": 1, "outputs": 16}, 4, 64, 4, 608.8),
        ("ligru", {"units": 32, "layers": 2, "outputs": 16}, 2, 64, 4, 455.0),
    ],
)
def test_held_out_netlists_are_within_15_percent(cell, size, bits, word_bits, frames, measured):
    """nJ a frame at threshold 8 as `make bench ARGS=energy-model` measured it, of configurations
    that had no part in the constants."""
    model = cut(import_checkpoint(SPEECH / f"{cell}.safetensors"), **size)
    calibration = Dataset.load(SPEECH / "calibration.npz")
    network = uniform_thresholds(quantize(model, calibration, Scheme(weight_bits=bits)), 8)
    features = Dataset.load(SPEECH / "test.npz").features[0][:frames]
    events = [each.events for each in run(network, [quantize_frames(network, features)])]
    estimate = estimate_energy(planned(network, word_bits=word_bits), events)
    assert estimate.corner == CORNER
    assert 1e9 * estimate.total == pytest.approx(measured, rel=0.15)


def test_fewer_events_and_fewer_bits_cost_less():
    found = []
    for bits in (8, 4, 2):
        network = make_network([("lstm", 64), ("linear", 8)], 40, weight_bits=bits)
        plan = planned(network, word_bits=16 * bits)
        dense = dense_events(network, 4)
        some = {name: np.minimum(count, 5) for name, count in dense.items()}
        every, few = (estimate_energy(plan, [events]) for events in (dense, some))
        for part in ("weight memory", "lanes", "encoders"):
            assert few.parts[part] < every.parts[part]
        assert few.clock < every.clock
        assert every.total == pytest.approx(sum(every.parts.values()) + every.clock)
        assert list(few.parts) == list(MEASURED)
        found.append((every, few))
    for part in ("weight memory", "lanes"):
        costs = [every.parts[part] for every, _ in found]
        assert costs == sorted(costs, reverse=True)
    assert [few.total for _, few in found] == sorted((few.total for _, few in found), reverse=True)


def test_gates_of_units_are_written_in_the_first_turn_and_read_in_each_other():
    network = make_network([("layer_norm", 300), ("linear", 3)], 40)
    plan = planned(network, word_bits=64, cell_units=2)
    found = amounts(plan, [dense_events(network, 2)])["cells"]
    states = 2 * 16 * sqrt(16 * plan.config.states / 2)  # two banks, read in every cycle
    gates = 2 * 16 * sqrt(2 * 16 * 150)  # two units' only gate in a word
    assert found["accesses"] == pytest.approx(found["cycles"] * states + 3 * 150 * gates)


@pytest.mark.parametrize(
    ("shape", "options", "line"),
    [
        ([("gru", 4)], {"lane_kind": "shift_add"}, "lane_kind: shift_add is not in the"),
        ([("gru", 4)], {"weight_memory": "sdram_16mx16"}, "weight_memory: "),
        (
            [Shape(kind="gru", units=4, both=True)],
            {},
            "sequence_words: a sequence buffer is not in",
        ),
    ],
)
def test_what_was_not_measured_is_refused(shape, options, line):
    network = make_network(shape, 3)
    events = [each.events for each in run(network, [make_frames(3, 2)])]
    with pytest.raises(UserError, match=line):
        estimate_energy(planned(network, word_bits=32, **options), events)
