# SPDX-License-Identifier: Apache-2.0
"""Quantizing paths that read tokens: what goes to the bias, clips, rounding, reports."""

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import real_outputs, run
from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.evaluation.saturation import saturation
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.models.layers import ONE_HOT
from deltaloom.golden.quantization.calibration import observe
from deltaloom.golden.quantization.quantize import quantize
from deltaloom.golden.quantization.scheme import Scheme
from deltaloom.golden.quantization.token_columns import TokenMoments, centred, round_tokens
from deltaloom.golden.reports.diagnosis import histograms
from deltaloom.golden.reports.paths import describe

COUNT, UNITS = 40, 5


def model(shift=0.0, scale=1.0, norm=None):
    """An LSTM of tokens; shift: added to all of its columns."""
    rng = np.random.default_rng(0)
    columns = rng.normal(shift, scale, (4, UNITS, COUNT)).astype(np.float32)
    h = rng.normal(0, 0.5, (4, UNITS, UNITS)).astype(np.float32)
    gates = ("i", "f", "g", "o")
    paths = (
        FloatPath(source="x", gates=gates, weights=columns, scale=norm, tokens=True),
        FloatPath(source="h", gates=gates, weights=h),
    )
    bias = rng.normal(size=(4, UNITS)).astype(np.float32) - np.float32(shift)
    return FloatModel(layers=(FloatLayer(name="lstm", kind="lstm", paths=paths, bias=bias),))


def data(sequences=6, steps=50):
    rng = np.random.default_rng(1)
    shares = rng.random(COUNT) ** 4
    return Dataset(
        tuple(rng.choice(COUNT, steps, p=shares / shares.sum()) for _ in range(sequences))
    )


def error(floats, network, sequences):
    """Mean square of what the network's outputs are off."""
    wanted = np.concatenate(run_float_batch(floats, sequences))
    results = run(network, [s[:, None] for s in sequences])
    found = np.concatenate([real_outputs(network, r.outputs) for r in results])
    return float(np.square(found - wanted).mean())


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_what_all_columns_share_costs_nothing(bits):
    """Far from zero, the same columns have the same codes."""
    scheme = Scheme(weight_bits=bits)
    sequences = data()
    near, far = (quantize(model(shift), sequences, scheme) for shift in (0.0, 3.0))
    a, b = near.layers[0].paths[0], far.layers[0].paths[0]
    assert np.mean(a.weights != b.weights) < 0.01  # float32 of the shifted columns
    np.testing.assert_allclose(a.weight_scale, b.weight_scale, rtol=1e-3)
    assert (a.quantizer, a.threshold, a.tokens) == (ONE_HOT, 0, True)


def test_more_bits_are_better():
    floats, sequences = model(), data()
    errors = [
        error(floats, quantize(floats, sequences, Scheme(weight_bits=b, activation_bits=16)),
              sequences.features)
        for b in (2, 4, 8, 16)
    ]  # fmt: skip
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 1e-5 and errors[3] < 1e-8


def test_a_scale_of_the_rows():
    """BatchNorm's: it stays out of the codes, and multiplies what goes to the bias."""
    norm = np.random.default_rng(2).uniform(0.2, 3, (4, UNITS)).astype(np.float32)
    floats, sequences = model(1.0, norm=norm), data()
    network = quantize(floats, sequences, Scheme(weight_bits=16, activation_bits=16))
    assert error(floats, network, sequences.features) < 1e-8


def test_the_bias_takes_the_mean_error_of_tokens_that_come():
    weights, _ = centred(model().layers[0].paths[0].weights)
    clips = np.abs(weights).max(axis=-1)
    tokens = np.array([3, 3, 3, 7])
    moments = TokenMoments.of(tokens, COUNT)
    assert moments.shares[3] == 4 / 44 and moments.shares[0] == 1 / 44
    rounded = round_tokens(weights, clips, 2, moments)
    left = weights - rounded.values - rounded.offset[..., None]
    np.testing.assert_allclose(left @ moments.shares, 0, atol=1e-12)
    # By the formula of a variance.
    spread = (np.square(weights - rounded.values) @ moments.shares) - rounded.offset**2
    np.testing.assert_allclose(moments.spread(weights, rounded.values), spread, rtol=1e-9)
    nearest = round_tokens(weights, clips, 2, None)
    assert not nearest.offset.any()
    np.testing.assert_array_equal(nearest.codes, rounded.codes)
    refined = round_tokens(weights, clips, 2, moments, refine=True)
    better = moments.spread(weights, refined.values)
    assert (better <= spread + 1e-12).all() and better.sum() < spread.sum()


def test_one_scale_per_gate():
    scheme = Scheme(weight_bits=4, granularity="tensor")
    path = quantize(model(), data(), scheme).layers[0].paths[0]
    assert (path.weight_scale == path.weight_scale[:, :1]).all()


def test_reports():
    floats, sequences = model(), data()
    statistics = observe(floats, sequences)
    network = quantize(floats, sequences, Scheme(weight_bits=4))
    tokens, other = describe(network, floats, statistics)
    assert tokens.tokens and not other.tokens
    assert tokens.activation_sqnr == np.inf and tokens.saturated == 0
    assert 15 < tokens.weight_sqnr < 30 and 15 < tokens.product_sqnr < 30
    shown = histograms(network, floats, statistics)["lstm.x"]
    assert shown.weights.counts.sum() == network.layers[0].paths[0].weights.size
    found = saturation(network, sequences)
    assert found.features.size == 0 and "input" not in [row[0] for row in found.rows()]
