# SPDX-License-Identifier: Apache-2.0
"""Error-compensating rounding: by hand, by brute force, and never worse than the nearest codes."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaloom.golden.arithmetic import code_range, to_fixed
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames, run
from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.models import graph
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.quantization.calibration import observe
from deltaloom.golden.quantization.clipping import mmse_clip
from deltaloom.golden.quantization.quantize import quantize_with
from deltaloom.golden.quantization.rounding import (
    Moments,
    Rounded,
    moments_of,
    round_corrected,
    round_gptq,
    round_nearest,
)
from deltaloom.golden.quantization.scheme import Scheme
from deltaloom.golden.reports.paths import float_weights


def correlated(rng, frames, columns):
    """Inputs [frames, columns] that a few directions dominate, with a mean."""
    mixing = rng.normal(size=(columns, columns)) * 0.6 ** np.arange(columns)[:, None]
    return rng.normal(size=(frames, columns)) @ mixing + rng.normal(size=columns)


def test_the_second_weight_makes_good_the_first_one():
    """Both inputs are the same: 0.4 + 0.4 is nearer to 1 + 0 than to 0 + 0, in steps of 1."""
    x = np.repeat(np.random.default_rng(0).normal(size=(500, 1)), 2, axis=1)
    weights, clips = np.array([[[0.4, 0.4]]]), np.array([[1.0]])
    assert round_nearest(weights, clips, 2).codes.tolist() == [[[0, 0]]]
    found = round_gptq(weights, clips, 2, Moments.of(x, x))
    assert sorted(found.codes[0, 0].tolist()) == [0, 1]
    assert found.step[0, 0] == pytest.approx(0.8, rel=0.01)


def test_the_bias_takes_the_mean_of_the_nearest_codes_error():
    rng = np.random.default_rng(2)
    x = correlated(rng, 400, 6)
    weights = rng.normal(size=(2, 3, 6))
    clips, moments = np.abs(weights).max(axis=-1), Moments.of(x, np.round(x))
    nearest, found = (
        f(weights, clips, 3, *m) for f, m in ((round_nearest, ()), (round_corrected, (moments,)))
    )
    np.testing.assert_array_equal(found.codes, nearest.codes)
    off = (x @ weights.reshape(6, 6).T - np.round(x) @ nearest.values.reshape(6, 6).T).mean(axis=0)
    assert found.offset.reshape(-1) == pytest.approx(off)
    assert (moments.error(weights, found) < moments.error(weights, nearest)).all()


def test_moments_by_hand():
    """w x - ŵ x̂ - offset is 1 - 0, 3 - 2, 2 - 4 for these three frames."""
    x, sent = np.array([[1.0], [3.0], [2.0]]), np.array([[0.0], [1.0], [2.0]])
    moments = Moments.of(x, sent)
    weights = np.array([[[1.0]]])
    rounded = Rounded(np.array([[[4]]]), np.array([[0.5]]), np.array([[0.0]]))
    assert moments.error(weights, rounded)[0, 0] == pytest.approx((1 + 1 + 4) / 3)
    assert moments.offset(weights, rounded.values)[0, 0] == pytest.approx(0.0)
    shifted = Rounded(rounded.codes, rounded.step, np.array([[1.0]]))
    assert moments.error(weights, shifted)[0, 0] == pytest.approx((0 + 0 + 9) / 3)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    columns=st.integers(1, 40),
    bits=st.sampled_from([2, 3, 4, 8]),
    per_row=st.booleans(),
)
def test_never_worse_than_nearest(seed, columns, bits, per_row):
    """Of any row, or with one step for a gate of any gate; measured on the frames themselves."""
    rng = np.random.default_rng(seed)
    x = correlated(rng, 60, columns)
    sent = np.rint(x * 4) / 4
    weights = rng.laplace(size=(2, 5, columns))
    clips = mmse_clip(weights if per_row else weights.reshape(2, -1), bits)
    clips = clips if per_row else np.repeat(clips[:, None], 5, axis=1)
    nearest = round_nearest(weights, clips, bits)
    found = round_gptq(weights, clips, bits, Moments.of(x, sent), per_row=per_row)

    def error(rounded):
        own = np.einsum("guc,nc->gun", rounded.values, sent) + rounded.offset[..., None]
        return np.square(np.einsum("guc,nc->gun", weights, x) - own).mean(axis=-1)

    before, after = error(nearest), error(found)
    if not per_row:
        assert all(len(set(gate)) == 1 for gate in found.step)
        before, after = before.sum(axis=1), after.sum(axis=1)
    assert (after <= before * (1 + 1e-9) + 1e-12).all()
    low, high = code_range(bits)
    assert low <= found.codes.min() and found.codes.max() <= high


def test_near_the_best_of_all_codes():
    """Against all 4**6 rows of 2-bit codes with their own best step and offset."""
    rng = np.random.default_rng(1)
    x = correlated(rng, 400, 6)
    moments = Moments.of(x, x)
    weights = rng.normal(size=(1, 20, 6))
    clips = mmse_clip(weights, 2)
    found = moments.error(weights, round_gptq(weights, clips, 2, moments))[0]
    nearest = moments.error(weights, round_nearest(weights, clips, 2))[0]
    h, every = moments.sent_sent, np.array([*product(range(-2, 2), repeat=6)], float)
    own = (every @ h * every).sum(axis=1)
    both = np.maximum(every @ h @ weights[0].T, 0)
    gain = np.divide(both**2, own[:, None], out=np.zeros_like(both), where=own[:, None] > 0)
    best = (weights[0] @ h * weights[0]).sum(axis=1) - gain.max(axis=0)
    assert (found >= best * (1 - 1e-9)).all()
    assert found.sum() < best.sum() + 0.15 * (nearest.sum() - best.sum())


@pytest.mark.parametrize("frames", [np.zeros((9, 3)), np.ones((9, 3)), np.eye(3)[:1]])
def test_inputs_without_a_spread(frames):
    weights = np.random.default_rng(0).normal(size=(1, 4, 3))
    found = round_gptq(weights, mmse_clip(weights, 2), 2, Moments.of(frames, frames))
    moments = Moments.of(frames, frames)
    assert moments.error(weights, found).max() < 1e-20  # the offset makes it good


def test_zero_rows_stay_zero():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(2, 3, 8))
    weights[0, 1] = 0
    x = correlated(rng, 50, 8)
    found = round_gptq(weights, mmse_clip(weights, 4), 4, Moments.of(x, x))
    assert not found.codes[0, 1].any() and np.isfinite(found.step).all()


def path_errors(model, network, statistics):
    """By path, the mean squared error of its products on calibration frames."""
    errors = {}
    for n, (layer, floats) in enumerate(zip(network.layers, model.layers, strict=True)):
        for path in layer.paths:
            frames = statistics[n].frames[path.source]
            at = network.source_exponent(n, path.source)
            moments = moments_of(frames, at, path.quantizer)
            rounded = Rounded(path.weights, path.weight_scale, np.zeros(path.mult.shape))
            weights = float_weights(path, floats)
            offset = moments.offset(weights, rounded.values)
            own = Rounded(rounded.codes, rounded.step, offset)
            errors[f"{layer.name}.{path.source}"] = moments.error(weights, own).sum()
    return errors


@pytest.mark.parametrize("kind", ["lstm", "gru_before", "ligru", "sru4"])
@pytest.mark.parametrize("scaled", [False, True])
def test_in_a_network(make_model, make_dataset, kind, scaled):
    """Each path's products are nearer to the float model's, and so are the outputs."""
    model = make_model([(kind, 24), (kind, 24), ("linear", 5)], 6, scaled=scaled)
    data = make_dataset(6, [120, 90, 100])
    statistics = observe(model, data)
    errors, outputs = {}, {}
    floats = np.concatenate(run_float_batch(model, data.features))
    for rounding in ("nearest", "gptq"):
        network = quantize_with(model, statistics, Scheme(weight_bits=2, rounding=rounding))
        errors[rounding] = path_errors(model, network, statistics)
        words = [quantize_frames(network, x) for x in data.features]
        results = np.concatenate([r.outputs for r in run(network, words)])
        real = results * 2.0 ** (network.y_exponent - 15)
        outputs[rounding] = np.square(real - floats).mean()
    for name, error in errors["gptq"].items():
        assert error <= errors["nearest"][name] * (1 + 1e-6)
    assert outputs["gptq"] < 0.7 * outputs["nearest"]


@pytest.mark.parametrize("rounding", ["nearest", "gptq"])
def test_directions_that_share_weights_still_do(make_model, make_dataset, rounding):
    (layer,) = make_model([("ligru", 6)], 4).layers
    (out,) = make_model([("linear", 3)], 12).layers
    other = replace(layer, name="other", reads=("frames",), backward=True)
    out = replace(out, reads=(layer.name, "other"))
    model, data = FloatModel(layers=(layer, other, out)), make_dataset(4, [40, 30])
    scheme = Scheme(weight_bits=2, activation_bits=4, rounding=rounding)
    network = quantize_with(model, observe(model, data), scheme)
    assert graph.shared_with(network.layers, 1) == 0


def test_sixteen_bits_are_rounded_to_the_nearest(make_model, make_dataset):
    model, data = make_model([("lstm", 5)], 3), make_dataset(3, [20])
    statistics = observe(model, data)
    schemes = [Scheme(weight_bits=16, rounding=rounding) for rounding in ("nearest", "gptq")]
    one, other = (quantize_with(model, statistics, scheme) for scheme in schemes)
    for (_, a), (_, b) in zip(one.paths(), other.paths(), strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)


def test_offset_goes_to_the_bias():
    """One weight of 0.4 that 2 bits keep, and an input with a mean that 2 bits of x do not hold."""
    weights = np.array([[[0.4]]], np.float32)
    path = FloatPath(source="x", gates=("y",), weights=weights)
    bias = np.zeros((1, 1), np.float32)
    layer = FloatLayer(name="a", kind="linear", paths=(path,), bias=bias)
    features = np.full((50, 1), 0.3, np.float32)
    features[::2] = 0.5
    model, data = FloatModel(layers=(layer,)), Dataset((features,))
    scheme = Scheme(weight_bits=2, activation_bits=2, clipping="max", rounding="gptq")
    network = quantize_with(model, observe(model, data), scheme)
    (result,) = run(network, [to_fixed(features, network.x_exponent)])
    mean = result.outputs.mean() * 2.0 ** (network.y_exponent - 15)
    assert mean == pytest.approx(0.4 * 0.4, abs=1e-3)
