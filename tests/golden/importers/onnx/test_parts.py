# SPDX-License-Identifier: Apache-2.0
"""Graphs of which a part becomes the network, and graphs that must not be taken."""

from collections import namedtuple

import numpy as np
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.importers import compare
from deltaloom.golden.importers.checkpoint import ImportOptions, import_checkpoint, read_checkpoint
from deltaloom.golden.models.float_model import run_float

onnx = pytest.importorskip("onnx")
reference = pytest.importorskip("onnx.reference")
INPUTS, UNITS, OUTPUTS = 5, 4, 3
RNG = np.random.default_rng(6)
FLOAT = onnx.TensorProto.FLOAT
Value = namedtuple("Value", "name shape")


def random(*shape):
    return RNG.uniform(-1, 1, shape).astype(np.float32)


class Graph:
    """Nodes by hand: a node's inputs are names of values, or arrays, which become constants."""

    def __init__(self, *inputs, opset=17):
        self.inputs = inputs or (Value("x", ("T", "N", INPUTS)),)
        self.nodes, self.constants, self.opset = [], [], opset

    def node(self, kind, *inputs, outputs=None, name="", **attributes):
        names = []
        for value in inputs:
            if isinstance(value, np.ndarray):
                names.append(f"k{len(self.constants)}")
                self.constants.append(onnx.numpy_helper.from_array(value, names[-1]))
            else:
                names.append(value)
        outputs = outputs or [f"v{len(self.nodes)}"]
        name = name or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(kind, names, outputs, name=name, **attributes))
        return next(filter(None, outputs))

    def lstm(self, x, inputs=INPUTS, *, states=(), outputs=None, name="lstm"):
        rows = 4 * UNITS
        weights = random(1, rows, inputs), random(1, rows, UNITS), random(1, 2 * rows)
        more = ("", *states) if states else ()
        y = self.node("LSTM", x, *weights, *more, outputs=outputs, name=name, hidden_size=UNITS)
        return self.node("Squeeze", y, np.array([1]))

    def dense(self, x, inputs=UNITS, outputs=OUTPUTS, name="fc"):
        made = self.node("MatMul", x, random(inputs, outputs), name=name)
        return self.node("Add", made, random(outputs))

    def model(self, *outputs):
        value = onnx.helper.make_tensor_value_info
        graph = onnx.helper.make_graph(
            self.nodes,
            "g",
            [value(name, FLOAT, shape) for name, shape in self.inputs],
            [value(name, FLOAT, None) for name in outputs],
            self.constants,
        )
        opset = [onnx.helper.make_opsetid("", self.opset)]
        return onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)


@pytest.fixture
def read(tmp_path):
    def run(model, *, cut=True, **options):
        onnx.save(model, tmp_path / "net.onnx")
        load = read_checkpoint if cut else import_checkpoint
        return load(tmp_path / "net.onnx", options=ImportOptions(**options))

    return run


