# SPDX-License-Identifier: Apache-2.0
"""State dicts of PyTorch, SpeechBrain and sru, imported and run: the frameworks' own outputs."""

import numpy as np
import pytest

from deltaloom.golden.models.float_model import run_float


def kinds(model):
    return [(layer.name, layer.kind) for layer in model.layers]


def assert_gives(model, x, expected, tolerance):
    y, _ = run_float(model, x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=tolerance)


def with_tensor(tensors, name, array):
    assert name in tensors
    return tensors | {name: np.asarray(array, np.float32)}


def without(tensors, *ends):
    return {name: array for name, array in tensors.items() if not name.endswith(ends)}


# PyTorch nn.GRU


@pytest.mark.parametrize(
    ("case", "layers"), [("one", ["gru.0"]), ("two", ["gru.0", "gru.1"]), ("no_bias", ["gru.0"])]
)
def test_gru(load, case, layers, read_case):
    weights, arrays = read_case("gru_vectors.npz", case)
    model = load(weights)
    assert kinds(model) == [*((name, "gru") for name in layers), ("fc", "linear")]
    assert_gives(model, arrays["x"], arrays["y"], 1e-6)


def test_gru_cell(load, read_case):
    weights, arrays = read_case("gru_vectors.npz", "one")
    cell = {name.removesuffix("_l0"): array for name, array in weights.items()}
    assert kinds(load(cell)) == [("gru", "gru"), ("fc", "linear")]
    assert_gives(load(cell), arrays["x"], arrays["y"], 1e-6)


def test_biases_of_the_candidate_stay_apart(load, read_case):
    weights, _ = read_case("gru_vectors.npz", "one")
    layer = load(weights).layers[0]
    of_x, of_h = (weights[f"gru.bias_{s}h_l0"].reshape(3, 7) for s in "ih")
    expected = [of_x[0] + of_h[0], of_x[1] + of_h[1], of_x[2], of_h[2]]
    np.testing.assert_array_equal(layer.bias, np.array(expected))
    assert [path.gates for path in layer.paths] == [("r", "z", "nx"), ("r", "z", "nh")]


def test_an_lstm_of_twelve_units_is_no_gru(load):
    """[48, 12] fits four gates of 12 and three of 16: the recurrent matrix tells."""
    tensors = {"r.weight_ih_l0": np.ones((48, 5)), "r.weight_hh_l0": np.ones((48, 12))}
    assert kinds(load(tensors)) == [("r.0", "lstm")]


def test_missing_tensor_of_a_gru(load, read_case, refused):
    weights, _ = read_case("gru_vectors.npz", "two")
    line = refused(load, without(weights, "weight_hh_l1"))
    assert line.startswith("gru.weight_hh_l1 is missing; PyTorch nn.GRU has it, shape [3*units, u")
    line = refused(load, without(weights, "_l0"))
    assert line.startswith("gru.weight_ih_l0 is missing; PyTorch nn.GRU has it, shape [3*units, i")


def test_wrong_shape_in_a_gru(load, read_case, refused):
    weights, _ = read_case("gru_vectors.npz", "one")
    line = refused(load, with_tensor(weights, "gru.bias_hh_l0", np.ones(28)))
    assert line == "gru.bias_hh_l0 [28]: PyTorch nn.GRU expects [21]"


# SpeechBrain LiGRU


@pytest.mark.parametrize(("case", "last"), [("one", 0), ("two", 1)])
def test_ligru(load, case, last, read_case):
    weights, arrays = read_case("ligru_vectors.npz", case)
    model = load(weights)
    assert kinds(model) == [(f"ligru.{n}", "ligru") for n in range(last + 1)]
    assert_gives(model, arrays["x"], arrays[f"h{last}"], 1e-6)


def test_batch_norm_is_not_folded(load, read_case):
    weights, _ = read_case("ligru_vectors.npz", "one")
    layer = load(weights).layers[0]
    x, h = layer.paths
    norm = {key: weights[f"rnn.0.norm.{key}"].astype(float) for key in ("weight", "running_var")}
    scale = norm["weight"] / np.sqrt(norm["running_var"] + 1e-5)
    np.testing.assert_array_equal(x.weights.reshape(14, 5), weights["rnn.0.w.weight"])
    np.testing.assert_allclose(x.scale.reshape(14), scale, rtol=1e-7)
    assert h.scale is None and x.scale.dtype == layer.bias.dtype == np.float32


def test_ligru_in_a_larger_module(load, read_case):
    weights, arrays = read_case("ligru_vectors.npz", "two")
    model = load({f"encoder.{name}": array for name, array in weights.items()})
    assert kinds(model) == [("encoder.0", "ligru"), ("encoder.1", "ligru")]
    assert_gives(model, arrays["x"], arrays["h1"], 1e-6)


