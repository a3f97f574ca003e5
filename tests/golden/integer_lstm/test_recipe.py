# SPDX-License-Identifier: Apache-2.0
"""The recipe's rules at their edges; test_vectors.py and test_litert.py say that it is LiteRT's."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaloom.golden.cells.norm import LEAST
from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.integer_lstm.engine import run
from deltaloom.golden.integer_lstm.float_engine import Range, Ranges, observe, run_float_states
from deltaloom.golden.integer_lstm.float_network import from_model
from deltaloom.golden.integer_lstm.layers import Affine
from deltaloom.golden.integer_lstm.recipe import asymmetric, cell_log2, quantize, symmetric
from deltaloom.golden.integer_lstm.synthetic import make_frames, make_lstm_network

REAL = st.floats(-1e6, 1e6, width=32)


@given(REAL, REAL)
def test_activations_have_0_and_their_range(a, b):
    seen = Range(min(a, b), max(a, b), True)
    if max(seen.high, 0) - min(seen.low, 0) < 1e-30:
        return
    affine = asymmetric(seen)
    assert affine.real(affine.zero_point) == 0
    ends = affine.real(np.array([-128, 127]))
    slack = affine.scale * 0.51
    assert ends[0] - slack <= min(seen.low, 0) and max(seen.high, 0) <= ends[1] + slack


def test_codes_of_reals_are_to_even_and_saturate():
    affine = Affine(0.5, 3)
    given = np.array([0.0, 0.25, 0.75, -0.25, -0.75, 1e30, -1e30])
    assert affine.codes(given).tolist() == [3, 3, 5, 3, 1, 127, -128]


@pytest.mark.parametrize(
    ("reach", "log2"),
    [
        *((0.0, -15), (1e-9, -15), (0.99, -15), (1.0, -15), (1.001, -14), (2.0, -14), (2.01, -13)),
        *((63.9, -9), (64.0, -9), (64.1, -9), (1e9, -9)),
    ],
)
def test_the_cell_state_has_the_smallest_power_of_two(reach, log2):
    assert cell_log2(reach) == log2


def test_weights_are_about_0_and_never_minus_128():
    codes, scale = symmetric("w", np.array([[-2.0, 1.0, 0.0]]), 127)
    assert codes.tolist() == [[-127, 64, 0]] and scale == float(np.float32(2 / 127))
    assert symmetric("w", np.zeros((2, 2)), 127)[1] == 1.0
    with pytest.raises(UserError, match="has no float32 scale; scale the data"):
        symmetric("w", np.full(3, 1e-44), 127)


def test_a_range_of_nothing_has_a_scale():
    assert asymmetric(Range()) == Affine(1.0, 0)
    with pytest.raises(UserError, match="has no float32 scale"):
        asymmetric(Range(0.0, 1e-44, True))


def test_a_cell_state_beyond_64_is_cut_and_said_so():
    floats = make_lstm_network("plain", (3, 4))
    bias = floats.layers[0].bias.copy()
    bias += np.array([30, 30, 30, 0])[:, None]  # i, f, g are 1: c counts frames
    floats = replace(floats, layers=(replace(floats.layers[0], bias=bias),))
    network = quantize(floats, Dataset(tuple(make_frames(3, [100]))))
    (note,) = network.notes
    assert note.startswith("lstm.0: the cell state reaches 100 and is cut at 64, the most that")
    result = run(network, [network.x.codes(make_frames(3, [100])[0])])
    assert (result.states[0].c == 32767).all()


def test_ranges_are_over_all_frames_and_from_the_initial_states():
    floats = make_lstm_network("all", (3, 4))
    sequences = make_frames(3, [20, 1, 7])
    (seen,) = observe(floats, Dataset(tuple(sequences)))
    parts = [observe(floats, Dataset((x,)))[0] for x in sequences]
    for name in ("x", "y", "c", "m"):
        low, high = getattr(seen, name).low, getattr(seen, name).high
        assert low == pytest.approx(min(getattr(p, name).low for p in parts))
        assert high == pytest.approx(max(getattr(p, name).high for p in parts))
    assert len(seen.gates) == 3
    initial = {"c": np.full(4, 50.0), "h": np.full(2, -9.0)}
    floats = replace(floats, layers=(replace(floats.layers[0], initial=initial),))
    (started,) = observe(floats, Dataset(tuple(sequences)))
    assert started.c.high == 50 and started.y.low == -9


def test_data_that_does_not_fit():
    floats = make_lstm_network("plain", (3, 4))
    with pytest.raises(UserError, match="features: 2 per frame, the network takes 3"):
        quantize(floats, Dataset(tuple(make_frames(2, [4]))))
    with pytest.raises(UserError, match="calibration data: no frames; give some typical sequences"):
        quantize(floats, Dataset((np.zeros((0, 3), np.float32),)))


def test_names_of_outputs_come_from_the_data():
    floats = make_lstm_network("plain", (3, 4), classes=2)
    x = tuple(make_frames(3, [9]))
    assert quantize(floats, Dataset(x, label_names=("a", "b"))).labels == ("a", "b")
    assert quantize(floats, Dataset(x, label_names=("a",))).labels == ()


def test_a_range_refuses_what_is_not_finite():
    with pytest.raises(UserError, match="c: the float network's are NaN or infinite"):
        Ranges().c.see("c", np.array([1.0, np.nan]))


@pytest.fixture
def normed(make_model):
    """An `lstm_norm` of [4 -> 6] with an epsilon of gate f, and data on which variances are 1."""

    def make(epsilon):
        model = make_model([("lstm_norm", 6)], 4)
        layer = model.layers[0]
        vectors = layer.vectors | {"epsilon_f": np.full(6, epsilon - LEAST, np.float32)}
        layer = replace(layer, bias=np.zeros_like(layer.bias), vectors=vectors)
        return from_model(replace(model, layers=(layer,)))

    return make


def variances(floats, data):
    """Of gate f, frame by frame, from the engine's own sums."""
    seen = []

    class Seer:
        def see(self, what, values):
            seen.append(values.var(axis=1))

    class Nothing:
        def see(self, what, values):
            pass

    gates = [Nothing(), Seer(), Nothing(), Nothing()]
    observer = Ranges(*(Nothing() for _ in range(4)), gates=gates)
    run_float_states(floats, data.features, observers=[observer])
    return np.concatenate(seen)


