# SPDX-License-Identifier: Apache-2.0
"""Powers of two for what cells normalize: the function stays, and words are filled."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.cells.norm import LEAST, epsilons
from deltaloom.golden.engines.engine import quantize_frames, real_outputs, run
from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.models.float_model import FloatModel, FloatPath, run_float
from deltaloom.golden.quantization.norm_ranges import balance_norms, balanced_as
from deltaloom.golden.quantization.quantize import quantize
from deltaloom.golden.quantization.scheme import Scheme

KINDS = ["lstm_norm_xh_out", "gru_norm", "ligru_norm_h"]


def scaled(model, factor):
    layers = []
    for layer in model.layers:
        paths = tuple(replace(p, weights=p.weights * np.float32(factor)) for p in layer.paths)
        layers.append(replace(layer, paths=paths, bias=layer.bias * np.float32(factor)))
    return replace(model, layers=tuple(layers))


@pytest.mark.parametrize("factor", [0.125, 1, 32])
@pytest.mark.parametrize("kind", KINDS)
def test_the_function_stays_and_words_are_filled(make_model, make_dataset, kind, factor):
    model = scaled(make_model([(kind, 9)], 5), factor)
    data = make_dataset(5, [30, 12])
    balanced = balance_norms(model, data)
    for x in data.features:
        np.testing.assert_allclose(
            run_float(balanced, x)[0], run_float(model, x)[0], rtol=1e-4, atol=1e-5
        )
    (layer,) = balanced.layers
    traces = [run_float(balanced, x)[1][0] for x in data.features]
    for name, gates in layer.cell.norms.items():
        if gates == ("c",):
            continue
        rows = [layer.cell.gates.index(gate) for gate in gates]
        largest = max(np.abs(trace.p[:, rows]).max() for trace in traces)
        assert largest < 8
        epsilon = layer.vectors[f"epsilon_{name}"].max() + LEAST
        assert largest > 1.7 or epsilon > 2.0**-11.1  # which would leave its word


@pytest.mark.parametrize("kind", KINDS)
def test_large_sums_lose_nothing(make_model, make_dataset, kind):
    data = make_dataset(5, [30])
    for factor in (1, 32):
        model = scaled(make_model([(kind, 9)], 5), factor) if kind != "ligru_norm_h" else None
        model = model or make_model([(kind, 9)], 5)
        network = quantize(model, data, Scheme(weight_bits=16, activation_bits=16))
        (y,) = run_float_batch(model, data.features)
        (result,) = run(network, [quantize_frames(network, x) for x in data.features])
        assert np.abs(real_outputs(network, result.outputs) - y).max() < 0.01


def test_a_path_is_scaled_for_the_columns_that_it_reads(make_model, make_dataset):
    """As in `sru` with layer normalization: gates read a norm, a skip the large frames."""
    norm, sru = make_model([("layer_norm", 64), ("sru4", 64)], 64).layers
    one = np.eye(64, dtype=np.float32)
    norm = replace(norm, paths=(replace(norm.paths[0], weights=one[None]),))
    skip = FloatPath(source="x", gates=("s",), weights=np.hstack([0 * one, one / 8])[None])
    (path,) = sru.paths
    gates = np.concatenate([path.weights[:3], 0 * path.weights[:3]], axis=2)
    own = FloatPath(source="x", gates=("u", "f", "r"), weights=gates)
    sru = replace(sru, paths=(own, skip), reads=(norm.name, "frames"))
    model, data = FloatModel(layers=(norm, sru)), make_dataset(64, [200])
    data = replace(data, features=tuple(8 * x for x in data.features))
    assert nmse(model, data) < -39  # with one range for both it was -28.9


@pytest.mark.parametrize(("epsilon", "exponent"), [(1e-5, 0), (1e-3, 3), (0.1, 6), (1.0, 8)])
@pytest.mark.parametrize("kind", ["lstm_norm_xh_out", "lstm_norm_xh_c"])
def test_a_small_cell_state_leaves_room_for_epsilon(
    make_model, make_dataset, kind, epsilon, exponent
):
    """Where its own format has none, c's is wider: the norm of a small c is all epsilon."""
    model, data = make_model([(kind, 16)], 8), make_dataset(8, [60])
    (layer,) = model.layers
    vectors = {**layer.vectors, **epsilons(layer.cell, 16, epsilon)}
    vectors["bias_i"] = vectors["bias_i"] - 6
    if kind == "lstm_norm_xh_c":  # whose c is the norm
        vectors = {k: v / 4 if k in ("gain_c", "bias_c") else v for k, v in vectors.items()}
    model = replace(model, layers=(replace(layer, vectors=vectors),))
    assert quantize(model, data).layers[0].c_exponent >= exponent
    assert nmse(model, data) < -38  # of 1e-3 and c's own format, -20.8 and -24.6


def nmse(model, data):
    """In dB, of the network by the default scheme."""
    network = quantize(model, data)
    results = run(network, [quantize_frames(network, x) for x in data.features])
    floats = run_float_batch(model, data.features)
    lost = sum(
        np.square(real_outputs(network, r.outputs) - y).sum()
        for r, y in zip(results, floats, strict=True)
    )
    return float(10 * np.log10(lost / sum(np.square(y).sum() for y in floats)))


def test_models_without_norms_stay_the_same_object(make_model, make_dataset):
    model = make_model([("lstm", 4)], 3)
    assert balance_norms(model, make_dataset(3, [5])) is model


@pytest.mark.parametrize("factor", [0.25, 32])
def test_a_network_tells_its_powers(make_model, make_dataset, factor):
    model, data = scaled(make_model([("lstm_norm_xh_out", 9)], 5), factor), make_dataset(5, [30])
    network, wanted = quantize(model, data), balance_norms(model, data)
    found = balanced_as(model, network)
    for path, other in zip(found.layers[0].paths, wanted.layers[0].paths, strict=True):
        np.testing.assert_array_equal(path.weights, other.weights)
    for name, vector in wanted.layers[0].vectors.items():
        np.testing.assert_array_equal(found.layers[0].vectors[name], vector)


@pytest.mark.parametrize("factor", [1, 100])
@pytest.mark.parametrize("kind", KINDS)
def test_clipped_weights_do_not_hide_them(make_model, make_dataset, kind, factor):
    """Of 2 bits and few large weights; with a factor of 100, epsilon's word is 0."""
    model, data = make_model([(kind, 24)], 10), make_dataset(10, [30])
    (layer,) = model.layers
    rng = np.random.default_rng(3)
    paths = tuple(
        replace(p, weights=(0.2 * rng.standard_t(3, p.weights.shape)).astype(np.float32))
        for p in layer.paths
    )
    model = scaled(replace(model, layers=(replace(layer, paths=paths),)), factor)
    wanted = balance_norms(model, data)
    network = quantize(model, data, Scheme(weight_bits=2, activation_bits=8))
    found = balanced_as(model, network)
    words = network.layers[0].vectors
    norms = [name for name, gates in layer.cell.norms.items() if gates != ("c",)]
    assert all((words[f"epsilon_{name}"].max() == 0) == (factor == 100) for name in norms)
    for path, other in zip(found.layers[0].paths, wanted.layers[0].paths, strict=True):
        np.testing.assert_array_equal(path.weights, other.weights)