def test_layer_normalised_ligru(load, read_case, refused):
    weights, _ = read_case("ligru_vectors.npz", "one")
    tensors = without(weights, "running_mean", "running_var", "num_batches_tracked")
    assert kinds(load(tensors)) == [("ligru.0", "ligru_norm")]
    tensors = without(weights, "running_var", "num_batches_tracked")
    assert refused(load, tensors).startswith("rnn.0.norm.running_var is missing; SpeechBrain LiGRU")


@pytest.mark.parametrize(
    ("name", "shape", "what", "neutral"),
    [("h_init", (1, 7), "a first state", 0), ("drop_mask_te", (1,), "a mask at test time", 1)],
)
def test_ligru_buffers_must_be_neutral(load, name, shape, what, neutral, read_case, refused):
    weights, _ = read_case("ligru_vectors.npz", "one")
    line = refused(load, with_tensor(weights, f"rnn.0.{name}", np.full(shape, 0.5)))
    assert line == (
        f"rnn.0.{name} {[*shape]} belongs to {what}: it holds 0.5, not {neutral} everywhere, so it "
        "is in use; SpeechBrain LiGRU is supported without it"
    )


def test_missing_part_of_a_norm(load, read_case, refused):
    weights, _ = read_case("ligru_vectors.npz", "one")
    line = refused(load, without(weights, "running_var"))
    assert line.startswith("rnn.0.norm.running_var is missing; SpeechBrain LiGRU has it, shape [2*")


def test_impossible_variance(load, read_case, refused):
    weights, _ = read_case("ligru_vectors.npz", "one")
    line = refused(load, with_tensor(weights, "rnn.0.norm.running_var", np.full(14, -0.5)))
    assert line.startswith("rnn.0.norm.running_var [14]: the variance -0.5 is not possible")


# sru


@pytest.mark.parametrize(
    ("case", "layers"),
    [
        ("k3", [("sru.0", "sru4")]),
        ("k4", [("sru.0", "sru4"), ("sru.1", "sru")]),
        ("v1", [("sru.0", "sru4"), ("sru.1", "sru")]),
        ("rescale", [("sru.0", "sru4"), ("sru.1", "sru")]),
        ("no_skip", [("sru.0", "sru0"), ("sru.1", "sru0")]),
        ("projection", [("sru.0.projection", "linear"), ("sru.0", "sru4"), ("sru.1", "sru")]),
    ],
)
def test_sru(load, case, layers, read_case):
    weights, arrays = read_case("sru_vectors.npz", case)
    model = load(weights)
    assert kinds(model) == layers
    assert_gives(model, arrays["x"], arrays["h"], 1e-5)


def test_sru_scale_of_the_skip(load, read_case):
    weights, _ = read_case("sru_vectors.npz", "rescale")
    scale = weights["rnn_lst.1.scale_x"]
    assert scale[0] == pytest.approx((1 + 2 * np.exp(-1)) ** 0.5)
    assert load(weights).layers[1].skip_scale == scale[0]


def test_first_layer_skips_through_a_diagonal(load, read_case):
    weights, _ = read_case("sru_vectors.npz", "k3")
    weights = with_tensor(weights, "rnn_lst.0.scale_x", [1.25])
    (layer,) = load(weights).layers
    assert [path.gates for path in layer.paths] == [("u", "f", "r"), ("s",)]
    np.testing.assert_array_equal(layer.paths[1].weights[0], 1.25 * np.eye(7))
    assert layer.skip_scale == 0
    assert not layer.bias[3].any()


def test_sru_without_weight_c_has_zero_vectors(load, read_case):
    weights, arrays = read_case("sru_vectors.npz", "v1")
    model = load(without(weights, "weight_c"))
    assert all(not v.any() for layer in model.layers for v in layer.vectors.values())
    assert_gives(model, arrays["x"], arrays["h"], 1e-5)


def test_skip_term_that_the_file_does_not_tell(load, read_case):
    weights, _ = read_case("sru_vectors.npz", "k3")
    assert kinds(load(weights)) == [("sru.0", "sru4")]
    assert kinds(load(weights, without_skip=True)) == [("sru.0", "sru0")]


def test_fourth_matrix_is_a_skip_term(load, read_case, refused):
    weights, _ = read_case("sru_vectors.npz", "k4")
    assert refused(load, weights, without_skip=True) == (
        "without skip: sru.0 has a fourth matrix, which is its skip term; leave --without-skip out"
    )
    assert (
        refused(load, read_case("gru_vectors.npz", "one")[0], without_skip=True)
        == "without skip: there is no SRU layer; leave --without-skip out"
    )


