# SPDX-License-Identifier: Apache-2.0
"""The float model against PyTorch, its checks, and its file."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deltaloom.golden import storage
from deltaloom.golden.cells import CELLS
from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.models.float_model import KIND, FloatLayer, FloatModel, FloatPath, run_float
from deltaloom.sim.testing.kinds import normed_last

VECTORS = Path(__file__).parents[1] / "torch_vectors.npz"


@pytest.fixture
def vectors():
    with np.load(VECTORS) as archive:
        return dict(archive)


@pytest.fixture
def torch_model(vectors, tmp_path):
    file = tmp_path / "network.npz"
    weights = {n.removeprefix("weights:"): a for n, a in vectors.items() if ":" in n}
    np.savez(file, **weights)
    return import_checkpoint(file)


def make_layer(kind="lstm", units=3, inputs=2, seed=0, name="layer"):
    rng = np.random.default_rng(seed)
    gates = {"lstm": ("i", "f", "g", "o"), "linear": ("y",)}[kind]
    sources = {"x": inputs} | ({"h": units} if kind == "lstm" else {})
    paths = tuple(
        FloatPath(
            source=source,
            gates=gates,
            weights=rng.normal(size=(len(gates), units, columns)).astype(np.float32),
        )
        for source, columns in sources.items()
    )
    bias = rng.normal(size=(len(gates), units)).astype(np.float32)
    return FloatLayer(name=name, kind=kind, paths=paths, bias=bias)


def assert_same(a: FloatModel, b: FloatModel):
    assert a.labels == b.labels
    assert [(x.name, x.kind) for x in a.layers] == [(x.name, x.kind) for x in b.layers]
    for one, other in zip(a.layers, b.layers, strict=True):
        assert one.bias.dtype == other.bias.dtype == np.float32
        np.testing.assert_array_equal(one.bias, other.bias)
        for p, q in zip(one.paths, other.paths, strict=True):
            assert (p.source, p.gates) == (q.source, q.gates)
            assert p.weights.dtype == q.weights.dtype == np.float32
            np.testing.assert_array_equal(p.weights, q.weights)


def test_equals_torch_vectors(torch_model, vectors):
    y, traces = run_float(torch_model, vectors["x"])
    np.testing.assert_allclose(traces[1].h, vectors["h"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(y, vectors["y"], rtol=0, atol=1e-6)
    assert np.abs(vectors["h"]).max() > 0.5  # the gates are really at work


def test_equals_torch_now(tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    lstm = torch.nn.LSTM(3, 11, num_layers=3)
    torch.save(lstm.state_dict(), tmp_path / "lstm.pt")
    x = torch.randn(50, 3)
    with torch.no_grad():
        expected = lstm(x)[0].numpy()
    y, _ = run_float(import_checkpoint(tmp_path / "lstm.pt"), x.numpy())
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)


def test_traces_hold_every_step(torch_model, vectors):
    y, traces = run_float(torch_model, vectors["x"])
    steps = len(vectors["x"])
    assert [t.p.shape for t in traces] == [(steps, 4, 7), (steps, 4, 7), (steps, 1, 3)]
    np.testing.assert_array_equal(traces[1].x, traces[0].h)
    np.testing.assert_array_equal(traces[2].h, y)
    o = 1 / (1 + np.exp(-traces[0].p[:, 3]))
    np.testing.assert_allclose(o * np.tanh(traces[0].c), traces[0].h, atol=1e-12)


def test_prefix_of_a_sequence_gives_prefix_of_outputs(torch_model, vectors):
    whole, _ = run_float(torch_model, vectors["x"])
    part, _ = run_float(torch_model, vectors["x"][:9])
    np.testing.assert_allclose(part, whole[:9], rtol=0, atol=1e-12)


def test_empty_sequence(torch_model):
    y, traces = run_float(torch_model, np.zeros((0, 5)))
    assert y.shape == (0, 3) and traces[0].c.shape == (0, 7)


def test_huge_inputs_saturate_without_warning():
    layer = make_layer()
    y, _ = run_float(FloatModel(layers=(layer,)), np.full((4, 2), -1e6))
    assert np.isfinite(y).all()


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((4, 6)), r"shape \(4, 6\), the network takes \[steps, 5\]"),
        (np.zeros(5), r"shape \(5,\)"),
        (np.full((2, 5), np.nan), "NaN or infinite"),
    ],
)
def test_bad_features(torch_model, features, message):
    with pytest.raises(UserError, match=message):
        run_float(torch_model, features)


def test_saved_model_comes_back(torch_model, tmp_path):
    model = replace(torch_model, labels=("a", "b", "c"))
    model.save(tmp_path / "model.safetensors")
    loaded = FloatModel.load(tmp_path / "model.safetensors")
    assert_same(loaded, model)
    assert loaded.origin == "network.npz"


@pytest.mark.parametrize("kind", normed_last(CELLS))
def test_every_cell_comes_back(make_model, tmp_path, kind):
    model = make_model([(kind, 4), (kind, 4)], 4, scaled=True)
    first, second = model.layers
    path = first.paths[0]
    if len(path.gates) > 1:  # two paths of one source, and a path without a scale
        parts = (
            replace(path, gates=path.gates[:1], weights=path.weights[:1], scale=path.scale[:1]),
            replace(path, gates=path.gates[1:], weights=path.weights[1:], scale=None),
        )
        first = replace(first, paths=(*parts, *first.paths[1:]))
    model = replace(model, layers=(first, second))
    model.save(tmp_path / "model")
    loaded = FloatModel.load(tmp_path / "model")
    assert_same(loaded, model)
    for a, b in zip(loaded.layers, model.layers, strict=True):
        assert a.skip_scale == b.skip_scale and {*a.vectors} == {*b.vectors} == {*a.cell.vectors}
        for name in a.vectors:
            np.testing.assert_array_equal(a.vectors[name], b.vectors[name], strict=True)
        for p, q in zip(a.paths, b.paths, strict=True):
            assert (p.scale is None) == (q.scale is None)
            if p.scale is not None:
                np.testing.assert_array_equal(p.scale, q.scale, strict=True)


def test_a_file_of_an_older_version(torch_model, tmp_path):
    """Before vectors, skips, and paths with names of their own."""
    torch_model.save(tmp_path / "model")
    tensors, header = storage.load(tmp_path / "model", KIND, made_by="")
    for entry in header["layers"]:
        del entry["vectors"], entry["skip_scale"]
        for path in entry["paths"]:
            assert path.pop("at") == path["source"]
    del header["kind"], header["version"]
    storage.save(tmp_path / "old", KIND, tensors, header)
    assert_same(FloatModel.load(tmp_path / "old"), torch_model)


def test_counts(torch_model):
    first, second, last = (layer.parameters for layer in torch_model.layers)
    assert (first, second, last) == (4 * 7 * (5 + 7 + 1), 4 * 7 * (7 + 7 + 1), 3 * 8)
    assert torch_model.parameters == first + second + last
    assert (torch_model.inputs, torch_model.outputs) == (5, 3)


def test_layers_must_chain():
    with pytest.raises(UserError, match=r"^b takes 4 values, but a before it puts out 3$"):
        FloatModel(layers=(make_layer(name="a"), make_layer("linear", inputs=4, name="b")))
    with pytest.raises(UserError, match="at least one layer"):
        FloatModel(layers=())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "lstn"}, "layer: cell 'lstn' is unknown, there is lstm, "),
        ({"bias": np.zeros((3, 3))}, r"layer bias: shape \(3, 3\), expected \[4, any\]"),
        (
            {"paths": make_layer().paths[1:]},
            r"paths from \['h'\], expected some from \('x', 'h'\), x ",
        ),
        ({"paths": make_layer().paths * 2}, "layer.x gates: .* once each per source"),
        ({"paths": make_layer(units=4).paths}, r"layer.x weights: shape \(4, 4, 2\), expected"),
        (
            {"paths": tuple(replace(p, gates=tuple("iiii")) for p in make_layer().paths)},
            "layer.x gates: .* once each",
        ),
    ],
)
def test_bad_layer(change, message):
    with pytest.raises(UserError, match=message):
        replace(make_layer(), **change)


V = np.zeros(4, np.float32)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("sru0", {"vectors": {}}, "sru00 vectors: [], sru0 has ['v_f', 'v_r']"),
        ("gru", {"vectors": {"v_f": V}}, "gru0 vectors: ['v_f'], gru has []"),
        ("sru0", {"vectors": {"v_f": V, "v_r": V[:3]}}, "sru00 v_r: shape (3,), expected [4]"),
        ("sru0", {"skip_scale": 1.0}, "sru00 skip scale: 1.0 is not possible, sru0 has none"),
        ("sru", {"skip_scale": np.inf}, "sru0 skip scale: inf is not possible, it must be finite"),
    ],
)
def test_bad_numbers(make_model, kind, changes, message):
    (layer,) = make_model([(kind, 4)], 4).layers
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        replace(layer, **changes)


def test_a_cell_that_reads_its_input_is_as_wide(make_model):
    message = "sru0: 3 inputs and 4 units, sru adds its input to its output, .* use sru4 or sru0"
    with pytest.raises(UserError, match=message):
        make_model([("sru", 4)], 3)


@pytest.mark.parametrize(
    ("source", "gates", "message"),
    [
        ("x", ("r", "z", "nh"), r"gru0.x gates: .* are not some of \('r', 'z', 'nx'\), once"),
        ("h", ("r", "z", "nx"), r"gru0.h gates: .* are not some of \('r', 'z', 'nh'\), once"),
    ],
)
def test_sources_feed_their_own_gates(make_model, source, gates, message):
    (layer,) = make_model([("gru", 4)], 3).layers
    paths = tuple(replace(p, gates=gates) if p.source == source else p for p in layer.paths)
    with pytest.raises(UserError, match=message):
        replace(layer, paths=paths)


def test_bad_scale(make_model):
    (layer,) = make_model([("ligru", 4)], 3).layers
    path = replace(layer.paths[0], scale=V[None])
    with pytest.raises(UserError, match=r"ligru0.x scale: shape \(1, 4\), expected \[2, 4\]"):
        replace(layer, paths=(path, layer.paths[1]))


def test_paths_from_x_are_equally_wide(make_model):
    (layer,) = make_model([("ligru", 4)], 3).layers
    x, h = layer.paths
    a = replace(x, gates=("a",), weights=x.weights[:1])
    z = replace(x, gates=("z",), weights=x.weights[1:, :, :2])
    with pytest.raises(UserError, match=r"ligru0.x weights: shape .* expected \[1, 4, 3\]"):
        replace(layer, paths=(a, z, h))


def test_recurrent_weights_are_square():
    layer = make_layer()
    bad = replace(layer.paths[1], weights=layer.paths[1].weights[:, :, :2])
    with pytest.raises(
        UserError, match=r"layer.h weights: shape \(4, 3, 2\), expected \[4, 3, 3\]"
    ):
        replace(layer, paths=(layer.paths[0], bad))
