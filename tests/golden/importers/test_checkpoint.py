# SPDX-License-Identifier: Apache-2.0
"""Importing checkpoints: what is found, in which order, and what every refusal says."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import ImportOptions, import_checkpoint
from deltaloom.golden.models.float_model import FloatModel, run_float


def lstm_tensors(prefix="lstm.", inputs=3, units=4, layers=2, seed=0, bias=True):
    rng = np.random.default_rng(seed)
    tensors = {}
    for n in range(layers):
        shapes = {
            "weight_ih": (4 * units, inputs if n == 0 else units),
            "weight_hh": (4 * units, units),
        }
        if bias:
            shapes |= {"bias_ih": (4 * units,), "bias_hh": (4 * units,)}
        for name, shape in shapes.items():
            tensors[f"{prefix}{name}_l{n}"] = rng.normal(size=shape).astype(np.float32)
    return tensors


def linear_tensors(prefix="fc.", inputs=4, outputs=2, seed=1, bias=True):
    rng = np.random.default_rng(seed)
    tensors = {f"{prefix}weight": rng.normal(size=(outputs, inputs)).astype(np.float32)}
    if bias:
        tensors[f"{prefix}bias"] = rng.normal(size=outputs).astype(np.float32)
    return tensors


NETWORK = lstm_tensors() | linear_tensors()


@pytest.fixture
def load(tmp_path):
    """Imports tensors by way of an .npz, which keeps their order."""

    def run(tensors, **options):
        np.savez(tmp_path / "net.npz", **tensors)
        return import_checkpoint(tmp_path / "net.npz", **options)

    return run


@pytest.fixture
def load_sorted(tmp_path):
    """Imports tensors by way of a .safetensors, which does not."""

    def run(tensors, **options):
        save_file(tensors, tmp_path / "net.safetensors")
        return import_checkpoint(tmp_path / "net.safetensors", **options)

    return run


def refused(load, tensors, **options):
    """The one line that refuses `tensors`, without the file's name."""
    with pytest.raises(UserError) as caught:
        load(tensors, **options)
    line = str(caught.value)
    assert "\n" not in line
    head, _, rest = line.partition(": ")
    assert head.endswith((".npz", ".safetensors"))
    return rest


def names(model):
    return [layer.name for layer in model.layers]


def assert_same(a: FloatModel, b: FloatModel):
    assert names(a) == names(b)
    assert a.labels == b.labels
    for one, other in zip(a.layers, b.layers, strict=True):
        assert one.kind == other.kind
        np.testing.assert_array_equal(one.bias, other.bias, strict=True)
        for p, q in zip(one.paths, other.paths, strict=True):
            assert (p.source, p.gates) == (q.source, q.gates)
            np.testing.assert_array_equal(p.weights, q.weights, strict=True)


# What is found


def test_lstm_arrays(load):
    model = load(NETWORK)
    assert names(model) == ["lstm.0", "lstm.1", "fc"]
    layer = model.layers[1]
    x, h = layer.paths
    assert (x.source, h.source, layer.kind) == ("x", "h", "lstm")
    assert x.gates == h.gates == ("i", "f", "g", "o")
    for n in range(4):
        rows = slice(4 * n, 4 * n + 4)
        np.testing.assert_array_equal(x.weights[n], NETWORK["lstm.weight_ih_l1"][rows])
        np.testing.assert_array_equal(h.weights[n], NETWORK["lstm.weight_hh_l1"][rows])
        total = NETWORK["lstm.bias_ih_l1"][rows] + NETWORK["lstm.bias_hh_l1"][rows]
        np.testing.assert_array_equal(layer.bias[n], total)


def test_linear_arrays(load):
    layer = load(NETWORK).layers[2]
    assert layer.kind == "linear" and layer.paths[0].gates == ("y",)
    np.testing.assert_array_equal(layer.paths[0].weights[0], NETWORK["fc.weight"])
    np.testing.assert_array_equal(layer.bias[0], NETWORK["fc.bias"])


def test_all_arrays_are_contiguous_float32(load):
    for layer in load({name: a.astype(np.float64) for name, a in NETWORK.items()}).layers:
        for array in (layer.bias, *(p.weights for p in layer.paths)):
            assert array.dtype == np.float32 and array.flags.c_contiguous


def test_without_biases(load):
    model = load(lstm_tensors(bias=False) | linear_tensors(bias=False))
    assert all((layer.bias == 0).all() for layer in model.layers)
    assert [layer.bias.shape for layer in model.layers] == [(4, 4), (4, 4), (1, 2)]


