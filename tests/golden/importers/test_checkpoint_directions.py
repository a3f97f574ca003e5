# SPDX-License-Identifier: Apache-2.0
"""Bidirectional and projected layers, imported and run: the frameworks' own outputs."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.models import graph
from deltaloom.golden.models.float_model import FloatModel, run_float


def layers_of(model):
    """Name, cell, what it reads, whether it is backward."""
    return [(layer.name, layer.kind, layer.reads, layer.backward) for layer in model.layers]


def assert_gives(model, sequences, expected, tolerance=1e-6):
    """Both float engines give what the framework gave."""
    batch = run_float_batch(model, sequences)
    for x, wanted, y in zip(sequences, expected, batch, strict=True):
        assert np.abs(wanted).max() > 0.2
        np.testing.assert_allclose(y, wanted, rtol=0, atol=tolerance)
        np.testing.assert_allclose(run_float(model, x)[0], wanted, rtol=0, atol=tolerance)


def comes_back(model, file) -> FloatModel:
    model.save(file)
    return FloatModel.load(file)


# PyTorch


@pytest.mark.parametrize("case", ["bidirectional", "projection", "both", "initial"])
def test_lstm(load, tmp_path, case, read_case):
    weights, arrays = read_case("lstm_vectors.npz", case)
    model = load(weights)
    if case == "initial":
        model = with_initial(model, arrays["h0"], arrays["c0"])
    for each in (model, comes_back(model, tmp_path / "model")):
        assert_gives(each, [arrays[f"x{k}"] for k in range(3)], [arrays[f"y{k}"] for k in range(3)])


def with_initial(model, h0, c0):
    """The first states, layer by layer and direction by direction as PyTorch has them."""
    states = iter(zip(h0.astype(np.float32), c0.astype(np.float32), strict=True))
    layers = []
    for layer in model.layers:
        if layer.kind == "lstm":
            h, c = next(states)
            layers.append(replace(layer, initial={"c": c}))
        else:
            layers.append(replace(layer, initial={"h": h}))
    return replace(model, layers=tuple(layers))


def test_names_of_both_directions_with_projections(load, read_case):
    model = load(read_case("lstm_vectors.npz", "both")[0])
    ends = ("lstm.{}.projection", "lstm.{}.reverse.projection")
    assert layers_of(model) == [
        ("lstm.0", "lstm", (), False),
        ("lstm.0.projection", "linear", (), False),
        ("lstm.0.reverse", "lstm", ("frames",), True),
        ("lstm.0.reverse.projection", "linear", (), True),
        ("lstm.1", "lstm", tuple(end.format(0) for end in ends), False),
        ("lstm.1.projection", "linear", (), False),
        ("lstm.1.reverse", "lstm", tuple(end.format(0) for end in ends), True),
        ("lstm.1.reverse.projection", "linear", (), True),
    ]
    assert model.puts_out == tuple(end.format(1) for end in ends)
    assert [layer.h_from for layer in model.layers[:2]] == ["lstm.0.projection", ""]
    assert (model.inputs, model.outputs) == (5, 6)


def test_gru(load, read_case):
    weights, arrays = read_case("gru_vectors.npz", "bidirectional")
    model = load(weights)
    assert [layer.kind for layer in model.layers] == ["gru"] * 4 + ["linear"]
    assert model.layers[4].reads == ("gru.1", "gru.1.reverse") and model.puts_out == ()
    assert_gives(model, [arrays["x"]], [arrays["y"]])


def test_labels_are_of_all_outputs(tmp_path, read_case):
    weights, _ = read_case("lstm_vectors.npz", "projection")
    np.savez(tmp_path / "net.npz", **weights)
    assert import_checkpoint(tmp_path / "net.npz", labels="abc").labels == ("a", "b", "c")
    np.savez(tmp_path / "net.npz", **read_case("lstm_vectors.npz", "both")[0])
    assert len(import_checkpoint(tmp_path / "net.npz", labels="abcdef").labels) == 6
    with pytest.raises(UserError, match=r"3 labels for the 6 outputs of lstm.1.projection"):
        import_checkpoint(tmp_path / "net.npz", labels="abc")


def test_half_a_bidirectional_layer(load, read_case, refused):
    weights, _ = read_case("gru_vectors.npz", "bidirectional")
    some = {name: a for name, a in weights.items() if not name.endswith("_l1_reverse")}
    assert refused(load, some) == (
        "gru.weight_ih_l1 [21, 14] belongs to a bidirectional layer without its backward half; "
        "save the whole layer"
    )
    some = {name: a for name, a in weights.items() if not name.endswith("_l1")}
    assert refused(load, some).startswith("gru.weight_ih_l1_reverse [21, 14] belongs to a bidirect")
    some = {name: a for name, a in weights.items() if name != "gru.bias_hh_l1_reverse"}
    assert refused(load, some).startswith("gru.bias_hh_l1_reverse is missing; PyTorch nn.GRU has")


@pytest.mark.parametrize(
    ("shape", "rule"),
    [
        ((3, 8), "weight_hr_l0 [3, 8]: PyTorch nn.LSTM expects [projection, 7]"),
        ((2, 7), "weight_hh_l0 [28, 3]: PyTorch nn.LSTM expects [28, 2]"),
    ],
)
def test_wrong_shape_of_a_projection(load, shape, rule, read_case, refused):
    weights, _ = read_case("lstm_vectors.npz", "projection")
    weights["lstm.weight_hr_l0"] = np.ones(shape, np.float32)
    assert refused(load, weights) == f"lstm.{rule}"


# One set of weights for both directions


def test_ligru(load, read_case):
    weights, arrays = read_case("ligru_vectors.npz", "bidirectional")
    model = load(weights)
    assert layers_of(model) == [
        ("ligru.0", "ligru", (), False),
        ("ligru.0.reverse", "ligru", ("frames",), True),
        ("ligru.1", "ligru", ("ligru.0", "ligru.0.reverse"), False),
        ("ligru.1.reverse", "ligru", ("ligru.0", "ligru.0.reverse"), True),
    ]
    assert [graph.shared_with(model.layers, n) for n in range(4)] == [None, 0, None, 2]
    assert_gives(model, [arrays["x"]], [arrays["h1"]])


def test_one_layer_of_ligru_is_as_wide_as_the_next_one_asks(load, read_case):
    weights, arrays = read_case("ligru_vectors.npz", "bidirectional")
    one = {name: a for name, a in weights.items() if name.startswith("rnn.0.")}
    assert load(one).outputs == 7
    both = load(one, bidirectional=True)
    assert both.puts_out == ("ligru.0", "ligru.0.reverse")
    assert_gives(both, [arrays["x"]], [arrays["h0"]])
    eye = {"fc.weight": np.eye(14, dtype=np.float32)}
    assert_gives(load(one | eye), [arrays["x"]], [arrays["h0"]])
    model = load(one | {"fc.weight": np.eye(7, dtype=np.float32)})
    assert [layer.name for layer in model.layers] == ["ligru.0", "fc"]


def test_shared_weights_are_stored_and_counted_once(load, tmp_path, read_case):
    weights, _ = read_case("ligru_vectors.npz", "bidirectional")
    model = load(weights)
    first, second = model.layers[0].parameters, model.layers[2].parameters
    assert model.parameters == first + second
    model.save(tmp_path / "model")
    assert (tmp_path / "model").stat().st_size < 4 * model.parameters + 4096
    loaded = FloatModel.load(tmp_path / "model")
    assert loaded.layers[1].paths[0].weights is loaded.layers[0].paths[0].weights
    assert loaded.parameters == model.parameters and layers_of(loaded) == layers_of(model)


def test_candidate_scale_keeps_weights_shared(load, read_case):
    weights, _ = read_case("ligru_vectors.npz", "bidirectional")
    model = load(weights, candidate_scale=(0.5, 1.0))
    plain = load(weights)
    assert [graph.shared_with(model.layers, n) for n in range(4)] == [None, 0, None, 2]
    half, whole = (m.layers[1].paths[0].scale for m in (model, plain))
    np.testing.assert_array_equal(half, whole * np.array([[0.5], [1]], np.float32))
    np.testing.assert_array_equal(model.layers[2].bias, plain.layers[2].bias)


# sru: a matrix for each direction, in one tensor


def test_sru(load, read_case):
    weights, arrays = read_case("sru_vectors.npz", "bidirectional")
    model = load(weights, bidirectional=True)
    assert layers_of(model) == [
        ("sru.0", "sru4", (), False),
        ("sru.0.reverse", "sru4", ("frames",), True),
        ("sru.1", "sru4", ("sru.0", "sru.0.reverse"), False),
        ("sru.1.reverse", "sru4", ("sru.0", "sru.0.reverse"), True),
    ]
    # the second layer's skip is its input, of which a direction reads its half
    x, skip = model.layers[3].paths
    assert (x.gates, skip.gates) == (("u", "f", "r"), ("s",))
    np.testing.assert_array_equal(skip.weights[0], np.eye(14)[7:])
    assert_gives(model, [arrays["x"]], [arrays["h"]], 1e-5)


def test_sru_of_no_two_directions(load, read_case, refused):
    weights, _ = read_case("sru_vectors.npz", "k4")
    assert refused(load, weights, bidirectional=True) == (
        "bidirectional: sru.0 has 7 units, which are no two directions; leave --bidirectional out"
    )


def test_bidirectional_where_the_file_tells(load, read_case, refused):
    weights, _ = read_case("gru_vectors.npz", "two")
    assert refused(load, weights, bidirectional=True) == (
        "bidirectional: there is no layer for which the file does not tell it; leave "
        "--bidirectional out"
    )


def test_bidirectional_against_the_widths(load, read_case, refused):
    weights, _ = read_case("ligru_vectors.npz", "two")
    line = refused(load, weights, bidirectional=True)
    assert line.startswith("bidirectional: ligru.1 takes 7 values, but ligru.0 in both directions ")
