# SPDX-License-Identifier: Apache-2.0
"""Layers whose cells take means over their units, in the core: turns, stalls, sizes."""

import gc

import pytest

from deltaloom.golden.cells import CELLS, describe, registry
from deltaloom.golden.cells.values import GATE, mean, rshr, sat16, tanh
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.synthetic import Shape, make_frames, make_network
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.datapath.turns.means import Use, accumulators, divided_alike
from deltaloom.hw.datapath.turns.turns import AGAIN, TURN_CYCLES, Turns
from deltaloom.hw.datapath.units.words import cell_word
from deltaloom.sim.testing.core import check_core
from deltaloom.sim.testing.streams import run, set_value


def check(shape, *, inputs=3, lengths=(3, 2), **options):
    network = make_network(shape, inputs, threshold=2, c_exponent=1)
    config = derive_config(network, frames=max(lengths), **options)
    frames = [make_frames(inputs, n, seed=n, smooth=0.6) for n in lengths]
    check_core(network, frames, config=config, idle=0.1, stall=0.5)


@pytest.mark.parametrize("units", [1, 2, 4])
def test_sums_of_different_counts_in_one_turn(uneven, units):
    assert [sorted(turn.values()) for turn in uneven.stages[0].turns] == [[1, 3], [1]]
    assert divided_alike(accumulators(["uneven"])) == [[0], [1]]
    check([("uneven", 7), ("uneven", 1), ("gru", 3)], word_bits=32, drain_rows=4, cell_units=units)


def test_an_epsilon_with_its_exponent_and_no_other_vector():
    """The unit's word has no vector, and the shift that goes with them all the same."""

    @describe(x="a", bounded=True, name="scaled")
    def scaled(a, epsilon_a):
        return {"h": tanh(sat16(a - mean(a) + rshr(epsilon_a * 1, GATE)))}

    registry.register(scaled)
    try:
        check([("scaled", 5), ("gru", 3)], word_bits=32)
    finally:
        registry._cells.pop("scaled")


def test_sums_share_a_division_where_they_are_divided_alike_in_each_turn():
    assert divided_alike(accumulators(["lstm_norm", "linear"])) == [[0, 1, 2, 3]]
    assert divided_alike(accumulators(["gru_norm", "gru_norm_xh"])) == [[0, 1]]
    first = [Use(0, 0, "a", 1, 0), Use(0, 1, "b", 2, 0)]
    assert divided_alike([first, [Use(0, 1, "c", 1, 0)], [Use(0, 0, "d", 1, 0)]]) == [[0, 2], [1]]


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ([("layer_norm", 1)], {"word_bits": 32}),
        ([("layer_norm", 37), ("ligru", 3), ("layer_norm", 2)], {"word_bits": 64, "cell_units": 4}),
        ([("ligru_norm_h", 13), ("gru_norm", 5)], {"word_bits": 64, "cell_units": 2}),
        pytest.param(
            [("lstm_norm_xh_c", 33), ("lstm_norm", 129)],
            {"word_bits": 64, "cell_units": 4, "output_elements": 4},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_layers_of_any_size(shape, options):
    check(shape, **options)


def test_both_directions_and_first_states():
    shape = [Shape(kind="gru_norm", units=5, both=True), Shape(kind="layer_norm", units=10)]
    shape += [Shape(kind="lstm_norm_all", units=3, initial=True)]
    check(shape, word_bits=32)


def test_a_layers_epsilon_must_be_one_number():
    network = make_network([("ligru_norm", 5)], 3)
    network.layers[0].vectors["epsilon_x"][2] += 1
    with pytest.raises(UserError, match=r"ligru_norm0: epsilon_x is -?\d+\.\.-?\d+ over the units"):
        compile_network(network, derive_config(network, word_bits=32))


def test_only_the_last_turn_is_stalled():
    """It is when units leave the cells; the stall takes two cycles to the units that go on."""
    word = cell_word(4, cells=("layer_norm",), state_depth=4)
    dut = Turns(cells=("layer_norm",), unit=word, slots=1, depth=4, gap=3)
    found, units, stalled = [], 3, 40

    async def bench(ctx):
        set_value(ctx, dut.done, 1)
        set_value(ctx, dut.i_mask, 1)
        for cycle in range(stalled + 12):
            set_value(ctx, dut.i_running, int(cycle < units))
            set_value(ctx, dut.i_unit.end, int(cycle == units - 1))
            set_value(ctx, dut.stall, int(cycle < stalled))
            if ctx.get(dut.running):
                found.append((cycle, ctx.get(dut.turn), ctx.get(dut.first), ctx.get(dut.last)))
            await ctx.tick()

    run(dut, bench, cycles=100)
    starts = [TURN_CYCLES, TURN_CYCLES + units + AGAIN, stalled + 2]
    assert found == [
        (start + n, turn, int(n == 0), int(n == units - 1))
        for turn, start in enumerate(starts)
        for n in range(units)
    ]


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_the_gap_is_checked():
    word = cell_word(4, cells=("layer_norm",), state_depth=4)
    with pytest.raises(ValueError, match="gap must be at least 3, got 2"):
        Turns(cells=("layer_norm",), unit=word, slots=1, depth=4, gap=2)
    gc.collect()  # it is never elaborated


def test_every_cell_with_means_says_so():
    turned = {name for name, cell in CELLS.items() if cell.takes_means}
    assert turned == {"layer_norm"} | {name for name in CELLS if "_norm" in name}
    for cell in CELLS.values():
        turns = cell.stages[0].turns
        assert bool(turns) == (cell.name in turned)
        assert all(turn for turn in turns)
        assert all(count > 0 for turn in turns for count in turn.values())