def test_prefixes(load):
    assert names(load(lstm_tensors(""))) == ["lstm.0", "lstm.1"]
    assert names(load(linear_tensors(""))) == ["linear"]
    assert names(load(lstm_tensors("encoder.rnn.", layers=1))) == ["encoder.rnn.0"]


def test_names_stay_unique(load):
    tensors = lstm_tensors("", units=4, layers=1) | lstm_tensors("lstm.", 4, 5, layers=1)
    assert names(load(tensors)) == ["lstm.0", "lstm_2.0"]


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod."])
def test_wrappers_are_stripped(load, wrapper):
    wrapped = {wrapper + name: array for name, array in NETWORK.items()}
    assert_same(load(wrapped), load(NETWORK))


def test_a_module_that_is_called_module_for_one_part_is_kept(load):
    assert names(load(lstm_tensors("module.") | linear_tensors())) == ["module.0", "module.1", "fc"]


def test_lstm_cell(load):
    cell = {name.removesuffix("_l0"): a for name, a in lstm_tensors("cell.", layers=1).items()}
    model, same = load(cell), load(lstm_tensors("cell.", layers=1))
    assert names(model) == ["cell"]
    np.testing.assert_array_equal(model.layers[0].bias, same.layers[0].bias)


def test_more_than_ten_layers_stay_in_order(load_sorted):
    model = load_sorted(lstm_tensors(layers=12, inputs=4))
    assert names(model) == [f"lstm.{n}" for n in range(12)]


def test_labels_and_origin(load):
    model = load(NETWORK, labels=["no", "yes"])
    assert model.labels == ("no", "yes") and model.origin == "net.npz"
    assert "3 labels for the 2 outputs of fc" in refused(load, NETWORK, labels="abc")


# Number types


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4"])
def test_other_floats_become_float32(load, dtype):
    converted = {name: array.astype(dtype) for name, array in NETWORK.items()}
    exact = {name: array.astype(np.float64) for name, array in converted.items()}
    weights = load(converted).layers[0].paths[0].weights
    expected = exact["lstm.weight_ih_l0"].astype(np.float32).reshape(weights.shape)
    np.testing.assert_array_equal(weights, expected)


def test_integers_are_refused(load):
    line = refused(load, NETWORK | {"fc.weight": np.ones((2, 4), np.int8)})
    assert line.startswith("fc.weight [2, 4] is int8; weights must be float16, ")


def test_complex_is_refused(load):
    line = refused(load, NETWORK | {"fc.bias": np.ones(2, complex)})
    assert line.startswith("fc.bias [2] is complex128;")


def changed(name, index, value, dtype=np.float64):
    array = NETWORK[name].astype(dtype)
    array[index] = value
    return NETWORK | {name: array}


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (np.nan, "nan, it must be finite"),
        (np.inf, "inf, it must be finite"),
        (-np.inf, "-inf, it must be finite"),
        (1e300, "1e+300, it does not fit float32"),
    ],
)
def test_bad_value_is_named_with_its_place(load, value, rule):
    line = refused(load, changed("lstm.weight_hh_l0", (5, 2), value))
    assert line.startswith("lstm.weight_hh_l0 [16, 4]: 1 of 64 values cannot be used: ")
    assert f"the one at [5, 2] is {rule}" in line


def test_biases_whose_sum_overflows(load):
    tensors = changed("lstm.bias_ih_l1", 6, 3e38, np.float32)
    tensors |= {"lstm.bias_hh_l1": tensors["lstm.bias_ih_l1"]}
    line = refused(load, tensors)
    assert line.startswith("lstm.1: the sum of its biases: 1 of 16 values")
    assert "[1, 2] is 6e+38, it does not fit float32" in line


# Order


def test_order_of_the_file_does_not_matter_where_the_shapes_tell(load, load_sorted):
    expected = load(NETWORK)
    assert_same(load(dict(reversed(NETWORK.items()))), expected)
    assert_same(load_sorted(NETWORK), expected)


def test_order_of_the_file_decides_where_the_shapes_do_not(load):
    a, b = lstm_tensors("a.", 4, 4, 1), lstm_tensors("b.", 4, 4, 1)
    assert names(load(a | b | linear_tensors())) == ["a.0", "b.0", "fc"]
    assert names(load(b | a | linear_tensors())) == ["b.0", "a.0", "fc"]


