# SPDX-License-Identifier: Apache-2.0
"""Every kind of cell in the whole core."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS, describe, registry
from deltaloom.golden.cells.values import GATE, H, rshr, sat16, tanh
from deltaloom.golden.engines.engine import StepModel
from deltaloom.golden.engines.engine import run as run_golden
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.synthetic import make_frames, make_network, make_path
from deltaloom.hw.cells.catalogue import CELLS as HARDWARE
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.datapath.core import Core
from deltaloom.hw.image import memories
from deltaloom.sim.testing.core import check_core, feed, load_image, run_core
from deltaloom.sim.testing.kinds import crossed, few_first


def sequences(network, *lengths, seed=0):
    return [
        make_frames(network.inputs, steps, seed=seed + n, smooth=0.6)
        for n, steps in enumerate(lengths)
    ]


@pytest.mark.parametrize("threshold", [pytest.param(0, marks=pytest.mark.slow), 5])
@pytest.mark.parametrize(
    ("shape", "inputs"),
    [
        ([("lstm_cifg", 7), ("lstm_cifg", 3)], 5),
        ([("gru", 5)], 3),
        ([("gru", 1), ("gru", 9)], 1),
        ([("ligru", 7)], 3),
        ([("ligru", 3), ("ligru", 5), ("linear", 2)], 4),
        ([("gru_before", 5)], 3),
        ([("gru_before", 1), ("gru_before", 9)], 1),
        ([("gru_before", 6), ("sru", 6), ("linear", 2), ("gru_before", 3)], 4),
        ([("sru4", 5)], 3),
        ([("sru4", 1), ("sru", 1)], 1),
        ([("sru4", 7), ("sru", 7), ("sru", 7)], 5),
        ([("sru0", 9)], 2),
        ([("sru0", 3), ("sru4", 5), ("sru", 5), ("linear", 3)], 3),
        ([("gru", 6), ("sru", 6), ("lstm", 3), ("ligru", 5), ("lstm_cifg", 2)], 4),
    ],
)
def test_shapes(shape, inputs, threshold):
    network = make_network(shape, inputs, seed=len(shape), threshold=threshold)
    check_core(network, sequences(network, 4, 1, 3), word_bits=32, idle=0.2, stall=0.3)


@pytest.mark.parametrize(
    ("kind", "rows"),
    crossed(
        few_first(kind for kind in CELLS if kind != "linear"),
        [(24, 3), (128, 4), pytest.param((8, 1), marks=pytest.mark.slow)],
    ),
)
def test_two_layers_of_odd_sizes(kind, rows):
    word_bits, drain_rows = rows
    first = "sru4" if kind == "sru" else kind
    network = make_network([(first, 11), (kind, 11)], 3, threshold=2, c_exponent=1)
    options = {"word_bits": word_bits, "drain_rows": drain_rows}
    check_core(network, sequences(network, 3, 2), idle=0.1, stall=0.5, **options)


@pytest.mark.parametrize(
    ("units", "pace"), crossed(range(1, 9), [(0, 1), (255, 1), (0, 8), (255, 8)])
)
def test_states_are_written_before_the_next_step_reads_them(units, pace):
    """One layer without a recurrent path: only the encoders' end holds the next step back.

    At a threshold of 255 no list has an event, so that steps follow each other at their fastest.
    """
    threshold, drain_rows = pace
    network = make_network([("sru0", units)], 1, threshold=threshold, seed=units)
    word_bits = 32 * drain_rows  # a unit-word's gates in one beat
    frames = sequences(network, 20, 1, 1, 5)
    check_core(network, frames, word_bits=word_bits, drain_rows=drain_rows)


@pytest.mark.parametrize("units", [1, 2, 5])
def test_skips_are_written_before_they_are_read(units):
    network = make_network([("sru4", units), ("sru", units), ("sru", units)], 1, threshold=255)
    check_core(network, sequences(network, 20, 1), word_bits=256)


@pytest.mark.parametrize("kind", ["gru", "gru_before", "ligru", "lstm_cifg"])
def test_states_without_events(kind):
    """No list has an event: the fastest that recurrent steps follow each other."""
    network = make_network([(kind, 3)], 1)
    check_core(network, [np.zeros((30, 1), np.int64)], word_bits=128)


@pytest.mark.parametrize("skip", [(0, 0), (32767, 0), (-32768, 15), (12345, 40), (20000, 31)])
def test_skip_scales(skip):
    network = make_network([("sru4", 5), ("sru", 5)], 3)
    changed = replace(network.layers[1], skip_mult=skip[0], skip_shift=skip[1])
    network = replace(network, layers=(network.layers[0], changed))
    check_core(network, sequences(network, 4, 2), word_bits=32)


@pytest.mark.parametrize(
    "c_exponent",
    [
        *(-1, 0, 1, 4, 7, 8, 12),
        *(pytest.param(e, marks=pytest.mark.slow) for e in (2, 3, 5, 6, 9, 10, 11)),
    ],
)
def test_exponents(c_exponent):
    """Vector shifts from 18 down to 5; the LSTM's own exponents go no further than 7."""
    kinds = [("sru4", 3), ("sru", 3), ("sru0", 3), ("ligru", 2)]
    kinds += [("lstm_cifg", 2)] if c_exponent <= 7 else []
    network = make_network(kinds, 3, c_exponent=max(c_exponent, 0), h_exponent=max(c_exponent, 0))
    if c_exponent < 0:
        layers = tuple(
            replace(layer, vector_shift=18) if layer.vectors else layer for layer in network.layers
        )
        network = replace(network, layers=layers)
    check_core(network, sequences(network, 3, 1), word_bits=32)


