# SPDX-License-Identifier: Apache-2.0
"""The torch module's words are golden's, every one: cells, bits, thresholds, graphs, lengths."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from deltaloom.golden.cells import CELLS, Numbers, State
from deltaloom.golden.engines.engine import run
from deltaloom.golden.models.states import first_codes
from deltaloom.golden.models.synthetic import Shape, make_frames, make_network
from deltaloom.sim.testing.kinds import normed_last
from deltaloom.training.cells import Exact, Step
from deltaloom.training.network import DeltaNetwork
from deltaloom.training.packed import Packed

LENGTHS = (7, 1, 0, 19, 5)


def words_of(network, sequences, states=None):
    """Outputs of each sequence, as the module puts them out."""
    packed = Packed.of([len(s) for s in sequences])
    frames = torch.from_numpy(packed.packing.pack(sequences, network.inputs)).float()
    first = first_codes(network, states or {}, len(sequences))
    with torch.no_grad():
        outputs, layers = DeltaNetwork(network)(packed, frames, first)
    assert len(layers) == len(network.layers)
    return packed.packing.unpack(outputs.numpy())


def check(network, lengths=LENGTHS, smooth=0.5):
    sequences = [make_frames(network.inputs, n, seed=n, smooth=smooth) for n in lengths]
    wanted = [result.outputs for result in run(network, sequences)]
    for own, other in zip(wanted, words_of(network, sequences), strict=True):
        np.testing.assert_array_equal(own, other)
    return wanted


@pytest.mark.parametrize("kind", normed_last(CELLS))
def test_cells(kind):
    for weights, activations, threshold, mode in (
        (8, 8, 0, "exact"),
        (2, 4, 1, "exact"),
        (4, 16, 700, "exact"),
        (16, 8, 5, "power_of_two"),
    ):
        shape = [(kind, 5), ("linear", 3)]
        bits = {"weight_bits": weights, "activation_bits": activations}
        check(make_network(shape, 5, threshold=threshold, delta_mode=mode, seed=3, **bits))


def test_means():
    check(make_network([("lstm_norm", 6), ("linear", 3)], 5, threshold=2))


@pytest.mark.parametrize(
    "shape",
    [
        [Shape(kind="lstm", units=6, both=True, shared=True, initial=True)],
        [Shape(kind="lstm_peephole", units=7, projection=4, both=True, initial=True)],
        [Shape(kind="gru_before", units=7, backward=True, initial=True), ("sru", 7)],
        [Shape(kind="lstm", units=3, projection=2), ("sru4", 5), ("gru", 4)],
        [("linear_relu", 1), ("lstm", 1), ("linear", 1)],
        [("gru", 37), ("ligru", 5)],
    ],
)
@pytest.mark.parametrize("threshold", [0, 2])
def test_graphs(shape, threshold):
    check(make_network(shape, 5, threshold=threshold))


@pytest.mark.parametrize("exponents", [(0, 0, 0), (7, 12, 3)])
def test_exponents(exponents):
    c, h, wide = exponents
    shape = [("sru", 5), ("gru", 4), ("ligru", 3), ("lstm_peephole", 4)]
    check(make_network(shape, 5, c_exponent=c, h_exponent=h, wide_exponent=wide))


def test_zero_points():
    network = make_network([("ligru", 6), ("linear", 3)], 4, activation_bits=4, threshold=1)

    def moved(path, zero):
        return replace(path, quantizer=replace(path.quantizer, zero_point=zero))

    layers = [
        replace(layer, paths=tuple(moved(path, zero) for path in layer.paths))
        for layer, zero in zip(network.layers, (-8, 5), strict=True)
    ]
    check(replace(network, layers=tuple(layers)))


def test_long_products():
    """Sums beyond 2**24, then rescales beyond 2**53."""
    network = make_network([("linear", 3)], 300, weight_bits=16, activation_bits=16)
    path = network.layers[0].paths[0]
    assert path.bound > 2**24
    check(network, lengths=(3,))
    full = replace(path, weights=np.full_like(path.weights, -32768), shift=np.array([40]))
    full = replace(full, mult=np.full_like(path.mult, 32767))
    assert full.bound * 32767 > 2**53
    (wanted,) = check(
        replace(network, layers=(replace(network.layers[0], paths=(full,)),)), lengths=(9,)
    )
    assert np.ptp(wanted) > 0


def test_states_of_the_data():
    network = make_network([("lstm", 6), ("gru", 4)], 5, threshold=2)
    rng = np.random.default_rng(0)
    sequences = [make_frames(5, n, seed=n) for n in (4, 9)]
    states = {"lstm0.h": rng.uniform(-1, 1, (2, 6)), "gru1.h": rng.uniform(-1, 1, (2, 4))}
    first = first_codes(network, states, 2)
    wanted = [result.outputs for result in run(network, sequences, first=first)]
    for own, other in zip(wanted, words_of(network, sequences, states), strict=True):
        np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize("kind", normed_last(CELLS))
def test_steps(kind):
    """Of the whole range of words, and its ends."""
    cell, rng = CELLS[kind], np.random.default_rng(0)
    for e in range(1 + cell.most_c_exponent if cell.has_c or cell.wide else 1):
        words = iter(rng.integers(-32768, 32768, (32, 99, 6)))
        p = {gate: next(words) for gate in cell.gates}
        for n, gate in enumerate(cell.gates):
            p[gate][n, :], p[gate][n + 9, :] = 32767, -32768
        c, h, skip = next(words), next(words), next(words)
        vectors = {name: next(words)[0] for name in cell.vectors}
        numbers = Numbers(c_exponent=e, vectors=vectors, vector_shift=11, skip=skip)
        wanted = cell.step(p, State(c, h), numbers)
        inputs = {**p, "c": c, "h": h, **vectors, "skip": skip}
        reals = {name: torch.from_numpy(v.astype(float)) for name, v in inputs.items()}
        own_c, own_h = Step(kind, Exact(), e, 11)(reals)
        np.testing.assert_array_equal(wanted.h, own_h.numpy())
        if cell.has_c:
            np.testing.assert_array_equal(wanted.c, own_c.numpy())
