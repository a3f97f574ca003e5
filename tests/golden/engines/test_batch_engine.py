# SPDX-License-Identifier: Apache-2.0
"""Several settings of the thresholds at once: the same as one by one, and shared where possible."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaloom.golden.cells import CELLS, describe
from deltaloom.golden.cells.values import mix, sigmoid
from deltaloom.golden.delta import DELTA_MODES
from deltaloom.golden.engines import batch_engine
from deltaloom.golden.engines.engine import DENSE, StepModel, run, run_settings
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.synthetic import Shape, make_frames, make_network

KINDS = ["lstm", "lstm_peephole", "gru", "gru_before", "ligru", "sru", "sru0", "sru4"]


def assert_same(a, b):
    np.testing.assert_array_equal(a.outputs, b.outputs, strict=True)
    for one, other in ((a.events, b.events), (a.terms, b.terms)):
        assert one.keys() == other.keys()
        for name, count in one.items():
            np.testing.assert_array_equal(count, other[name], strict=True)
    for state, other in zip(a.states, b.states, strict=True):
        np.testing.assert_array_equal(state.c, other.c)
        np.testing.assert_array_equal(state.h, other.h)


def frames_for(network, lengths):
    return [make_frames(network.inputs, n, seed=n, smooth=0.5) for n in lengths]


@st.composite
def networks(draw):
    kind = draw(st.sampled_from(KINDS))
    one = Shape(
        kind=kind,
        units=5,
        both=draw(st.booleans()),
        backward=False,
        projection=draw(st.sampled_from([0, 5])) if kind.startswith("lstm") else 0,
        initial=draw(st.booleans()),
    )
    return make_network(
        [one, ("ligru", 4), ("linear", 3)],
        5,
        seed=draw(st.integers(0, 99)),
        activation_bits=draw(st.sampled_from([2, 4, 8, 16])),
        threshold=1,
        delta_mode=draw(st.sampled_from(DELTA_MODES)),
    )


@settings(deadline=None, max_examples=40)
@given(networks(), st.lists(st.integers(0, 6), max_size=4), st.booleans(), st.data())
def test_together_as_one_by_one(network, lengths, terms, data):
    names = [name for name, _ in network.paths()]
    chosen = st.dictionaries(st.sampled_from(names), st.integers(0, 3), max_size=3)
    asked = data.draw(st.lists(st.one_of(st.just(DENSE), chosen), max_size=6))
    frames = frames_for(network, lengths)
    together = run_settings(network, frames, asked, terms=terms)
    for setting, results in zip(asked, together, strict=True):
        there = network.with_thresholds(setting or {})
        alone = run(there, frames, delta=setting is not DENSE, terms=terms)
        for a, b in zip(results, alone, strict=True):
            assert_same(a, b)


@pytest.mark.parametrize("mode", DELTA_MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_any_size(monkeypatch, kind, mode):
    shape = [Shape(kind=kind, units=5, both=True), ("gru_before", 3), ("linear", 3)]
    network = make_network(shape, 5, threshold=3, delta_mode=mode)
    frames = frames_for(network, [9, 4, 0, 9, 1])
    asked = [{}, DENSE, dict.fromkeys((name for name, _ in network.paths()), 9)]
    whole = list(run_settings(network, frames, asked, terms=True))
    assert any((a.outputs != b.outputs).any() for a, b in zip(whole[0], whole[1], strict=True))
    for rows in (1, 7, 20):
        monkeypatch.setattr(batch_engine, "ROWS", rows)
        for results, parts in zip(
            whole, run_settings(network, frames, asked, terms=True), strict=True
        ):
            for a, b in zip(results, parts, strict=True):
                assert_same(a, b)


def test_settings_share_what_they_have_in_common(monkeypatch):
    """A layer runs once for each distinct input and own thresholds."""
    network = make_network([("gru", 3), ("gru", 3), ("linear", 2)], 3)
    seen, run_group = [], batch_engine._run

    def counted(networks, group, packing, x, settings, *rest):
        seen.append((networks[0].layers[group[0]].name, len(settings)))
        return run_group(networks, group, packing, x, settings, *rest)

    monkeypatch.setattr(batch_engine, "_run", counted)
    asked = [{}, DENSE, {"linear2.x": 4}, {"gru1.h": 2}, {"gru1.h": 2, "linear2.x": 4}]
    list(run_settings(network, frames_for(network, [5]), asked))
    assert seen == [("gru0", 1), ("gru1", 2), ("linear2", 4)]
    seen.clear()
    list(run_settings(network, frames_for(network, [5]), [{"gru0.x": 5}, {}, {"gru0.x": 5}]))
    assert seen == [("gru0", 2), ("gru1", 2), ("linear2", 2)]


def test_no_setting_and_no_sequence():
    network = make_network([("gru", 3)], 3)
    assert list(run_settings(network, frames_for(network, [5]), [])) == []
    assert list(run_settings(network, [], [{}, DENSE])) == [[], []]
    (results,) = run_settings(network, frames_for(network, [0]), [{}])
    assert results[0].outputs.shape == (0, 3)


def test_what_cannot_be():
    network = make_network([("gru", 3)], 3)
    with pytest.raises(UserError, match=r"threshold of 'x': no such path; paths: gru0.x, gru0.h"):
        list(run_settings(network, [], [{}, {"x": 1}]))
    with pytest.raises(UserError, match="threshold: 256 is not possible"):
        list(run_settings(network, [], [{"gru0.x": 256}]))
    for word in (-32769, 32768):
        with pytest.raises(UserError, match="frames: a word is beyond int16"):
            run(network, [np.array([[0, word, 0]])])
    corner = np.array([[-32768, 32767, 0]])
    assert run(network, [corner])[0].steps == 1


def test_a_state_that_no_path_reads(monkeypatch):
    """A cell whose unit alone reads its h steps frame by frame, and may start from a given h."""

    @describe(x="z y", formats={"y": "h"})
    def leaky(z, y, h):
        return {"h": mix(h, sigmoid(z), y)}

    assert leaky.state == ("h",) and not leaky.recurrent
    assert CELLS["linear"].state == () and CELLS["sru"].state == ("c",)
    monkeypatch.setitem(CELLS, "leaky", leaky)
    network = make_network([Shape(kind="leaky", units=5, initial=True), ("linear", 3)], 4, seed=1)
    assert [*network.layers[0].initial] == ["h"]
    frames = frames_for(network, [6, 9])
    for result, sequence in zip(run(network, frames), frames, strict=True):
        assert_same(result, StepModel(network).run(sequence))


@pytest.mark.parametrize("units", [130, 240])
def test_sums_for_which_doubles_have_no_half(units):
    """Two paths of shift 0 that cancel: each fits a double, but not with the half of its rounding.

    Of 240 units they are from 2**52 on, of 130 below.
    """
    network = make_network([("rnn_tanh", units)], units, weight_bits=16, activation_bits=16)
    (layer,) = network.layers
    rng = np.random.default_rng(0)
    paths = tuple(
        replace(
            path,
            weights=np.full_like(path.weights, 32767 if path.source == "x" else -32767),
            mult=np.full_like(path.mult, 32767),
            shift=np.zeros_like(path.shift),
            quantizer=replace(path.quantizer, mult=1, shift=0),
        )
        for path in layer.paths
    )
    h = rng.integers(31000, 32767, units)
    bias = rng.integers(-3000, 3000, layer.bias.shape)
    layer = replace(layer, paths=paths, bias=bias, initial={"h": h})
    network = replace(network, layers=(layer,))
    frames = h[None].copy()
    (found,) = run(network, [frames])
    np.testing.assert_array_equal(found.outputs, StepModel(network).run(frames).outputs)