@pytest.mark.parametrize("wide_exponent", [1, 3])
def test_a_gru_whose_candidates_recurrent_part_is_wide(wide_exponent):
    """Beside one whose part is not, and a cell with a c."""
    options = {"wide_exponent": wide_exponent, "threshold": 2}
    network = make_network([("gru", 5), ("lstm", 2)], 3, **options)
    other = make_network([("gru_hard", 3)], 2, seed=1).layers[0]
    network = replace(network, layers=(*network.layers, other))
    check_core(network, sequences(network, 4, 2), word_bits=32)


def test_gru_whose_paths_are_split():
    """What a path feeds may come from several; nh gets no part of the input's."""
    network = make_network([("gru", 5)], 3)
    rng = np.random.default_rng(1)
    parts = [("x", ("nx",)), ("x", ("z", "r")), ("h", ("nh",)), ("h", ("r", "z"))]
    paths = tuple(make_path(rng, s, gates, 5, 3 if s == "x" else 5) for s, gates in parts)
    network = replace(network, layers=(replace(network.layers[0], paths=paths),))
    check_core(network, sequences(network, 4, 2), word_bits=32)


@pytest.mark.parametrize(
    ("units", "threshold", "word_bits", "drain_rows"),
    [
        ([1], 0, 16, 2),
        ([3], 7, 64, 8),
        ([37], 0, 64, 8),
        ([37], 7, 16, 2),
        ([37, 3], 3, 64, 4),
        ([1, 37], 0, 64, 2),
    ],
)
def test_gru_with_its_reset_gate_before(units, threshold, word_bits, drain_rows):
    """Two stages a layer, in several chunks; a sequence of one step between others."""
    network = make_network([("gru_before", n) for n in units], 3, threshold=threshold, seed=5)
    frames = sequences(network, 3, 1, 2)
    config = {"word_bits": word_bits, "drain_rows": drain_rows}
    check_core(network, frames, idle=0.1, stall=0.3, cycles=400_000, **config)


@pytest.mark.parametrize(("weight_bits", "activation_bits"), crossed([2, 4, 16], [4, 16]))
def test_gru_before_of_other_widths(weight_bits, activation_bits):
    widths = {"weight_bits": weight_bits, "activation_bits": activation_bits}
    network = make_network([("gru_before", 11), ("linear", 2)], 3, threshold=2, **widths)
    check_core(network, sequences(network, 4, 2), word_bits=64, stall=0.2)


@pytest.mark.parametrize(("units", "drain_rows"), crossed([1, 2, 5, 8], [1, 8]))
def test_stages_wait_for_each_other(units, drain_rows):
    """Nothing is sent, so that stages follow each other at their fastest; z is never 0."""
    network = make_network([("gru_before", units)], 1, threshold=255, seed=units)
    frames = sequences(network, 20, 1, 1, 5)
    check_core(network, frames, word_bits=32 * drain_rows, drain_rows=drain_rows)


PARTS = {
    "whole": [("h", "rz"), ("x", "rzn"), ("rh", "n")],
    "nothing of x for the first stage": [("x", "n"), ("rh", "n"), ("h", "rz")],
    "nothing of x for the second": [("rh", "n"), ("x", "zr"), ("h", "r")],
    "no state for the second": [("x", "nrz"), ("h", "z")],
    "x split over the stages": [("x", "rn"), ("rh", "n"), ("x", "z"), ("h", "z"), ("h", "r")],
    "x split between the stages": [("x", "n"), ("x", "rz"), ("h", "zr"), ("rh", "n")],
}


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("widths", [(8, 8), pytest.param((2, 16), marks=pytest.mark.slow)])
def test_gru_before_whose_paths_are_split(parts, widths):
    """Widths in turn over the paths; there is a layer before, and one behind."""
    rng = np.random.default_rng(2)
    network = make_network([("lstm", 3), ("gru_before", 21), ("gru", 2)], 2)
    paths = tuple(
        make_path(
            rng,
            source,
            tuple(gates),
            21,
            3 if source == "x" else 21,
            weight_bits=widths[n % 2],
            activation_bits=8,
            threshold=n,
        )
        for n, (source, gates) in enumerate(parts)
    )
    layers = list(network.layers)
    layers[1] = replace(layers[1], paths=paths)
    network = replace(network, layers=tuple(layers))
    check_core(network, sequences(network, 3, 1, 2), word_bits=64, idle=0.1, stall=0.2)


