# SPDX-License-Identifier: Apache-2.0
"""The formats of an LSTM's c and a GRU's nh: by error where values leave tanh's range."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS
from deltaloom.golden.cells.norm import epsilons
from deltaloom.golden.engines.engine import quantize_frames, real_outputs, run
from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.float_model import FloatLayer, FloatPath
from deltaloom.golden.models.network import Network
from deltaloom.golden.quantization.calibration import observe
from deltaloom.golden.quantization.cell_formats import MAX_C_EXPONENT, quantize_vectors
from deltaloom.golden.quantization.quantize import Scheme, quantize, quantize_with
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config


def counting(model):
    """The model with a first layer whose unit 0 counts frames: i, f and g stay at 1."""
    layer = model.layers[0]
    bias = layer.bias.copy()
    for gate, value in {"i": 9, "f": 12, "g": 9}.items():
        if gate in layer.cell.gates:
            bias[layer.cell.gates.index(gate), 0] = value
    paths = tuple(
        replace(p, weights=np.concatenate([p.weights[:, :1] * 0.01, p.weights[:, 1:]], axis=1))
        for p in layer.paths
    )
    return replace(model, layers=(replace(layer, bias=bias, paths=paths), *model.layers[1:]))


def nmse(network, model, data):
    wanted = run_float_batch(model, data.features)
    results = run(network, [quantize_frames(network, x) for x in data.features])
    errors = [real_outputs(network, r.outputs) - y for r, y in zip(results, wanted, strict=True)]
    power = sum(float(np.square(y).sum()) for y in wanted)
    return 10 * np.log10(sum(float(np.square(e).sum()) for e in errors) / power)


@pytest.mark.parametrize("kind", ["lstm", "lstm_peephole"])
def test_a_unit_that_counts_costs_the_others_nothing(make_model, make_dataset, kind):
    model = make_model([(kind, 16)], 6)
    if kind == "lstm_peephole":  # unit 0 must not close its own gates
        vectors = {n: np.concatenate([[0], v[1:]]) for n, v in model.layers[0].vectors.items()}
        vectors = {n: v.astype(np.float32) for n, v in vectors.items()}
        model = replace(model, layers=(replace(model.layers[0], vectors=vectors),))
    data = make_dataset(6, [200, 150])
    plain = nmse(quantize(model, data, Scheme(weight_bits=16, activation_bits=16)), model, data)
    model = counting(model)
    (seen,) = observe(model, data)
    assert seen.c > 100 and set(seen.c_errors) >= set(range(MAX_C_EXPONENT + 1))
    assert (max(seen.c_errors) > MAX_C_EXPONENT) == (kind == "lstm_peephole")
    network = quantize(model, data, Scheme(weight_bits=16, activation_bits=16))
    (layer,) = network.layers
    assert layer.c_exponent == min(seen.c_errors, key=seen.c_errors.get)
    assert layer.c_exponent <= (MAX_C_EXPONENT if kind == "lstm" else 7)
    assert nmse(network, model, data) < plain + 6  # dB; as without that unit
    wide = replace(network, layers=(replace(layer, c_exponent=8),))
    if kind == "lstm":
        assert nmse(wide, model, data) > nmse(network, model, data) + 15
    compile_network(network, derive_config(network))  # the hardware takes it


def test_c_within_the_table_is_covered_as_ever(make_model, make_dataset):
    model, data = make_model([("lstm", 8)], 4), make_dataset(4, [80])
    (seen,) = observe(model, data)
    assert seen.c_errors == {} and seen.c < 8
    layer = quantize(model, data).layers[0]
    assert 2.0**layer.c_exponent >= seen.c


def test_an_unbounded_c_is_covered(make_model, make_dataset):
    model, data = make_model([("sru0", 8)], 4), make_dataset(4, [80])
    for x in data.features:
        x *= 40
    (seen,) = observe(model, data)
    assert seen.c > 10 and seen.c_errors == {}
    assert 2.0 ** quantize(model, data).layers[0].c_exponent > seen.c


def test_a_backward_layer_is_tried_in_its_own_direction(make_model, make_dataset):
    model = counting(make_model([("lstm", 8)], 4))
    model = replace(model, layers=(replace(model.layers[0], backward=True),))
    data = make_dataset(4, [200])
    network = quantize(model, data, Scheme(weight_bits=16, activation_bits=16))
    assert nmse(network, model, data) < -55


def with_large_candidate(model, factor=12.0):
    """The model with a GRU whose nh is so many times as large, and r small: it still matters."""
    layer = model.layers[0]
    paths = []
    for path in layer.paths:
        weights = path.weights.copy()
        if "nh" in path.gates:
            weights[path.gates.index("nh")] *= factor
        paths.append(replace(path, weights=weights))
    bias = layer.bias.copy()
    bias[layer.cell.gates.index("r")] -= 2.5
    return replace(model, layers=(replace(layer, bias=bias, paths=tuple(paths)), *model.layers[1:]))


@pytest.mark.parametrize("kind", ["gru", "gru_hard"])
def test_a_recurrent_candidate_beyond_8_has_a_wider_format(make_model, make_dataset, kind):
    """-60 dB or better at 16/16, where Q3.12 has -20 to -30; at 8/8 the products lose more."""
    model = with_large_candidate(make_model([(kind, 24)], 6))
    data = make_dataset(6, [200, 150])
    for x in data.features:
        x *= 2
    (seen,) = observe(model, data)
    assert 10 < seen.c < 64 and set(seen.c_errors) == {0, 1, 2, 3}
    network = quantize(model, data, Scheme(weight_bits=16, activation_bits=16))
    (layer,) = network.layers
    assert layer.c_exponent == min(seen.c_errors, key=seen.c_errors.get) > 0
    assert layer.gate_exponents == (3, 3, 3, 3 + layer.c_exponent)
    assert nmse(network, model, data) < -60
    errors = replace(seen, c_errors={})
    narrow = quantize_with(model, (errors,), Scheme(weight_bits=16, activation_bits=16))
    assert narrow.layers[0].c_exponent == 0 and nmse(narrow, model, data) > -35
    compile_network(network, derive_config(network))  # the hardware takes it


def test_a_recurrent_candidate_within_8_keeps_its_format(make_model, make_dataset):
    model, data = make_model([("gru", 8)], 4), make_dataset(4, [80])
    (seen,) = observe(model, data)
    assert 0 < seen.c < 7 and seen.c_errors == {}
    assert quantize(model, data).layers[0].c_exponent == 0


def test_the_format_is_kept_in_the_file_and_bounded(make_model, make_dataset, tmp_path):
    model, data = with_large_candidate(make_model([("gru", 8)], 4), 30), make_dataset(4, [80])
    network = quantize(model, data)
    network.save(tmp_path / "net")
    assert Network.load(tmp_path / "net").layers[0].c_exponent == network.layers[0].c_exponent > 0
    with pytest.raises(UserError, match=r"c exponent of gru: 4 is not possible, it must be 0\.\.3"):
        replace(network.layers[0], c_exponent=4)


def test_the_epsilon_of_a_cell_state_is_scaled_before_one_is_taken_off():
    """e + 1 = epsilon * 2**24 * 4**(3 - e_c) is rounded, and e is not below 0."""
    cell, units = CELLS["lstm_norm_xh_out"], 3
    ones = np.ones((8, units, units), np.float32)
    layer = FloatLayer(
        name="a",
        kind=cell.name,
        paths=tuple(
            FloatPath(source=source, gates=gates, weights=ones[: len(gates)])
            for source, gates in cell.feeds.items()
        ),
        bias=np.zeros((8, units), np.float32),
        vectors=dict.fromkeys(cell.vectors, ones[0, 0]) | epsilons(cell, units),
    )
    found = [int(quantize_vectors(layer, e)["vectors"]["epsilon_c"][0]) + 1 for e in range(8)]
    assert found == [10737, 2684, 671, 168, 42, 10, 3, 1]
    assert int(quantize_vectors(layer, 0)["vectors"]["epsilon_x"][0]) + 1 == 168