def test_ambiguous_order_names_both_layers(load_sorted):
    tensors = lstm_tensors("a.", 4, 4, 1) | lstm_tensors("b.", 4, 4, 1) | linear_tensors()
    line = refused(load_sorted, tensors)
    assert "a.0 (4 -> 4) and b.0 (4 -> 4) fit in either order" in line and "--order" in line
    assert names(load_sorted(tensors, order=["b", "a", "fc"])) == ["b.0", "a.0", "fc"]


@pytest.mark.parametrize(
    ("order", "line"),
    [
        (["lstm", "lstm"], "order lstm,lstm: name each of the modules once: lstm, fc"),
        (["fc", "lstm"], "lstm.0 takes 3 values, but fc before it puts out 2"),
    ],
)
def test_order_must_name_every_module_and_fit(load, order, line):
    assert refused(load, NETWORK, order=order) == line


@pytest.mark.parametrize("how", ["load", "load_sorted"])
def test_broken_chain_names_the_layers_and_widths(how, request):
    line = refused(request.getfixturevalue(how), lstm_tensors() | linear_tensors(inputs=5))
    assert line.startswith("fc takes 5 values, but lstm.1 before it puts out 4; only a single")


def test_two_heads_are_a_broken_chain(load):
    tensors = NETWORK | linear_tensors("head.", 4, 5)
    assert "head takes 4 values, but fc before it puts out 2" in refused(load, tensors)


def test_an_encoder_and_a_decoder_are_no_stack(load):
    """Unless somebody says so: a decoder takes a state that weights do not show."""
    tensors = lstm_tensors("encoder.", 4, 4, 1) | lstm_tensors("decoder.", 4, 4, 1, seed=2)
    line = refused(load, tensors)
    assert line.startswith("encoder and decoder: the file does not tell whether the decoder takes")
    assert "--order encoder,decoder says that they are a stack" in line
    assert names(load(tensors, order=["encoder", "decoder"])) == ["encoder.0", "decoder.0"]
    only = ImportOptions(only=("encoder.*",))
    assert names(load(tensors, options=only)) == ["encoder.0"]


def test_layers_of_a_module_must_fit_each_other(load):
    tensors = lstm_tensors() | {"lstm.weight_ih_l1": np.zeros((16, 5), np.float32)}
    assert refused(load, tensors) == "lstm.1 takes 5 values, but lstm.0 before it puts out 4"


def test_many_equal_layers_that_do_not_fit_are_found_fast(load_sorted):
    tensors = linear_tensors("last.", 9, 9)
    for n in range(24):
        tensors |= linear_tensors(f"fc{n}.", 4, 4)
    assert "last takes 9 values" in refused(load_sorted, tensors)


# What is refused


def test_other_layers_are_named(load):
    line = refused(load, NETWORK | {"conv.weight": np.ones((8, 4, 3), np.float32)})
    assert line.startswith(
        "conv.weight [8, 4, 3] belongs to a convolution; supported: PyTorch nn.LSTM, PyTorch nn.GRU"
    )
    assert line.endswith(", PyTorch nn.Linear; --ignore PATTERN leaves it out of the network")


def test_an_elman_network_needs_its_nonlinearity(load):
    tensors = {
        "rnn.weight_ih_l0": np.ones((5, 2), np.float32),
        "rnn.weight_hh_l0": np.ones((5, 5), np.float32),
    }
    assert refused(load, tensors) == (
        "rnn: the file does not tell whether this RNN has tanh or ReLU; say --nonlinearity tanh "
        "(PyTorch's and Keras's default) or --nonlinearity relu"
    )
    for said in ("tanh", "relu"):
        (layer,) = load(tensors, options=ImportOptions(nonlinearity=said)).layers
        assert (layer.name, layer.kind) == ("rnn.0", f"rnn_{said}")


def test_metadata_may_tell_the_nonlinearity(tmp_path):
    tensors = {
        "rnn.weight_ih_l0": np.ones((5, 2), np.float32),
        "rnn.weight_hh_l0": np.ones((5, 5), np.float32),
    }
    file = tmp_path / "model.safetensors"
    for said in ("tanh", "relu"):
        save_file(tensors, file, metadata={"nonlinearity": said})
        (layer,) = import_checkpoint(file).layers
        assert layer.kind == f"rnn_{said}"
    save_file(tensors, file, metadata={"nonlinearity": "gelu"})
    with pytest.raises(UserError, match="does not tell whether this RNN has tanh or ReLU"):
        import_checkpoint(file)


