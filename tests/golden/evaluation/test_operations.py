# SPDX-License-Identifier: Apache-2.0
"""Eliminated operations: as measured and as published, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS
from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import run_dataset
from deltaloom.golden.evaluation.operations import eliminated_as_published, is_skipped
from deltaloom.golden.models.synthetic import make_network, make_path


@pytest.fixture(scope="module")
def network():
    """An LSTM of 4 on 5 inputs, its g's recurrent path of 16/16 bits, and 3 outputs."""
    rng = np.random.default_rng(0)
    plain = make_network([("lstm", 4), ("linear", 3)], 5)
    lstm, linear = plain.layers
    x, _ = lstm.paths
    rest = make_path(rng, "h", ("i", "f", "o"), 4, 4)
    g = make_path(rng, "h", ("g",), 4, 4, weight_bits=16, activation_bits=16)
    return replace(plain, layers=(replace(lstm, paths=(x, rest, g)), linear))


def test_published_by_hand(network):
    """10 steps of 2 sequences, 4 of them first ones.

    lstm0.x: 80 of 220 operations, 20 events, 8 of them in first steps, which count as 20: 32 of
    50; lstm0.h: 48, 10 events, 3 of them early, as 16: 23 of 40; the skipped path, 16, and the
    elementwise operations, 12, at 97 %; linear: 12, 40 of 40.
    """
    events = {"lstm0.x": 20, "lstm0.h.ifo": 10, "lstm0.h.g": 7, "linear1.x": 40}
    first = {"lstm0.x": 8, "lstm0.h.ifo": 3, "lstm0.h.g": 7, "linear1.x": 16}
    dense = 80 + 48 + 16 + 12 + 12
    sent = 80 * 32 / 50 + 48 * 23 / 40 + 0.97 * (16 + 12) + 12 * 40 / 40
    got = eliminated_as_published(network, events, first, 10, 4)
    assert got == pytest.approx(100 * (1 - sent / dense))


def test_skipped(network):
    lstm, linear = network.layers
    assert [is_skipped(lstm, path) for path in lstm.paths] == [False, False, True]
    assert not is_skipped(linear, linear.paths[0])
    wide = make_network([("lstm", 4)], 5, weight_bits=16, activation_bits=16).layers[0]
    assert not any(is_skipped(wide, path) for path in wide.paths)  # fixed point throughout


def test_first_events_are_those_of_two_steps(network):
    rng = np.random.default_rng(1)
    lengths = (5, 1, 0, 7)
    data = Dataset(tuple(rng.normal(size=(n, 5)).astype(np.float32) for n in lengths))
    totals = run_dataset(network, data)
    short = run_dataset(network, Dataset(tuple(x[:2] for x in data.features)))
    assert totals.first_events == short.events == short.first_events
    assert any(totals.events[name] > count for name, count in short.events.items())
    expected = eliminated_as_published(network, totals.events, short.events, 13, 5)
    assert totals.eliminated_as_published(network, data) == expected


def test_two_steps_are_all_dense(network):
    data = Dataset((np.zeros((2, 5), np.float32),))
    share = (16 + 12) / (80 + 48 + 16 + 12 + 12)
    got = run_dataset(network, data).eliminated_as_published(network, data)
    assert got == pytest.approx(3 * share)


PRODUCTS = {
    "lstm": 3,  # f * c', i * g, o * tanh(c)
    "lstm_cifg": 3,
    "lstm_peephole": 6,  # and v * c three times
    "gru": 3,  # r * n_h, (1 - z) * n, z * h'
    "gru_before": 3,
    "ligru": 2,  # (1 - z) * a, z * h'
    "sru": 7,  # v_f * c', v_r * c', f * c', (1 - f) * p_u, r * c, (1 - r) * skip, and the skip's
    "sru4": 6,
    "sru0": 5,
    "linear": 0,
}
"""Multiplications per unit and step outside the matrix-vector products, by cell."""


@pytest.mark.parametrize("kind", PRODUCTS)
def test_every_cell_has_its_count(kind):
    assert CELLS[kind].products == PRODUCTS[kind]
