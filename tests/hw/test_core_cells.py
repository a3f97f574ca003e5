# SPDX-License-Identifier: Apache-2.0
"""Every kind of cell in the whole core."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.engine import run as run_golden
from deltaloom.golden.errors import UserError
from deltaloom.golden.synthetic import make_frames, make_network, make_path
from deltaloom.hw.cells.unit import CELLS
from deltaloom.hw.compile import compile_network, derive_config
from deltaloom.hw.core import Core
from deltaloom.hw.image import memories
from deltaloom.sim.core_bench import check_core, feed, run_core


def sequences(network, *lengths, seed=0):
    return [
        make_frames(network.inputs, steps, seed=seed + n, smooth=0.6)
        for n, steps in enumerate(lengths)
    ]


@pytest.mark.parametrize("threshold", [0, 5])
@pytest.mark.parametrize(
    ("shape", "inputs"),
    [
        ([("lstm_cifg", 7), ("lstm_cifg", 3)], 5),
        ([("gru", 5)], 3),
        ([("gru", 1), ("gru", 9)], 1),
        ([("ligru", 7)], 3),
        ([("ligru", 3), ("ligru", 5), ("linear", 2)], 4),
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


@pytest.mark.parametrize("kind", [kind for kind in CELLS if kind != "linear"])
@pytest.mark.parametrize(("word_bits", "drain_rows"), [(8, 1), (24, 3), (128, 4)])
def test_two_layers_of_odd_sizes(kind, word_bits, drain_rows):
    first = "sru4" if kind == "sru" else kind
    network = make_network([(first, 11), (kind, 11)], 3, threshold=2, c_exponent=1)
    options = {"word_bits": word_bits, "drain_rows": drain_rows}
    check_core(network, sequences(network, 3, 2), idle=0.1, stall=0.5, **options)


@pytest.mark.parametrize("threshold", [0, 255])
@pytest.mark.parametrize("units", range(1, 9))
@pytest.mark.parametrize("drain_rows", [1, 8])
def test_states_are_written_before_the_next_step_reads_them(threshold, units, drain_rows):
    """One layer without a recurrent path: only the encoders' end holds the next step back.

    At a threshold of 255 no list has an event, so that steps follow each other at their fastest.
    """
    network = make_network([("sru0", units)], 1, threshold=threshold, seed=units)
    word_bits = 32 * drain_rows  # a unit-word's gates in one beat
    frames = sequences(network, 20, 1, 1, 5)
    check_core(network, frames, word_bits=word_bits, drain_rows=drain_rows)


@pytest.mark.parametrize("units", [1, 2, 5])
def test_skips_are_written_before_they_are_read(units):
    network = make_network([("sru4", units), ("sru", units), ("sru", units)], 1, threshold=255)
    check_core(network, sequences(network, 20, 1), word_bits=256)


@pytest.mark.parametrize("kind", ["gru", "ligru", "lstm_cifg"])
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


@pytest.mark.parametrize("c_exponent", range(-1, 13))
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


def test_gru_whose_paths_are_split():
    """What a path feeds may come from several; nh gets no part of the input's."""
    network = make_network([("gru", 5)], 3)
    rng = np.random.default_rng(1)
    parts = [("x", ("nx",)), ("x", ("z", "r")), ("h", ("nh",)), ("h", ("r", "z"))]
    paths = tuple(make_path(rng, s, gates, 5, 3 if s == "x" else 5) for s, gates in parts)
    network = replace(network, layers=(replace(network.layers[0], paths=paths),))
    check_core(network, sequences(network, 4, 2), word_bits=32)


def test_vectors_are_loaded_with_the_image():
    network = make_network([("sru4", 5), ("linear", 3), ("sru", 3)], 2)
    config = derive_config(network, word_bits=32)
    image = compile_network(network, config)
    assert [m.name for m in memories(config)][-1] == "vectors"
    core = Core(config)
    frames = sequences(network, 3, 2)

    async def source(ctx):
        for memory in memories(config):
            port = getattr(core, f"load_{memory.name}")
            ctx.set(port.en, 1)
            for addr, word in enumerate(image.contents[memory.name]):
                ctx.set(port.addr, addr)
                ctx.set(port.data, word)
                await ctx.tick()
            ctx.set(port.en, 0)
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
    """A network that needs no vectors runs on an accelerator that has them, and any cell."""
    network = make_network([("gru", 4), ("linear", 2)], 3)
    config = replace(derive_config(network, word_bits=32), cells=tuple(CELLS))
    check_core(network, sequences(network, 3, 1), config=config)


def refused(network, message):
    with pytest.raises(UserError, match=message):
        compile_network(network, derive_config(network, word_bits=32))


def test_networks_that_do_not_fit_are_refused():
    refused(make_network([("sru", 3)], 3), "sru0: cell 'sru' cannot be the first layer")
    refused(make_network([("gru_before", 3)], 3), "cells: 'gru_before' is not possible")
    refused(make_network([("lstm_cifg", 3)], 3, c_exponent=8), "c exponent 8, .* takes 0..7")