def test_gru_before_with_zero_points():
    """The code of 0 is what every list starts from, the reset gate's product's too."""
    network = make_network([("gru_before", 5), ("gru_before", 3)], 3)
    layers = tuple(
        replace(
            layer,
            paths=tuple(
                replace(path, quantizer=replace(path.quantizer, zero_point=zero))
                for path, zero in zip(layer.paths, (-40, 17, 90), strict=True)
            ),
        )
        for layer in network.layers
    )
    network = replace(network, layers=layers)
    check_core(network, sequences(network, 4, 1, 2), word_bits=32)


def test_final_states_are_goldens():
    """c too: what the stages of a layer handed to each other is gone."""
    shape = [("gru_before", 9), ("lstm", 3), ("gru_before", 5), ("linear", 2)]
    network = make_network(shape, 3, threshold=1)
    config = derive_config(network, word_bits=32)
    image = compile_network(network, config)
    core = Core(config, image)
    frames = sequences(network, 3, 2)
    words = []

    async def source(ctx):
        await feed(ctx, core, frames)

    async def host(ctx):
        outputs = 0
        while outputs < 5:
            *_, done = await ctx.tick().sample(core.o.valid & core.o.ready & core.o.payload.last)
            outputs += done
        for address in range(config.states):
            ctx.set(core.state_addr, address)
            await ctx.tick()
            words.append(ctx.get(core.state_data))

    result = run_core(core, source, 5, host)
    golden = run_golden(network, frames)
    np.testing.assert_array_equal(
        np.reshape(result.outputs, (5, 2)), np.concatenate([g.outputs for g in golden])
    )
    assert image.state_bases == (0, 9, 12, 17)
    states = [np.concatenate(part) for part in zip(*golden[-1].states, strict=True)]
    signed = np.array(words, np.uint32).view(np.int16).reshape(-1, 2)
    np.testing.assert_array_equal(signed[:, 1], states[0])
    np.testing.assert_array_equal(signed[:, 0], states[1])


def test_vectors_are_loaded_with_the_image():
    network = make_network([("sru4", 5), ("linear", 3), ("sru", 3)], 2)
    config = derive_config(network, word_bits=32)
    image = compile_network(network, config)
    assert [m.name for m in memories(config)][-1] == "vectors"
    core = Core(config)
    frames = sequences(network, 3, 2)

    async def source(ctx):
        await load_image(ctx, core, image, config)
        await feed(ctx, core, frames)

    got = run_core(core, source, 5).outputs
    expected = np.concatenate([g.outputs for g in run_golden(network, frames)])
    np.testing.assert_array_equal(np.reshape(got, (-1, 3)), expected)


def test_without_vectors_there_is_no_memory_for_them():
    network = make_network([("gru", 5), ("ligru", 5)], 2)
    config = derive_config(network, word_bits=32)
    assert "vectors" not in [m.name for m in memories(config)]
    assert "vectors" not in compile_network(network, config).contents


def test_states_of_a_network_without_vectors_have_words_where_others_do():
    """A network that needs no vectors runs on an accelerator that has them, and many a cell."""
    network = make_network([("gru", 4), ("linear", 2)], 3)
    many = tuple(name for name in HARDWARE if "_norm_" not in name)  # 32 fit at most
    config = replace(derive_config(network, word_bits=32), cells=many)
    check_core(network, sequences(network, 3, 1), config=config)


def test_each_of_two_stages_finds_its_own_vector_in_a_units_word():
    """And a source that is made of vectors is shifted by their exponent, in each engine."""
    stages = ("two_a", "two_b")

    @describe(x="z n", h="z", rh="n", bounded=True, candidate="n", stages=stages)
    def two(z, n, h, v_a, v_b):
        z_b = tanh(sat16(z + rshr(v_a * 1, GATE)))
        return {
            "rh": rshr(z_b * h, H),
            "h": rshr(tanh(sat16(n + rshr(v_b * 1, GATE))) * tanh(z), H),
        }

    registry.register(two)
    try:
        assert {stage.vectors for stage in two.stages} == {("v_a", "v_b")}
        network = make_network([("two", 5)], 3, threshold=2)
        check_core(network, sequences(network, 3, 2), word_bits=32)
        frames = make_frames(3, 4, seed=1)
        model, (result,) = StepModel(network), run_golden(network, [frames])
        np.testing.assert_array_equal(result.outputs, [model.step(frame) for frame in frames])
        wide = replace(network.layers[0], vector_shift=18)  # e_v of 0
        (other,) = run_golden(replace(network, layers=(wide,)), [frames])
        assert (other.outputs != result.outputs).any()
    finally:
        registry._cells.pop("two")


def refused(network, message):
    with pytest.raises(UserError, match=message):
        compile_network(network, derive_config(network, word_bits=32))


def test_networks_that_do_not_fit_are_refused():
    refused(make_network([("sru", 3)], 3), "sru0: cell 'sru' cannot be the first layer")
    refused(make_network([("lstm_cifg", 3)], 3, c_exponent=8), "c exponent 8, .* takes 0..7")