def test_an_epsilon_that_is_much_of_a_variance_is_said_or_refused(normed):
    data = Dataset(tuple(make_frames(4, [30, 12])))
    assert quantize(normed(1e-5), data).notes == ()
    size = float(np.median(variances(normed(1e-5), data)))
    floats = normed(0.1 * size)
    found = variances(floats, data)
    off = np.sqrt(found / (found + 1e-8)) - np.sqrt(found / (found + floats.layers[0].epsilons[1]))
    size_of = np.sqrt(np.mean(found / (found + floats.layers[0].epsilons[1])))
    (note,) = quantize(floats, data).notes
    percent = 100 * np.sqrt(np.mean(off**2)) / size_of
    assert note.startswith(f"lstm_norm0 gate f: epsilon {0.1 * size:.3g} is not small beside the")
    assert f"normalised values are off by {percent:.3g} %; other schemes have epsilon" in note
    with pytest.raises(UserError) as caught:
        quantize(normed(size), data)
    line = str(caught.value)
    assert line.startswith(f"lstm_norm0 gate f: epsilon {size:.3g} is not small")
    assert line.endswith(
        "at most 10 % are taken; choose another scheme, whose arithmetic has epsilon, or train "
        "with a smaller one"
    )


def test_frames_that_stand_still_lose_nothing(normed):
    """With x and h of 0 a variance is 0, whatever epsilon is."""
    assert quantize(normed(0.5), Dataset((np.zeros((1, 4), np.float32),))).notes == ()
