# SPDX-License-Identifier: Apache-2.0
"""Several cell units, and several elements a beat of either stream: the core equals golden."""

import itertools

import numpy as np
import pytest

from deltaloom.golden.delta import DELTA_MODES
from deltaloom.golden.engines.engine import run as run_golden
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.synthetic import Shape, make_frames, make_network
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.config import AcceleratorConfig
from deltaloom.hw.datapath.core import Core
from deltaloom.hw.words import LANE_KINDS
from deltaloom.sim.testing.core import check_core, feed, load_image, run_core
from deltaloom.sim.testing.kinds import crossed, few_first

CELLS = (
    *("lstm", "lstm_cifg", "lstm_peephole", "gru", "gru_before", "ligru"),
    *("sru4", "sru0", "linear"),
)


def frames_of(inputs, *lengths):
    return [make_frames(inputs, n, seed=n, smooth=0.9 * (n % 2)) for n in lengths]


def check(
    network,
    *,
    word_bits=32,
    units=1,
    elements=1,
    beat=1,
    lengths=(4, 1, 2),
    lane_kind="multiplier",
    **options,
):
    config = derive_config(
        network,
        word_bits=word_bits,
        cell_units=units,
        input_elements=elements,
        output_elements=beat,
        lane_kind=lane_kind,
        frames=max(lengths),
    )
    frames = frames_of(network.inputs, *lengths)
    return check_core(network, frames, config=config, **options)


@pytest.mark.parametrize(
    ("kind", "rates"), crossed(few_first(CELLS), [(2, 1, 1), (4, 2, 4), (1, 4, 1)])
)
def test_every_cell(kind, rates):
    units, elements, beat = rates
    network = make_network([(kind, 7), (kind, 5)], 3, threshold=6)
    check(network, units=units, elements=elements, beat=beat)


@pytest.mark.parametrize(
    ("size", "units"), crossed([1, 37, 3, pytest.param(129, marks=pytest.mark.slow)], [2, 4])
)
def test_layers_of_odd_sizes(size, units):
    network = make_network([("gru", size), ("linear", 3)], size, threshold=10, seed=size)
    check(network, word_bits=64, units=units, elements=4, beat=2, lengths=(2, 1), cycles=200_000)


def test_a_skip_reads_the_layer_below_in_its_banks():
    network = make_network([("linear", 5), ("sru", 5), ("sru", 5)], 3, threshold=4)
    check(network, units=4, elements=2, beat=2)


@pytest.mark.parametrize(
    ("units", "lanes"), crossed([1, 2], [*itertools.product(LANE_KINDS, DELTA_MODES)])
)
def test_lanes_of_either_kind_and_both_modes(units, lanes):
    lane_kind, mode = lanes
    network = make_network([("lstm", 7), ("gru", 5)], 3, threshold=2, delta_mode=mode)
    check(network, units=units, elements=3 - units, beat=units, lane_kind=lane_kind)


@pytest.mark.parametrize(("kind", "units"), [("lstm_peephole", 2), ("gru", 4)])
def test_two_directions_projections_and_initial_states(kind, units):
    projection = 0 if kind == "gru" else 3
    first = Shape(kind=kind, units=6, both=True, initial=True, projection=projection)
    network = make_network([first, Shape(kind="gru", units=3, initial=True)], 3)
    check(network, units=units, lengths=(2, 1))


@pytest.mark.parametrize("units", [1, 2])
def test_initial_states_are_loaded_into_every_bank(units):
    shape = [
        Shape(kind="lstm_peephole", units=5, initial=True),
        Shape(kind="gru", units=3, initial=True),
    ]
    network = make_network(shape, 3, threshold=3)
    config = derive_config(
        network, word_bits=32, cell_units=units, input_elements=2, output_elements=units
    )
    core, frames = Core(config), frames_of(3, 4, 2)

    async def source(ctx):
        await load_image(ctx, core, compile_network(network, config), config)
        await feed(ctx, core, frames, elements=2)

    result = run_core(core, source, 6, outputs=network.outputs if units > 1 else None)
    expected = [golden.outputs.reshape(-1) for golden in run_golden(network, frames)]
    np.testing.assert_array_equal(result.outputs, np.concatenate(expected))


@pytest.mark.parametrize("units", [1, 2, 4])
def test_any_pace_of_the_streams(units):
    network = make_network([("lstm", 9), ("gru", 6)], 5, threshold=8)
    options = {"elements": 2, "beat": units, "idle": 0.6, "stall": 0.8}
    check(network, units=units, lengths=(3, 2, 2), **options)


@pytest.mark.parametrize("units", [pytest.param(2, marks=pytest.mark.slow), 4])
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


@pytest.mark.parametrize("field", ["input_elements", "output_elements"])
def test_a_sequence_buffer_takes_and_gives_one_element_a_beat(field):
    with pytest.raises(UserError, match=f"{field}: 2 is not possible, it must be 1 where"):
        AcceleratorConfig(**{"cell_units": 2, "sequence_words": 64, field: 2})
