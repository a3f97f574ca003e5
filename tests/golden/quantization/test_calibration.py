# SPDX-License-Identifier: Apache-2.0
"""What calibration sees of the float model."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.quantization import calibration
from deltaloom.golden.quantization.calibration import observe
from deltaloom.golden.quantization.quantize import quantize_with

SHAPE = [("lstm", 7), ("linear", 4)]


def test_ranges_and_samples(make_model, make_dataset):
    model, data = make_model(SHAPE, 5), make_dataset(5, [30, 0, 12])
    traces = {}
    run_float_batch(model, data.features, observe=traces.__setitem__)
    for n, seen in enumerate(observe(model, data)):
        for field in ("x", "c", "h"):
            assert getattr(seen, field) == np.abs(getattr(traces[n], field)).max()
        for source in ("x", "h"):  # few values: all are kept
            values = getattr(traces[n], source)
            np.testing.assert_array_equal(
                np.sort(seen.samples[source]), np.sort(values.reshape(-1))
            )
            order = np.lexsort(values.T.astype(np.float32))
            frames = seen.frames[source]
            np.testing.assert_array_equal(
                frames[np.lexsort(frames.T)], values[order].astype(np.float32)
            )


def test_sequences_by_themselves(make_model, make_dataset):
    model, data = make_model(SHAPE, 5), make_dataset(5, [12, 0, 30])
    for n, seen in enumerate(observe(model, data)):
        units = (7, 4)[n]
        assert [len(part) for part in seen.sequences["h"]] == [30 * units, 12 * units, 0]
        for source, parts in seen.sequences.items():
            np.testing.assert_array_equal(np.concatenate(parts), seen.samples[source])
        if n == 0:
            for part, x in zip(
                seen.sequences["x"], [data.features[p] for p in (2, 0, 1)], strict=True
            ):
                np.testing.assert_array_equal(part, x.reshape(-1))


def test_frames_of_a_large_set_are_whole_ones(make_model, monkeypatch):
    monkeypatch.setattr(calibration, "FRAMES", 500)
    x = np.arange(20000, dtype=np.float32).reshape(5000, 4)
    (seen,) = observe(make_model([("linear", 1)], 4), Dataset((x,)))
    frames = seen.frames["x"]
    assert 400 < len(frames) < 600
    np.testing.assert_array_equal(frames, x[frames[:, 0].astype(int) // 4])


def test_a_projection_s_outputs_are_its_lstm_s_h(make_dataset):
    rng = np.random.default_rng(0)

    def weights(*shape):
        return rng.normal(size=shape).astype(np.float32)

    gates = ("i", "f", "g", "o")
    paths = (
        FloatPath(source="x", gates=gates, weights=weights(4, 6, 5)),
        FloatPath(source="h", gates=gates, weights=weights(4, 6, 2)),
    )
    lstm = FloatLayer(name="a", kind="lstm", paths=paths, bias=weights(4, 6), h_from="p")
    path = FloatPath(source="x", gates=("y",), weights=weights(1, 2, 6))
    projection = FloatLayer(name="p", kind="linear", paths=(path,), bias=weights(1, 2))
    model, data = FloatModel(layers=(lstm, projection)), make_dataset(5, [30])
    first, second = observe(model, data)
    np.testing.assert_array_equal(first.samples["h"], second.samples["h"])
    assert first.frames["h"].shape == (30, 2) and second.frames["x"].shape == (30, 6)


def test_source_rh_is_seen(make_model, make_dataset):
    model, data = make_model([("gru_before", 7), ("gru", 3)], 5), make_dataset(5, [30, 12])
    traces = {}
    run_float_batch(model, data.features, observe=traces.__setitem__)
    first, second = observe(model, data)
    assert {*first.samples} == {"x", "h", "rh"} and {*second.samples} == {"x", "h"}
    values = traces[0].rh.reshape(-1)
    np.testing.assert_array_equal(np.sort(first.samples["rh"]), np.sort(values))


@pytest.mark.parametrize(("kind", "gates"), [("ligru", {"h": "a"}), ("sru4", {"c": "u", "h": "s"})])
def test_pre_activations_count_where_they_share_a_format(make_model, make_dataset, kind, gates):
    model, data = make_model([(kind, 7)], 5), make_dataset(5, [30])
    (seen,) = observe(model, data)
    traces = {}
    run_float_batch(model, data.features, observe=traces.__setitem__)
    for name, gate in gates.items():
        p = traces[0].p[:, model.layers[0].cell.gates.index(gate)]
        state = np.abs(getattr(traces[0], name)).max()
        assert getattr(seen, name) == max(np.abs(p).max(), state)
        assert gate == "s" or getattr(seen, name) > state


def test_large_sets_are_sampled_evenly_and_the_largest_is_kept(make_model, monkeypatch):
    monkeypatch.setattr(calibration, "SAMPLES", 2000)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5000, 4)).astype(np.float32)
    x[1234, 2] = -77.0
    (seen,) = observe(make_model([("linear", 1)], 4), Dataset((x,)))
    assert 1800 < len(seen.samples["x"]) < 2200
    assert seen.samples["x"].min() == -77.0 and seen.x == 77.0
    assert abs(np.median(seen.samples["x"])) < 0.1


def test_the_same_every_time(make_model, make_dataset):
    model, data = make_model(SHAPE, 5), make_dataset(5, [3000])
    for a, b in zip(observe(model, data), observe(model, data), strict=True):
        np.testing.assert_array_equal(a.samples["x"], b.samples["x"])
        assert (a.x, a.c, a.h) == (b.x, b.c, b.h)


@pytest.mark.parametrize("lengths", [[], [0, 0]])
def test_no_frames(make_model, make_dataset, lengths):
    with pytest.raises(UserError, match="calibration data: no frames; give some typical sequences"):
        observe(make_model(SHAPE, 5), make_dataset(5, lengths))


def test_wrong_width(make_model, make_dataset):
    with pytest.raises(UserError, match="features: 3 per frame, the network takes 5"):
        observe(make_model(SHAPE, 5), make_dataset(3, [4]))


def test_model_that_is_not_finite(make_model, make_dataset):
    model = make_model([("linear", 2)], 3)
    layer = replace(model.layers[0], bias=np.array([[np.inf, 0]], np.float32))
    with pytest.raises(
        UserError, match="linear0: the float model's h is NaN or infinite; mend the checkpoint"
    ):
        observe(replace(model, layers=(layer,)), make_dataset(3, [4]))


@pytest.mark.parametrize("kind", ["ligru_norm", "ligru_norm_h", "ligru_norm_xh"])
def test_a_candidate_of_a_small_share_has_its_words(make_model, make_dataset, kind):
    """z is all but 1, so h stays small, and the candidate, which counts with 1 - z, is not cut."""
    model, data = make_model([(kind, 9)], 5), make_dataset(5, [30])
    (layer,) = model.layers
    vectors = layer.vectors | {
        "bias_a": np.full(9, 11, np.float32),
        "bias_z": np.full(9, 7, np.float32),
    }
    vectors |= {
        name: vector * np.float32(0.1) for name, vector in vectors.items() if name[:4] == "gain"
    }
    model = replace(model, layers=(replace(layer, vectors=vectors),))
    (seen,) = observe(model, data)
    assert seen.h < 4 and seen.c > 8
    network = quantize_with(model, (seen,))
    assert network.layers[0].c_exponent == 4 == network.layers[0].h_exponent
