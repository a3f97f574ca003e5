# SPDX-License-Identifier: Apache-2.0
"""Embeddings in front of networks, against PyTorch, ONNX Runtime and Keras."""

import os
import warnings

import numpy as np
import pytest

from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import ImportOptions, import_checkpoint, read_checkpoint
from deltaloom.golden.models.float_model import FloatModel

COUNT, WIDTH, UNITS = 19, 6, 5
TOKENS = np.random.default_rng(0).integers(0, COUNT, (2, 9))


def outputs(model):
    return np.array(run_float_batch(model, [*TOKENS]))


def rows(model):
    """Shapes of the weights that read tokens."""
    return [path.weights.shape for layer in model.layers for path in layer.paths if path.tokens]


def tensors(**more):
    """Of nn.Embedding, nn.GRU and nn.Linear, as arrays."""
    rng = np.random.default_rng(1)
    shapes = {
        "gru.weight_ih_l0": (3 * UNITS, WIDTH),
        "gru.weight_hh_l0": (3 * UNITS, UNITS),
        "gru.bias_ih_l0": (3 * UNITS,),
        "gru.bias_hh_l0": (3 * UNITS,),
        "fc.weight": (COUNT, UNITS),
        "fc.bias": (COUNT,),
        **more,
    }
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def read(folder, arrays, **options):
    np.savez(folder / "m.npz", **arrays)
    return read_checkpoint(folder / "m.npz", options=ImportOptions(**options))


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def module(torch, kind="LSTM", *, both=False, last=False):
    class Text(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.emb = torch.nn.Embedding(COUNT, WIDTH)
            self.rnn = getattr(torch.nn, kind)(WIDTH, UNITS, batch_first=True, bidirectional=both)
            self.fc = torch.nn.Linear(UNITS * (1 + both), 4)
            self.last = last

        def forward(self, x):
            y = self.rnn(self.emb(x))[0]
            return self.fc(y[:, -1] if self.last else y)

    torch.manual_seed(0)
    return Text().eval()


@pytest.mark.parametrize(("kind", "both"), [("LSTM", False), ("GRU", True)])
def test_state_dict(torch, tmp_path, kind, both):
    network = module(torch, kind, both=both)
    wanted = network(torch.from_numpy(TOKENS)).detach().numpy()
    torch.save(network.state_dict(), tmp_path / "m.pt")
    folded = import_checkpoint(tmp_path / "m.pt")
    kept = import_checkpoint(tmp_path / "m.pt", options=ImportOptions(keep_embedding=True))
    gates = {"LSTM": 4, "GRU": 3}[kind]
    assert rows(folded) == [(gates, UNITS, COUNT)] * (1 + both)
    assert rows(kept) == [(1, WIDTH, COUNT)]
    for model in (folded, kept):
        assert (model.tokens, model.inputs) == (True, COUNT)
        np.testing.assert_allclose(outputs(model), wanted, rtol=0, atol=1e-6)
        model.save(tmp_path / "model")
        again = FloatModel.load(tmp_path / "model")
        assert rows(again) == rows(model)
        np.testing.assert_array_equal(outputs(again), outputs(model))


def test_torchscript(torch, tmp_path):
    network = module(torch, last=True)
    with warnings.catch_warnings(action="ignore"):
        torch.jit.script(network).save(str(tmp_path / "m.pt"))
    found = read_checkpoint(tmp_path / "m.pt")
    assert found.notes[-1].startswith("equals PyTorch") and "last step only" in found.notes[-1]
    wanted = network(torch.from_numpy(TOKENS)).detach().numpy()
    np.testing.assert_allclose(outputs(found.model)[:, -1], wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("last", [False, True])
def test_onnx_export(torch, tmp_path, last):
    pytest.importorskip("onnxruntime")
    network = module(torch, "GRU", both=True, last=last)
    file, given = tmp_path / "m.onnx", torch.from_numpy(TOKENS)
    axes = {"x": {0: "batch", 1: "steps"}}
    with warnings.catch_warnings(action="ignore"):
        options = {"input_names": ["x"], "dynamic_axes": axes, "dynamo": False}
        torch.onnx.export(network, (given,), str(file), **options)
    found = read_checkpoint(file)
    assert rows(found.model) == [(3, UNITS, COUNT)] * 2
    assert (found.before, found.after) == (b"", b"")
    assert found.notes[-1].startswith("equals onnxruntime")
    assert ("Gather node '/emb/Gather'", "network") in found.where
    wanted = network(given).detach().numpy()
    made = outputs(found.model)[:, -1] if last else outputs(found.model)
    np.testing.assert_allclose(made, wanted, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(outputs(import_checkpoint(file)), outputs(found.model))


def graph_of(onnx, indices, table):
    """A graph: a Gather of `table` by what `indices` (nodes) make of int32 "x", then an LSTM."""
    helper, kinds = onnx.helper, onnx.TensorProto
    rng = np.random.default_rng(2)
    weights = {
        "table": table,
        "W": rng.normal(size=(1, 4 * UNITS, WIDTH)).astype(np.float32),
        "R": rng.normal(size=(1, 4 * UNITS, UNITS)).astype(np.float32),
        "one": np.array([1], np.int64),
        "more": np.array(1, np.int32),
    }
    nodes = [
        *indices,
        helper.make_node("Gather", ["table", indices[-1].output[0]], ["e"], name="lookup"),
        helper.make_node("LSTM", ["e", "W", "R"], ["y"], name="lstm", hidden_size=UNITS),
        helper.make_node("Squeeze", ["y", "one"], ["z"]),
    ]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", kinds.INT32, ["steps", "batch"])],
            [helper.make_tensor_value_info("z", kinds.FLOAT, None)],
            [onnx.numpy_helper.from_array(a, n) for n, a in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def test_onnx_tokens_by_time_behind_a_cast(tmp_path):
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    table = np.random.default_rng(3).normal(size=(COUNT, WIDTH)).astype(np.float32)
    cast = onnx.helper.make_node("Cast", ["x"], ["i"], to=onnx.TensorProto.INT64)
    onnx.save(graph_of(onnx, [cast], table), tmp_path / "m.onnx")
    model = import_checkpoint(tmp_path / "m.onnx")
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"))
    (wanted,) = session.run(None, {"x": TOKENS.T.astype(np.int32)})
    np.testing.assert_allclose(outputs(model), wanted.swapaxes(0, 1), rtol=0, atol=1e-6)


def test_onnx_indices_that_are_computed_are_no_tokens(tmp_path):
    """What is looked up then comes before the network."""
    onnx = pytest.importorskip("onnx")
    table = np.random.default_rng(3).normal(size=(COUNT, WIDTH)).astype(np.float32)
    add = onnx.helper.make_node("Add", ["x", "more"], ["i"])
    onnx.save(graph_of(onnx, [add], table), tmp_path / "m.onnx")
    with pytest.raises(UserError):
        import_checkpoint(tmp_path / "m.onnx")
    found = read_checkpoint(tmp_path / "m.onnx", options=ImportOptions(start="lstm"))
    assert not found.model.tokens and found.before


@pytest.mark.parametrize("norm", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_keras(tmp_path, norm):
    pytest.importorskip("torch")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    layers = keras.layers
    batch_norm = layers.BatchNormalization()
    parts = [layers.Embedding(COUNT, WIDTH), *[batch_norm] * norm]
    parts += [layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True)), layers.Dense(3)]
    model = keras.Sequential([keras.Input((None,), dtype="int32"), *parts])
    if norm:
        rng = np.random.default_rng(4)
        batch_norm.moving_mean.assign(rng.normal(size=WIDTH))
        batch_norm.moving_variance.assign(rng.uniform(0.5, 2, WIDTH))
    with warnings.catch_warnings(action="ignore"):
        wanted = model.predict(TOKENS, verbose=0)
        for name in ("m.keras", "m.h5"):
            model.save(tmp_path / name)
            found = read_checkpoint(tmp_path / name)
            assert found.notes[-1].startswith("equals Keras")
            assert rows(found.model) == [(4, UNITS, COUNT)] * 2
            np.testing.assert_allclose(outputs(found.model), wanted, rtol=0, atol=1e-5)


def test_keras_masks_are_refused(tmp_path):
    pytest.importorskip("torch")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    parts = [keras.layers.Embedding(COUNT, WIDTH, mask_zero=True), keras.layers.LSTM(UNITS)]
    model = keras.Sequential([keras.Input((None,), dtype="int32"), *parts])
    with warnings.catch_warnings(action="ignore"):
        model.save(tmp_path / "m.keras")
    with pytest.raises(UserError, match="mask_zero is True; only False is supported"):
        read_checkpoint(tmp_path / "m.keras")


@pytest.mark.parametrize("keep", [False, True])
def test_a_norm_of_the_embedding_is_in_its_table(tmp_path, keep):
    """Each token has one row, whose norm is as constant as the row."""
    bare = tensors(**{"embedding.weight": (COUNT, WIDTH)})
    normed = bare | tensors(**{"norm.weight": (WIDTH,), "norm.bias": (WIDTH,)})
    normed = {"norm.weight": normed.pop("norm.weight"), **normed}  # as the file's order has it
    table = bare["embedding.weight"].astype(np.float64)
    centred = table - table.mean(axis=1, keepdims=True)
    table = centred / np.sqrt(table.var(axis=1, keepdims=True) + 1e-5)
    bare["embedding.weight"] = table * normed["norm.weight"] + normed["norm.bias"]
    wanted = read(tmp_path, bare, keep_embedding=keep).model
    found = read(tmp_path, normed, keep_embedding=keep)
    assert [layer.kind for layer in found.model.layers] == [a.kind for a in wanted.layers]
    np.testing.assert_allclose(outputs(found.model), outputs(wanted), rtol=0, atol=1e-6)
    assert found.notes[3].startswith(
        "norm: a norm of the embedding, in its table; embedding.weight"
    )


def test_a_name_that_does_not_tell(tmp_path):
    """The encoder of PyTorch's word language model, with the decoder as wide."""
    named = tensors(**{"encoder.weight": (COUNT, WIDTH)})
    by_name = tensors(**{"embedding.weight": (COUNT, WIDTH)})
    wanted = outputs(read(tmp_path, by_name).model)
    for option in ("encoder", "encoder.weight", "enc*"):
        model = read(tmp_path, named, embedding=option).model
        np.testing.assert_array_equal(outputs(model), wanted)
    with pytest.raises(UserError, match="embedding decoder: no weights of two axes have that name"):
        read(tmp_path, named, embedding="decoder")


@pytest.mark.parametrize("name", ["member", "assembly.0", "embed"])
def test_a_linear_layer_is_no_embedding(tmp_path, name):
    """One whose name only has the letters, or with a bias; it is square, as a table could be."""
    own = {f"{name}.weight": np.eye(WIDTH), f"{name}.bias": np.zeros(WIDTH)}
    arrays = {key: array.astype(np.float32) for key, array in own.items()} | tensors()
    if name == "embed":
        with pytest.raises(UserError, match=r"embed\.weight \[6, 6\] belongs to an embedding"):
            read(tmp_path, arrays)
        return
    model = read(tmp_path, arrays).model
    assert not model.tokens and [layer.kind for layer in model.layers] == [
        "linear",
        "gru",
        "linear",
    ]


def test_keras_names_without_a_configuration(tmp_path):
    arrays = {
        "embedding/embeddings": (COUNT, WIDTH),
        "lstm/kernel": (WIDTH, 4 * UNITS),
        "lstm/recurrent_kernel": (UNITS, 4 * UNITS),
        "lstm/bias": (4 * UNITS,),
    }
    found = read(tmp_path, {name: np.ones(shape, "f") for name, shape in arrays.items()})
    assert rows(found.model) == [(4, UNITS, COUNT)]


def test_what_cannot_be(tmp_path):
    two = tensors(**{"a.embed.weight": (COUNT, WIDTH), "b.embed.weight": (7, WIDTH)})
    with pytest.raises(UserError, match="several embeddings; a frame is one token"):
        read(tmp_path, two)
    assert read(tmp_path, two, ignore=("b.*",)).model.inputs == COUNT
    other = tensors(**{"speaker_emb.weight": (COUNT, WIDTH + 1)})
    with pytest.raises(UserError, match=r"makes 7 values, but gru\.0 takes 6; --ignore PATTERN"):
        read(tmp_path, other)
    large = tensors(**{"embedding.weight": (1000, WIDTH)})
    with pytest.raises(UserError, match=r"its product with the 15 rows of gru\.0 takes 0\.0 GB"):
        read(tmp_path, large, most_bytes=40_000)
    assert read(tmp_path, large, most_bytes=40_000, keep_embedding=True).model.inputs == 1000


def test_a_layer_that_adds_its_input(tmp_path):
    """An SRU's highway reads the embedding by a gate of its own, which is folded, too."""
    width = 4
    arrays = {
        "embedding.weight": (COUNT, width),
        "rnn_lst.0.weight": (width, 3 * width),
        "rnn_lst.0.weight_c": (2 * width,),
        "rnn_lst.0.bias": (2 * width,),
    }
    rng = np.random.default_rng(5)
    made = {name: rng.normal(size=shape).astype("f") for name, shape in arrays.items()}
    made["rnn_lst.0.scale_x"] = np.full(1, 1.5, "f")
    model = read(tmp_path, made).model
    assert [(layer.kind, layer.tokens) for layer in model.layers] == [("sru4", True)]
    table = made.pop("embedding.weight")
    plain = read(tmp_path, made).model
    wanted = np.array(run_float_batch(plain, [table[tokens] for tokens in TOKENS]))
    np.testing.assert_allclose(outputs(model), wanted, rtol=0, atol=1e-6)