def test_layers_that_disagree_on_the_skip_term(load, refused):
    tensors = {"rnn_lst.0.weight": np.ones((5, 28)), "rnn_lst.0.bias": np.ones(14)}
    tensors |= {"rnn_lst.1.weight": np.ones((7, 12)), "rnn_lst.1.bias": np.ones(8)}
    assert refused(load, tensors) == (
        "sru.1 has 3 matrices for 7 inputs and 4 units, so no skip term, but sru.0 has one; "
        "a module has it in all layers"
    )


@pytest.mark.parametrize(
    ("name", "shape", "line"),
    [
        ("weight", (5, 30), "expects [inputs, 21] or [inputs, 28], as rnn_lst.0.bias [14] makes 7"),
        ("weight_c", (7,), "expects [14]"),
        ("scale_x", (7,), "expects [1]"),
    ],
)
def test_wrong_shape_in_sru(load, name, shape, line, read_case, refused):
    weights, _ = read_case("sru_vectors.npz", "k4")
    found = refused(load, with_tensor(weights, f"rnn_lst.0.{name}", np.ones(shape)))
    assert found.startswith(f"rnn_lst.0.{name} {[*shape]}: sru.SRU {line}")


def test_wrong_shape_of_a_projection(load, read_case, refused):
    weights, _ = read_case("sru_vectors.npz", "projection")
    found = refused(load, with_tensor(weights, "rnn_lst.0.weight_proj", np.ones((5, 4))))
    assert found == "rnn_lst.0.weight_proj [5, 4]: sru.SRU expects [inputs, 3]"


def test_missing_bias_of_sru(load, read_case, refused):
    weights, _ = read_case("sru_vectors.npz", "k4")
    found = refused(load, without(weights, "0.bias"))
    assert found.startswith("rnn_lst.0.bias is missing; sru.SRU has it, shape [2*units], beside rn")


def test_layer_normalised_sru(load, read_case, refused):
    weights, _ = read_case("sru_vectors.npz", "k4")
    normed = weights | {"rnn_lst.0.layer_norm.weight": np.ones(5)}
    assert "layer_norm" in [kind for _, kind in kinds(load(normed))]
    found = refused(load, weights | {"rnn_lst.0.layer_norm.weight": np.ones(4)})
    assert found.startswith("sru.0: its layer_norm has 4 elements, sru.SRU expects 5, the inputs, ")
    found = refused(load, weights | {"rnn_lst.0.layer_norm.bias": np.ones(5)})
    assert found.startswith("rnn_lst.0.layer_norm.weight is missing; sru.SRU has it beside rnn_lst")


def test_normalize_after_of_sru_may_have_to_be_said(load, read_case, refused):
    weights, arrays = read_case("layer_norm_vectors.npz", "sru_after")
    square = {name.replace("lst.1", "lst.0"): a for name, a in weights.items() if "lst.1" in name}
    after = load(square, normalize_after=True)
    assert [kind for _, kind in kinds(after)] == ["sru4", "layer_norm"]
    assert [kind for _, kind in kinds(load(square))] == ["layer_norm", "sru4"]
    assert_gives(load(weights, normalize_after=True), arrays["x"], arrays["h"], 1e-5)
    before, _ = read_case("layer_norm_vectors.npz", "sru")
    found = refused(load, before, normalize_after=True)
    assert found.startswith("sru.0: its layer_norm has 5 elements, it must have 7, as those of ")
    for case in ("sru", "ligru"):
        bare, _ = read_case(f"{case}_vectors.npz", "k4" if case == "sru" else "two")
        found = refused(load, bare, normalize_after=True)
        assert found.startswith("normalize after: there is no SRU layer with a layer_norm; ")


LAYER_NORM = ("ligru", "sligru", "sligru_batch", "sligru_affine", "sru", "sru_after")
LAYER_NORM += ("sru_both", "sru_both_after", "sru_both_proj", "sru_both_skipless")


@pytest.mark.parametrize("case", LAYER_NORM)
def test_layer_normalization_of_packages(case, load, read_case):
    weights, arrays = read_case("layer_norm_vectors.npz", case)
    bare = case in ("sligru", "sligru_batch")  # whose recurrent norms have no tensors
    model = load(weights, recurrent_norm=bare, bidirectional="both" in case)
    assert any("norm" in kind for _, kind in kinds(model))
    assert_gives(model, arrays["x"], arrays["h"], 1e-5 if "sru" in case else 1e-6)