def test_unknown_tensor(load):
    line = refused(load, NETWORK | {"fc.gain": np.ones((2, 2), np.float32)})
    assert line.startswith(
        "fc.gain [2, 2] is not a tensor of any known layer; supported: PyTorch nn.LSTM"
    )


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("lstm.weight_hh_l0", "[4*units, units]"),
        ("lstm.weight_ih_l1", "[4*units, inputs]"),
        ("lstm.bias_hh_l1", "[4*units]"),
        ("fc.weight", "[units, inputs]"),
    ],
)
def test_missing_tensor(load, name, rule):
    line = refused(load, {n: a for n, a in NETWORK.items() if n != name})
    assert line.startswith(f"{name} is missing; PyTorch nn.L") and f"shape {rule}, " in line


def test_missing_layer(load):
    tensors = lstm_tensors(layers=3)
    line = refused(load, {n: a for n, a in tensors.items() if not n.endswith("_l1")})
    assert line.startswith("lstm.weight_ih_l1 is missing")


@pytest.mark.parametrize(
    ("name", "shape", "rule"),
    [
        ("lstm.weight_hh_l0", (16, 5), "[16, 4]"),
        ("lstm.weight_hh_l0", (16,), "[16, 4]"),
        ("lstm.weight_hh_l0", (16, 0), "[16, 4]"),
        ("lstm.weight_ih_l0", (12, 3), "[16, inputs]"),
        ("lstm.weight_ih_l0", (16,), "[16, inputs]"),
        ("lstm.weight_ih_l0", (16, 3, 1), "[16, inputs]"),
        ("lstm.weight_ih_l0", (16, 0), "[16, inputs]"),
        ("lstm.bias_ih_l1", (4,), "[16]"),
        ("lstm.bias_ih_l1", (4, 4), "[16]"),
        ("fc.bias", (), "[2]"),
        ("fc.weight", (0, 4), "[2, inputs]"),
    ],
)
def test_wrong_shape(load, name, shape, rule):
    line = refused(load, NETWORK | {name: np.ones(shape, np.float32)})
    assert line.startswith(f"{name} {list(shape)}: PyTorch nn.L")
    assert f"expects {rule}" in line


def test_nothing_but_an_empty_matrix(load):
    line = refused(load, {"fc.weight": np.ones((0, 0), np.float32)})
    assert line.startswith("fc.weight [0, 0]: PyTorch nn.Linear expects [units, inputs]")


# PyTorch's own files


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def state_dict(torch):
    return {name: torch.from_numpy(array) for name, array in NETWORK.items()}


@pytest.fixture
def load_torch(torch, tmp_path):
    def run(thing, **options):
        torch.save(thing, tmp_path / "net.pt")
        return import_checkpoint(tmp_path / "net.pt", **options)

    return run


def test_three_formats_give_the_same_model(load, load_sorted, load_torch, state_dict):
    model = load_torch(state_dict, labels=["a", "b"])
    assert_same(model, load(NETWORK, labels=["a", "b"]))
    assert_same(model, load_sorted(NETWORK, labels=["a", "b"]))


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
def test_nested_state_dict(load, load_torch, state_dict, key):
    assert_same(load_torch({"epoch": 3, key: state_dict}), load(NETWORK))


def test_a_real_module(torch, load_torch):
    model = torch.nn.Module()
    model.rnn = torch.nn.LSTM(3, 5, num_layers=2)
    model.out = torch.nn.Linear(5, 2)
    assert names(load_torch(model.state_dict())) == ["rnn.0", "rnn.1", "out"]


@pytest.mark.parametrize("said", ["tanh", "relu"])
@pytest.mark.parametrize("kind", ["RNN", "RNN bidirectional", "RNNCell"])
def test_elman_networks_of_torch(torch, load_torch, kind, said):
    """Two layers, or a cell, as PyTorch runs them."""
    torch.manual_seed(5)
    name, _, both = kind.partition(" ")
    options = {} if name == "RNNCell" else {"num_layers": 2, "bidirectional": bool(both)}
    module = getattr(torch.nn, name)(3, 4, nonlinearity=said, **options)
    model = load_torch(module.state_dict(), options=ImportOptions(nonlinearity=said))
    x = torch.randn(9, 3)
    with torch.no_grad():
        if name == "RNNCell":
            h, expected = None, []
            for frame in x:
                h = module(frame[None], h)
                expected.append(h[0].numpy())
        else:
            expected = module(x)[0].numpy()
    assert {layer.kind for layer in model.layers} == {f"rnn_{said}"}
    np.testing.assert_allclose(run_float(model, x.numpy())[0], expected, rtol=0, atol=1e-6)