def refused(read, model, **options):
    with pytest.raises(UserError) as caught:
        read(model, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line.partition("net.onnx: ")[2]


def run(model, **feeds):
    return reference.ReferenceEvaluator(model).run(None, feeds)


def assert_whole(model, found, x):
    """before, the network and after give what the graph gives, one sequence at a time."""
    expected = run(model, x=x)
    if found.before:
        front = onnx.load_from_string(found.before)
        (x,) = run(front, x=x)
    y = np.stack([run_float(found.model, x[:, n])[0] for n in range(x.shape[1])], axis=1)
    y = y.astype(np.float32)
    if found.after:
        back = onnx.load_from_string(found.after)
        name = back.graph.input[0].name
        y = run(back, **{name: y})
    else:
        y = [y]
    for own, theirs in zip(y, expected, strict=True):
        np.testing.assert_allclose(own, theirs, rtol=0, atol=1e-5)


X = RNG.normal(size=(9, 2, INPUTS)).astype(np.float32)


# Parts


def test_what_comes_before_and_after_is_cut_off(read):
    graph = Graph()
    x = graph.node("Elu", graph.dense("x", INPUTS, 6, "front"), name="bend")
    y = graph.node("Softplus", graph.dense(graph.lstm(x, 6)), name="gate")
    found = read(graph.model(y))
    assert [layer.name for layer in found.model.layers] == ["lstm", "fc"]
    assert_whole(graph.model(y), found, X)
    where = dict(found.where)
    assert where["Elu node 'bend'"] == "before" and where["MatMul node 'front'"] == "before"
    assert where["LSTM node 'lstm'"] == "network" and where["Softplus node 'gate'"] == "after"
    assert found.notes[-1].startswith("equals onn") and found.model.notes == found.notes


def test_all_that_is_in_the_way_is_named_where_nothing_may_be_cut_off(read):
    graph = Graph()
    x = graph.node("Elu", "x", name="bend")
    y = graph.node("Softplus", graph.lstm(x), name="gate")
    line = refused(read, graph.model(y), cut=False)
    assert line.startswith("Elu node 'bend' is not supported; supported: LSTM, ")
    assert "; Softplus node 'gate' is not supported" in line and line.count("supported: ") == 1


def test_two_heads_stay_behind_the_network(read):
    graph = Graph()
    h = graph.lstm("x")
    model = graph.model(graph.dense(h, name="a"), graph.dense(h, outputs=2, name="b"))
    found = read(model)
    assert [layer.name for layer in found.model.layers] == ["lstm"]
    assert_whole(model, found, X)
    line = refused(read, model, cut=False)
    assert "MatMul node 'b': leads to a second output 'v5'; only a single chain of layers" in line


def test_a_sum_with_an_earlier_value_stays_behind(read):
    graph = Graph()
    h = graph.lstm("x")
    model = graph.model(graph.node("Add", h, graph.lstm(h, UNITS, name="second"), name="skip"))
    assert "LSTM node 'second': not in one chain with the rest; --from NODE" in refused(read, model)
    found = read(model, end="lstm")
    assert [layer.name for layer in found.model.layers] == ["lstm"]


def test_from_and_to(read):
    graph = Graph()
    h = graph.node("Elu", graph.lstm("x"), name="between")
    model = graph.model(graph.dense(graph.lstm(h, UNITS, name="second")))
    line = refused(read, model)
    assert line.startswith("Elu node 'between' is not supported; ") and "--to NODE choose" in line
    assert [layer.name for layer in read(model, end="lstm").model.layers] == ["lstm"]
    found = read(model, start="second")
    assert [layer.name for layer in found.model.layers] == ["second", "fc"]
    assert_whole(model, found, X)
    assert refused(read, model, start="nothing").startswith("node 'nothing': no node has that name")


def test_nothing_is_for_graphs_that_is_for_tensors_and_the_reverse(read, tmp_path):
    graph = Graph()
    model = graph.model(graph.lstm("x"))
    assert refused(read, model, only=("a",)).startswith("only, ignore: are for files of tensors;")
    np.savez(tmp_path / "net.npz", **{"fc.weight": random(2, 3)})
    with pytest.raises(UserError, match="--from, --to and --zero-state are for graphs"):
        import_checkpoint(tmp_path / "net.npz", options=ImportOptions(end="fc"))


# What is folded


def test_normalized_inputs_and_batch_norms(read):
    """(x - mean) / deviation in front of an LSTM, and BatchNormalization behind a linear layer."""
    graph = Graph()
    x = graph.node("Div", graph.node("Sub", "x", random(INPUTS)), random(INPUTS) + 2)
    y = graph.dense(graph.lstm(x))
    y = graph.node("Transpose", y, perm=[1, 2, 0])
    y = graph.node(
        "BatchNormalization", y, *(random(OUTPUTS) for _ in range(3)), random(OUTPUTS) + 2
    )
    model = graph.model(graph.node("Transpose", y, perm=[2, 0, 1]))
    found = read(model, cut=True)
    assert not found.before and not found.after
    assert [layer.kind for layer in found.model.layers] == ["lstm", "linear"]
    assert_whole(model, found, X)


def test_a_scale_that_no_layer_can_take_is_cut_off(read):
    graph = Graph()
    model = graph.model(graph.node("Mul", graph.lstm("x"), random(UNITS), name="scale"))
    found = read(model)
    assert dict(found.where)["Mul node 'scale'"] == "after"
    assert_whole(model, found, X)
    assert refused(read, model, cut=False).startswith(
        "Mul node 'scale': scales what no MatMul made"
    )


def test_a_last_step_and_softmax_have_notes(read):
    graph = Graph()
    y = graph.node("Gather", graph.lstm("x"), np.array(-1), axis=0)
    model = graph.model(graph.node("Softmax", graph.dense(y), name="soft"))
    found = read(model)
    assert found.notes[0] == "Softmax node 'soft' is left off: the same class wins"
    assert found.notes[1] == "the graph takes the last step; the network gives every step"
    (expected,) = run(model, x=X)
    y, _ = run_float(found.model, X[:, 1])
    np.testing.assert_array_equal(y[-1].argmax(), expected[1].argmax())


# States


STATES = (Value("h0", (1, "N", UNITS)), Value("c0", (1, "N", UNITS)))


def test_states_that_go_in_and_out_are_the_accelerators(read):
    graph = Graph(Value("x", ("T", "N", INPUTS)), *STATES)
    y = graph.dense(graph.lstm("x", states=("h0", "c0"), outputs=["y", "h1", "c1"]))
    found = read(graph.model(y, "h1", "c1"), cut=False)
    assert [layer.kind for layer in found.layers] == ["lstm", "linear"]
    assert (
        found.notes[0]
        == "LSTM node 'lstm': initial_h, a state of the graph's, is the accelerator's"
    )


def test_a_graph_of_one_step_with_its_states(read):
    graph = Graph(Value("x", (1, 1, INPUTS)), *(Value(n, (1, 1, UNITS)) for n in ("h0", "c0")))
    y = graph.lstm("x", states=("h0", "c0"), outputs=["y", "h1", "c1"])
    assert [a.kind for a in read(graph.model(y, "h1", "c1"), cut=False).layers] == ["lstm"]
    graph = Graph(Value("x", (1, 1, INPUTS)))
    line = refused(read, graph.model(graph.lstm("x")))
    assert line.startswith("LSTM node 'lstm': runs over one step, from the same state for every fr")


def test_a_state_that_goes_in_only(read):
    graph = Graph(Value("x", ("T", "N", INPUTS)), *STATES)
    model = graph.model(graph.lstm("x", states=("h0", "c0")))
    assert "initial_h is the graph's input 'h0'; it must be left out" in refused(read, model)
    found = read(model, zero_state=True)
    assert "LSTM node 'lstm': initial_h is taken to be zeros (--zero-state)" in found.notes


# Axes


def test_an_encoder_and_a_decoder(read):
    """The second one starts from the first one's last state: no stack, whatever the widths."""
    graph = Graph()
    graph.lstm("x", outputs=["y", "h", "c"], name="encoder")
    model = graph.model(graph.lstm("x", states=("h", "c"), name="decoder"))
    line = refused(read, model)
    assert "LSTM node 'decoder': initial_h is 'h', made by LSTM node 'encoder'" in line


def test_features_that_are_put_side_by_side(read):
    """A Concat is named, and what is in front of it can be had."""
    graph = Graph()
    y = graph.lstm("x")
    joined = graph.node("Concat", y, "x", axis=-1, name="skip")
    model = graph.model(graph.dense(joined, UNITS + INPUTS))
    line = refused(read, model, cut=False)
    assert line.startswith("Concat node 'skip' is not supported; ")
    found = read(model)
    assert [layer.name for layer in found.model.layers] == ["lstm"]
    assert "not in one chain" not in str(found.notes) and found.after


def test_layers_over_different_axes(read):
    graph = Graph()
    y = graph.node("Transpose", graph.lstm("x"), perm=[1, 0, 2])
    y = graph.lstm(y, UNITS, name="across")
    for cut in (True, False):
        line = refused(read, graph.model(graph.node("Transpose", y, perm=[1, 0, 2])), cut=cut)
        assert line.startswith(
            "LSTM node 'across': runs over another axis than the recurrent layer"
        )
    graph = Graph(Value("x", ("T", 1, INPUTS)))
    y = graph.node("Transpose", graph.lstm("x"), perm=[1, 0, 2])
    line = refused(read, graph.model(graph.lstm(y, UNITS, name="across")))
    assert line.startswith("LSTM node 'across': runs over another axis than the recurrent layer")


def test_softmax_over_time(read):
    graph = Graph()
    model = graph.model(graph.node("Softmax", graph.dense(graph.lstm("x")), axis=0, name="soft"))
    line = refused(read, model)
    assert line.startswith("Softmax node 'soft': runs over axis 0, not over the classes in the las")
    assert read(model, end="v3").after


@pytest.mark.parametrize(
    ("shape", "line"),
    [
        ([-1, 1, INPUTS], "LSTM node 'lstm': runs over two axes in a row, which mixes sequences"),
        ([2, -1, INPUTS], "Reshape node 'mix': is not understood ([2, -1, 5] does not fit"),
    ],
)
def test_a_reshape_that_mixes_time_and_batch(read, shape, line):
    graph = Graph()
    y = graph.node("Reshape", "x", np.array(shape), name="mix")
    found = refused(read, graph.model(graph.lstm(y)), cut=False)
    assert found.startswith(line)


def test_a_step_of_the_batch_is_no_last_step(read):
    graph = Graph()
    model = graph.model(graph.node("Gather", graph.lstm("x"), np.array(-1), axis=1, name="pick"))
    line = refused(read, model, cut=False)
    assert line.startswith("Gather node 'pick': gathers -1 of axis 1; only the last step, -1 of")


def test_features_in_front(read):
    """[batch, features, time], as convolutions have it."""
    graph = Graph(Value("x", ("N", INPUTS, "T")))
    y = graph.lstm(graph.node("Transpose", "x", perm=[2, 0, 1]))
    found = read(graph.model(y))
    assert [layer.inputs for layer in found.model.layers] == [INPUTS] and not found.before
    x = RNG.normal(size=(2, INPUTS, 9)).astype(np.float32)
    (expected,) = run(graph.model(y), x=x)
    own, _ = run_float(found.model, x[1].T)
    np.testing.assert_allclose(own, expected[:, 1], rtol=0, atol=1e-5)


# Checked against a runtime


def test_a_model_that_differs_is_not_imported(read, monkeypatch):
    monkeypatch.setattr(compare, "run_float", lambda model, x: (run_float(model, x)[0] + 0.01, []))
    graph = Graph()
    model = graph.model(graph.lstm("x"))
    line = refused(read, model)
    assert line.startswith("the model differs from what onn") and "--no-check imports it" in line
    found = read(model, check=False)
    assert found.model.notes == ("not checked against its graph (--no-check)",)


# Untrusted


def test_a_circle(read):
    graph = Graph()
    y = graph.lstm("y0", outputs=["y0"])
    assert refused(read, graph.model(y)).startswith("LSTM node 'lstm': is part of a circle or behi")


def test_constants_that_explode(read):
    graph = Graph()
    value = np.ones(1 << 10, np.float32)
    for _ in range(40):
        value = graph.node("Concat", value, value, axis=0)
    model = graph.model(graph.node("Add", graph.lstm("x"), value))
    assert "GB of values, the limit is 0.268; --limit GB raises it" in refused(read, model)
    graph = Graph()
    value = graph.node("ConstantOfShape", np.array([10**6, 10**6]))
    model = graph.model(graph.node("Add", graph.lstm("x"), value))
    assert "makes 8e+03 GB of values" in refused(read, model)


def test_zeros_of_zeros_of_zeros(read):
    """What is looked through for a zero state is looked at once, however often it is taken."""
    graph = Graph(Value("x", ("T", "N", INPUTS)), Value("n", (1,)))
    shape = graph.node("Cast", "n", to=onnx.TensorProto.INT64)
    state = graph.node("ConstantOfShape", shape)
    for _ in range(60):
        state = graph.node("Concat", state, state, axis=0)
    assert "lstm" in str(read(graph.model(graph.lstm("x", states=(state, state)))).model.layers)


def test_hidden_size_and_attributes_and_opset(read):
    graph = Graph()
    graph.lstm("x")
    graph.nodes[0].attribute[0].i = 7
    assert "LSTM node 'lstm': hidden_size is 7, but R [1, 16, 4] has 4 units" in refused(
        read, graph.model("v1")
    )
    graph.nodes[0].attribute[0].name = "hidden_sizes"
    assert "its attribute 'hidden_sizes' is none that LSTM of opset 17 has" in refused(
        read, graph.model("v1")
    )
    for opset in (3, 1000):
        graph = Graph(opset=opset)
        assert f"its opset is {opset}, 7 to " in refused(read, graph.model(graph.lstm("x")))


@pytest.mark.parametrize("count", [0, 2])
def test_a_constant_has_one_attribute(read, count):
    graph = Graph()
    value = graph.node("Constant", name="k", value_float=1.0)
    model = graph.model(graph.node("Mul", graph.lstm("x"), value))
    more = onnx.helper.make_attribute("value_int", 1)
    model.graph.node[0].attribute.append(more)
    del model.graph.node[0].attribute[count:]
    line = refused(read, model)
    assert line == f"Constant node 'k': has {count} attributes, one is needed; export it anew"


@pytest.mark.parametrize("kind", ["MatMul", "LSTM", "GRU", "Add", "Gather", "Reshape", "Gemm"])
def test_a_node_without_its_inputs(read, kind):
    for features in (None, INPUTS):
        graph = Graph(Value("x", ("T", "N", features)))
        y = graph.node(kind, "x", name="n")
        assert refused(read, graph.model(y))


def test_an_axis_without_elements(read):
    """onnxruntime divides by its size, and ends the process."""
    graph = Graph(Value("x", ("T", 0, INPUTS)))
    line = refused(read, graph.model(graph.lstm("x")))
    assert line == "'x': its axis 1 has size 0, at least 1 is needed; export it anew"
    graph = Graph(Value("x", ("T", -1, INPUTS)))
    assert read(graph.model(graph.lstm("x"))).model.inputs == INPUTS


def test_axes_of_constants_that_no_array_has(read):
    graph = Graph()
    model = graph.model(graph.lstm("x"))
    model.graph.initializer[0].dims[:] = [0, 2**62]
    assert "along an axis is not possible" in refused(read, model)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "there"])
def test_values_in_other_files(read, tmp_path, location):
    graph = Graph()
    model = graph.model(graph.lstm("x"))
    tensor = model.graph.initializer[0]
    size = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, text in (("location", location), ("length", str(size))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, text
    line = refused(read, model)
    assert line.startswith(f"'k0' lies in {location!r}; only files beside the graph are read")
    if location == "there":
        (tmp_path / location).write_bytes(random(16 * INPUTS).tobytes())
        assert read(model).model.layers


def test_bfloat16(read):
    graph = Graph()
    model = graph.model(graph.dense("x", INPUTS))
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0])
    rounded = (weights.view(np.uint32) >> 16 << 16).view(np.float32)
    tensor = onnx.helper.make_tensor(
        model.graph.initializer[0].name,
        onnx.TensorProto.BFLOAT16,
        weights.shape,
        (rounded.view(np.uint32) >> 16).astype("<u2").tobytes(),
        raw=True,
    )
    model.graph.initializer[0].CopyFrom(tensor)
    (layer,) = read(model).model.layers
    np.testing.assert_array_equal(layer.paths[0].weights[0], rounded.T)
