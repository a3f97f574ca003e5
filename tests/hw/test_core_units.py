# SPDX-License-Identifier: Apache-2.0
"""Several cell units, and several elements a beat of either stream: the core equals golden."""

import numpy as np
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.synthetic import make_frames, make_network
from deltaloom.hw.compile import derive_config
from deltaloom.hw.config import AcceleratorConfig
from deltaloom.sim.core_bench import check_core

CELLS = ("lstm", "lstm_cifg", "gru", "gru_before", "ligru", "sru4", "sru0", "linear")


def frames_of(inputs, *lengths):
    return [make_frames(inputs, n, seed=n, smooth=0.9 * (n % 2)) for n in lengths]


def check(network, *, word_bits=32, units=1, elements=1, beat=1, lengths=(4, 1, 2), **options):
    config = derive_config(
        network,
        word_bits=word_bits,
        cell_units=units,
        input_elements=elements,
        output_elements=beat,
    )
    frames = frames_of(network.inputs, *lengths)
    return check_core(network, frames, config=config, **options)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(("units", "elements", "beat"), [(2, 1, 1), (4, 2, 4), (1, 4, 1)])
def test_every_cell(kind, units, elements, beat):
    network = make_network([(kind, 7), (kind, 5)], 3, threshold=6)
    check(network, units=units, elements=elements, beat=beat)


@pytest.mark.parametrize("size", [1, 3, 37, 129])
@pytest.mark.parametrize(("units", "beat"), [(2, 2), (4, 2)])
def test_layers_of_odd_sizes(size, units, beat):
    network = make_network([("gru", size), ("linear", 3)], size, threshold=10, seed=size)
    check(network, word_bits=64, units=units, elements=4, beat=beat, lengths=(2, 1), cycles=200_000)


def test_a_skip_reads_the_layer_below_in_its_banks():
    network = make_network([("linear", 5), ("sru", 5), ("sru", 5)], 3, threshold=4)
    check(network, units=4, elements=2, beat=2)


@pytest.mark.parametrize("units", [1, 2, 4])
def test_any_pace_of_the_streams(units):
    network = make_network([("lstm", 9), ("gru", 6)], 5, threshold=8)
    options = {"elements": 2, "beat": units, "idle": 0.6, "stall": 0.8}
    check(network, units=units, lengths=(3, 2, 2), **options)


@pytest.mark.parametrize("units", [2, 4])
def test_more_events_than_can_be_merged_hold_the_cell_units_back(units):
    """Every unit of a wide layer changes in every step: its events wait, and none is lost."""
    network = make_network([("ligru", 300), ("linear", 2)], 2, weight_bits=8)
    check(network, word_bits=512, units=units, elements=2, lengths=(3,), cycles=200_000)


@pytest.mark.parametrize("units", [1, 4])
def test_without_events_only_the_cell_units_have_work(units):
    network = make_network([("gru", 64)], 8, threshold=255)
    config = derive_config(network, word_bits=64, cell_units=units, output_elements=units)
    result = check_core(network, [np.zeros((6, 8), np.int64)], config=config)
    steps = np.diff(result.ends)
    assert result.beats == 0
    assert max(steps) <= 64 // units + 60  # and the way through the pipelines


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("cell_units", 3, "a power of two up to 16"),
        ("cell_units", 32, "a power of two up to 16"),
        ("input_elements", 0, "a power of two up to 32"),
        ("output_elements", 2, "a power of two up to 1"),
    ],
)
def test_what_is_not_possible_is_refused(field, value, rule):
    with pytest.raises(UserError, match=f"{field}: {value} is not possible, it must be {rule}"):
        AcceleratorConfig(**{field: value})
