# SPDX-License-Identifier: Apache-2.0
"""ONNX files, imported and run: onnxruntime's, PyTorch's and onnx's own outputs, and refusals."""

import sys
from pathlib import Path

import numpy as np
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import ImportOptions, import_checkpoint
from deltaloom.golden.models.float_model import run_float

onnx = pytest.importorskip("onnx")
reference = pytest.importorskip("onnx.reference")
FOLDER = Path(__file__).parents[2]
INPUTS, UNITS, OUTPUTS, STEPS = 5, 7, 3, 11
GATES = {"LSTM": 4, "GRU": 3}
RNG = np.random.default_rng(3)


def read_case(file, case):
    with np.load(FOLDER / file) as archive:
        return {
            name.partition(":")[2]: archive[name]
            for name in archive.files
            if name.startswith(f"{case}:")
        }


def random(*shape):
    return RNG.uniform(-0.8, 0.8, shape).astype(np.float32)


class Graph:
    """Nodes one after the other; the value that leads on is `last`."""

    def __init__(self, shape=(None, 1, INPUTS)):
        self.shape, self.last = shape, "X"
        self.nodes, self.constants, self.extra = [], {}, []

    def node(self, kind, *inputs, outputs=None, data=0, name="", domain="", **attributes):
        """A node of `kind`; `inputs` are constants, names, or None; `last` goes in place `data`."""
        names = []
        for value in inputs:
            if isinstance(value, np.ndarray):
                self.constants[f"c{len(self.constants)}"] = value
                value = f"c{len(self.constants) - 1}"
            names.append(value or "")
        names.insert(data, self.last)
        outputs = outputs or [f"v{len(self.nodes)}"]
        make = onnx.helper.make_node
        self.nodes.append(make(kind, names, outputs, name=name, domain=domain, **attributes))
        self.last = next(filter(None, outputs))
        return self

    def recurrent(self, kind, *, bias=True, more=(), columns=INPUTS, name="rnn", **attributes):
        rows = GATES[kind] * UNITS
        both = 2 if attributes.get("direction") == "bidirectional" else 1
        given = [random(both, rows, columns), random(both, rows, UNITS)]
        given.append(random(both, 2 * rows) if bias else None)
        return self.node(kind, *given, *more, hidden_size=UNITS, name=name, **attributes)

    def squeezed(self):
        return self.node("Squeeze", np.array([1]))

    def head(self, columns=UNITS):
        return self.node("MatMul", random(columns, OUTPUTS), name="fc").node("Add", random(OUTPUTS))

    def model(self):
        value = onnx.helper.make_tensor_value_info
        inputs = [value("X", onnx.TensorProto.FLOAT, self.shape)]
        inputs += [value(name, onnx.TensorProto.FLOAT, None) for name in self.extra]
        constants = [onnx.numpy_helper.from_array(a, n) for n, a in self.constants.items()]
        output = value(self.last, onnx.TensorProto.FLOAT, None)
        graph = onnx.helper.make_graph(self.nodes, "g", inputs, [output], constants)
        opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("other", 1)]
        return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.fixture
def load(tmp_path):
    def run(graph, **options):
        file = tmp_path / "net.onnx"
        onnx.save(graph.model() if isinstance(graph, Graph) else graph, file)
        return import_checkpoint(file, **options)

    return run


def refused(load, graph, **options):
    with pytest.raises(UserError) as caught:
        load(graph, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line.partition("net.onnx: ")[2]


def kinds(model):
    return [layer.kind for layer in model.layers]


def assert_as_onnx(load, graph):
    """The imported model gives what onnx's own evaluator gives, in its float32."""
    x = RNG.normal(size=(STEPS, INPUTS)).astype(np.float32)
    model = graph.model()
    shaped = x.reshape(1, STEPS, INPUTS) if graph.shape[0] == 1 else x[:, None]
    (expected,) = reference.ReferenceEvaluator(model).run(None, {"X": shaped})
    imported = load(model)
    y, _ = run_float(imported, x)
    expected = expected.reshape(-1, imported.outputs)
    np.testing.assert_allclose(y[-len(expected) :], expected, rtol=0, atol=1e-6)
    return imported


# What is found


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("lstm_forward", "lstm"),
        ("lstm_no_bias", "lstm"),
        ("lstm_reverse", "lstm"),
        ("lstm_bidirectional", "lstm"),
        ("peepholes", "lstm_peephole"),
        *(
            (f"gru_lbr{lbr}_{direction}", kind)
            for lbr, kind in enumerate(("gru_before", "gru"))
            for direction in ("forward", "reverse", "bidirectional")
        ),
    ],
)
def test_nodes_as_onnxruntime_runs_them(case, kind):
    arrays = read_case("onnx_vectors.npz", case)
    model = import_checkpoint(FOLDER / "onnx" / f"{case}.onnx")
    directions = arrays["y"].shape[1]
    assert kinds(model) == [kind] * directions and model.origin == f"{case}.onnx"
    backward = [False, True] if directions == 2 else [case.endswith("reverse")]
    assert [layer.backward for layer in model.layers] == backward
    states = {name for layer in model.layers for name in layer.initial}
    given = {"h", "c"} if kind.startswith("lstm") else {"h"}
    assert states == (given if directions == 2 else set())
    y, _ = run_float(model, arrays["x"])
    np.testing.assert_allclose(y, arrays["y"].reshape(len(y), -1), rtol=0, atol=1e-6)


def test_a_bidirectional_stack_as_onnxruntime_runs_it():
    arrays = read_case("onnx_vectors.npz", "stack")
    model = import_checkpoint(FOLDER / "onnx" / "stack.onnx")
    assert kinds(model) == ["lstm", "lstm", "lstm", "linear"]
    y, _ = run_float(model, arrays["x"])
    np.testing.assert_allclose(y, arrays["y"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("exporter", ["script", "dynamo"])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_graphs_as_pytorch_exports_them(kind, exporter):
    arrays = read_case("torch_onnx_vectors.npz", f"{kind}_{exporter}")
    model = import_checkpoint(FOLDER / "onnx" / f"torch_{kind}_{exporter}.onnx")
    assert kinds(model) == [kind, kind, "linear"]
    y, _ = run_float(model, arrays["x"])
    np.testing.assert_allclose(y, arrays["y"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("exporter", ["script", "dynamo"])
def test_both_directions_and_first_states_as_pytorch_exports_them(exporter):
    arrays = read_case("torch_onnx_vectors.npz", f"both_{exporter}")
    model = import_checkpoint(FOLDER / "onnx" / f"torch_both_{exporter}.onnx")
    assert kinds(model) == ["lstm"] * 4 + ["linear"]
    assert all({*layer.initial} == {"h", "c"} for layer in model.layers[:4])
    y, _ = run_float(model, arrays["x"])
    np.testing.assert_allclose(y, arrays["y"], rtol=0, atol=1e-6)


def test_two_layers_and_a_head(load):
    graph = Graph().recurrent("LSTM").node("Transpose", perm=[0, 2, 1, 3])
    graph.node("Reshape", np.array([0, 0, -1])).recurrent("GRU", columns=UNITS, name="/m/GRU")
    model = assert_as_onnx(load, graph.squeezed().head())
    assert [layer.name for layer in model.layers] == ["rnn", "m.GRU", "fc"]


def test_batch_first_input(load):
    graph = Graph((1, None, INPUTS)).node("Transpose", perm=[1, 0, 2]).recurrent("LSTM").squeezed()
    assert_as_onnx(load, graph.node("Transpose", perm=[1, 0, 2]).head())


@pytest.mark.parametrize("trans", [0, 1])
def test_gemm(load, trans):
    weights = random(OUTPUTS, UNITS) if trans else random(UNITS, OUTPUTS)
    graph = Graph().recurrent("GRU").node("Reshape", np.array([-1, UNITS]))
    assert_as_onnx(
        load, graph.node("Gemm", weights, random(OUTPUTS), transB=trans, alpha=0.5, beta=2.0)
    )


def test_linear_layers_only(load):
    graph = Graph().node("MatMul", random(INPUTS, UNITS)).node("Identity")
    assert kinds(assert_as_onnx(load, graph.head())) == ["linear", "linear"]


def test_bias_of_one_number(load):
    assert_as_onnx(load, Graph().node("MatMul", random(INPUTS, 2)).node("Add", random(1)))


def test_last_state_leads_to_linear_layers(load):
    graph = Graph().recurrent("LSTM", outputs=["", "last"]).node("Squeeze", np.array([0]))
    assert_as_onnx(load, graph.head())


def test_zero_first_states(load):
    graph = Graph()
    graph.nodes.append(onnx.helper.make_node("Shape", ["X"], ["shape"]))
    graph.constants["picked"] = np.array([1, 1])
    value = onnx.numpy_helper.from_array(np.zeros(1, np.float32))
    graph.nodes += [
        onnx.helper.make_node("ConstantOfShape", ["three"], ["zeros"], value=value),
        onnx.helper.make_node("Concat", ["zeros", "zeros"], ["more"], axis=0),
        onnx.helper.make_node("Slice", ["more", "start", "end"], ["h0"]),
    ]
    graph.constants |= {"three": np.array([1, 1, UNITS]), "start": np.array([0])}
    graph.constants["end"] = np.array([1])
    zeros = np.zeros((1, 1, UNITS), np.float32)
    assert_as_onnx(load, graph.recurrent("LSTM", more=(None, "h0", zeros)))


@pytest.mark.parametrize(("kind", "more"), [("LSTM", 4), ("GRU", 2)])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_first_states_and_peepholes(load, kind, more, direction):
    states = [None, *(random(1, 1, UNITS) for _ in range(min(more, 3) - 1))]
    peepholes = [random(1, 3 * UNITS)] if more == 4 else []
    graph = Graph().recurrent(kind, more=(*states, *peepholes), direction=direction)
    model = assert_as_onnx(load, graph.squeezed())
    assert [*model.layers[0].initial] == ["h", "c"][: len(states) - 1]


def test_peepholes_of_zeros_are_none(load):
    more = (None, None, None, np.zeros((1, 3 * UNITS), np.float32))
    assert kinds(load(Graph().recurrent("LSTM", more=more))) == ["lstm"]


@pytest.mark.parametrize("merge", [[0, 0, -1], [0, 0, 2 * UNITS]])
def test_bidirectional_layers_in_a_row(load, merge):
    graph = Graph()
    for name, columns in (("a", INPUTS), ("b", 2 * UNITS)):
        graph.recurrent("LSTM", columns=columns, name=name, direction="bidirectional")
        graph.node("Transpose", perm=[0, 2, 1, 3]).node("Reshape", np.array(merge))
    model = load(graph.head(2 * UNITS))
    assert [(x.name, x.backward) for x in model.layers] == [
        ("a", False),
        ("a.reverse", True),
        ("b", False),
        ("b.reverse", True),
        ("fc", False),
    ]


def test_axes_around_two_directions(load):
    """An axis that comes and one that goes, before and after that of the directions."""
    graph = Graph().recurrent("GRU", direction="bidirectional")  # [steps, 2, 1, units]
    graph.node("Unsqueeze", np.array([0, 2])).node("Squeeze", np.array([0, 4]))
    graph.node("Squeeze", np.array([1])).node("Gather", np.array(-1), axis=0)
    graph.node("Reshape", np.array([1, -1])).head(2 * UNITS)
    assert kinds(load(graph)) == ["gru_before", "gru_before", "linear"]


def test_softmax_at_the_end_is_left_off(load):
    graph = Graph().recurrent("LSTM").squeezed().head()
    plain = load(graph.model())
    model = load(graph.node("LogSoftmax", axis=-1))
    assert kinds(model) == kinds(plain) == ["lstm", "linear"]
    np.testing.assert_array_equal(
        model.layers[1].paths[0].weights, plain.layers[1].paths[0].weights
    )


def test_labels(load):
    graph = Graph().recurrent("LSTM").squeezed().head()
    assert load(graph, labels=["a", "b", "c"]).labels == ("a", "b", "c")
    assert refused(load, graph, labels=["a"]).startswith("1 labels for the 3 outputs of ")


# What is refused


@pytest.mark.parametrize(
    ("attributes", "line"),
    [
        (
            {"direction": "sideways"},
            "direction is sideways; only forward, reverse, bidirectional are supported",
        ),
        ({"layout": 1}, "layout is 1; only nodes with 0 are supported"),
        ({"clip": 3.0}, "clip is 3; only nodes without it are supported"),
        (
            {"activations": ["Relu", "Tanh", "Tanh"]},
            "activations are Relu, Tanh, Tanh; only Sigmoid or HardSigmoid, Tanh, Tanh is supp",
        ),
    ],
)
def test_attributes(load, attributes, line):
    found = refused(load, Graph().recurrent("LSTM", **attributes))
    assert found.startswith(f"LSTM node 'rnn': {line}")


def test_default_activations_may_be_said(load):
    assert kinds(load(Graph().recurrent("GRU", activations=["Sigmoid", "Tanh"]))) == ["gru_before"]


@pytest.mark.parametrize(("place", "name"), [(1, "initial_h"), (2, "initial_c")])
def test_first_states_that_are_refused(load, place, name):
    more = [None, None, None]
    more[place] = np.linspace(0, 1, 2 * UNITS, dtype=np.float32).reshape(1, 2, UNITS)
    line = refused(load, Graph().recurrent("LSTM", more=more))
    assert line == (
        f"LSTM node 'rnn': {name} [1, 2, 7]; a network has one first state, [directions, 1, units]"
    )
    more[place] = random(1, 1, UNITS - 1)
    line = refused(load, Graph().recurrent("LSTM", more=more))
    assert line == f"LSTM node 'rnn': rnn initial {name[-1]}: shape (6,), expected [7]"
    graph = Graph()
    graph.extra = ["h0"]
    more[place] = "h0"
    line = refused(load, graph.recurrent("LSTM", more=more))
    rule = "it must be left out, or a constant of the file"
    assert line == f"LSTM node 'rnn': {name} is the graph's input 'h0'; {rule}"


def test_peepholes_that_are_refused(load):
    more = (None, None, None, random(1, 2 * UNITS))
    line = refused(load, Graph().recurrent("LSTM", more=more))
    assert line == "LSTM node 'rnn': P [14]: ONNX LSTM expects [21]"
    more = (None, None, None, random(2, 3 * UNITS))
    line = refused(load, Graph().recurrent("LSTM", more=more))
    assert line == "LSTM node 'rnn': P [2, 21]; its direction has [1, rows]"


def test_last_states_of_a_backward_layer(load):
    graph = Graph().recurrent("GRU", outputs=["", "last"], direction="reverse")
    assert refused(load, graph.node("Squeeze", np.array([0])).head()) == (
        "GRU node 'rnn': its output Y_h is used, which holds a backward direction's output at the "
        "first frame; use its output Y"
    )


def test_directions_on_an_axis_of_their_own(load):
    graph = Graph().recurrent("LSTM", direction="bidirectional")
    assert refused(load, graph.head()).startswith(
        "MatMul node 'fc': takes two directions on an axis of their own; only nodes behind a Tr"
    )
    graph = Graph((None, None, INPUTS)).recurrent("LSTM", direction="bidirectional")
    graph.node("Reshape", np.array([-1, 2 * UNITS]))
    assert refused(load, graph).startswith(
        "Reshape node 'v1': joins the features with another axis than that of the two directions; "
    )
    graph = Graph().recurrent("LSTM", direction="bidirectional")
    graph.node("Gather", np.array(-1), axis=1)
    assert refused(load, graph).startswith("Gather node 'v1': takes away the axis of a node's two")


def test_lengths(load):
    line = refused(load, Graph().recurrent("GRU", more=(np.array([4], np.int32),)))
    assert line.startswith("GRU node 'rnn': sequence_lens is 'c3'; only nodes without it")


@pytest.mark.parametrize(("kind", "title"), [("Elu", "Elu node 'v2'"), ("Conv", "Conv node 'v2'")])
def test_other_nodes(load, kind, title):
    line = refused(load, Graph().recurrent("LSTM").squeezed().node(kind))
    assert line.startswith(f"{title} is not supported; supported: LSTM, GRU, RNN, Gemm, MatMul, Ad")


def test_nodes_of_other_domains(load):
    line = refused(load, Graph().node("LSTM", domain="other", name="q"))
    assert line.startswith("other::LSTM node 'q' is not supported; supported: LSTM, ")


def test_softmax_in_the_middle(load):
    graph = Graph().recurrent("LSTM").squeezed().node("Softmax", name="soft").head()
    assert refused(load, graph).startswith("Softmax node 'soft' is not at the end; supported: ")


def test_sum_of_two_computed_values(load):
    line = refused(load, Graph().node("MatMul", random(INPUTS, INPUTS)).node("Add", "X", name="+"))
    assert line == (
        "Add node '+': takes 'v0' and 'X', both computed; "
        "only a single chain of layers can be imported"
    )


def test_sum_without_a_product(load):
    line = refused(load, Graph().recurrent("LSTM").node("Add", random(UNITS), name="+"))
    assert line.startswith("Add node '+': adds to what no MatMul made; supported: ")


def test_second_head(load):
    model = Graph().recurrent("LSTM").squeezed().head().model()
    make = onnx.helper.make_node
    model.graph.node.append(make("MatMul", ["v1", "c4"], ["other"], name="head"))
    model.graph.output.append(onnx.helper.make_tensor_value_info("other", 1, None))
    assert refused(load, model) == (
        "MatMul node 'head': leads to a second output 'other'; "
        "only a single chain of layers can be imported"
    )


def test_layers_after_a_last_step(load):
    graph = Graph().recurrent("LSTM", outputs=["", "last"])
    line = refused(load, graph.recurrent("LSTM", columns=UNITS, name="second"))
    assert line.startswith("LSTM node 'second': takes a last step only; only linear layers can ")
    line = refused(load, Graph().recurrent("LSTM", outputs=["", "", "cell"]))
    assert line == "LSTM node 'rnn': its output Y_c is used; use its output Y"


@pytest.mark.parametrize(
    ("kind", "inputs", "attributes", "what"),
    [
        ("Transpose", (), {"perm": [0, 1, 3, 2]}, "[0, 1, 3, 2]"),
        ("Squeeze", (np.array([3]),), {}, "[3]"),
        ("Unsqueeze", (np.array([-1]),), {}, "[-1]"),
        ("Unsqueeze", (np.array([4]),), {}, "[4]"),
        ("Reshape", (np.array([-1, 1]),), {}, "[-1, 1]"),
    ],
)
def test_nodes_that_move_the_features(load, kind, inputs, attributes, what):
    line = refused(load, Graph().recurrent("LSTM").node(kind, *inputs, name="m", **attributes))
    assert line == (
        f"{kind} node 'm': {what} moves the last axis, which holds the features; only nodes that "
        "leave it in place are supported"
    )


@pytest.mark.parametrize(("index", "axis"), [(0, 0), (-1, 2), (-1, -1)])
def test_gather_of_other_things(load, index, axis):
    graph = (
        Graph().recurrent("LSTM").squeezed().node("Gather", np.array(index), axis=axis, name="g")
    )
    line = refused(load, graph)
    assert line.startswith(f"Gather node 'g': gathers {index} of axis {axis}; only the last step")


def test_weights_that_are_no_constants(load):
    graph = Graph()
    graph.extra = ["W"]
    line = refused(load, graph.node("MatMul", "W", name="fc"))
    assert line.startswith("MatMul node 'fc': takes 'X' and 'W', both computed;")
    graph = Graph()
    graph.extra = ["W"]
    line = refused(load, graph.node("Gemm", "W", name="fc"))
    assert line == (
        "Gemm node 'fc': its second input is the graph's input 'W'; "
        "it must be a constant of the file"
    )


def test_wrong_shapes(load):
    graph = Graph().node("LSTM", random(1, 28, 5), random(1, 28, 6), name="rnn")
    line = refused(load, graph)
    assert line == "LSTM node 'rnn': R [28, 6]: ONNX LSTM expects [28, 7]"
    graph = Graph().node("GRU", random(2, 21, 5), random(2, 21, 7), name="rnn")
    line = refused(load, graph)
    assert line == "GRU node 'rnn': W [2, 21, 5]; its direction has [1, rows, columns]"
    graph = Graph().node("MatMul", random(2, 3, 5), name="fc")
    line = refused(load, graph)
    assert line == "MatMul node 'fc': weights [2, 3, 5]; a linear layer has two axes"
    graph = Graph().node("MatMul", random(INPUTS, 3)).node("Add", random(4), name="+")
    assert refused(load, graph) == "Add node '+': bias [4]; expected [3] or [1]"


def test_missing_recurrent_weights(load):
    line = refused(load, Graph().node("LSTM", random(1, 28, 5), name="rnn"))
    assert line.startswith(
        "LSTM node 'rnn': R is missing; ONNX LSTM has it, shape [4*units, units]"
    )


def test_layers_that_do_not_fit(load):
    graph = Graph((None, 1, 4)).recurrent("LSTM", columns=4).squeezed().head(columns=8)
    line = refused(load, graph)
    assert line == "fc takes 8 values, but rnn before it puts out 7"


def test_a_graph_without_layers(load):
    assert refused(load, Graph().node("Identity")).startswith("the graph's output 'v0' comes from")


def test_order_is_not_for_graphs(load):
    line = refused(load, Graph().recurrent("LSTM"), order=["rnn"])
    assert line == "order: a graph tells it; leave --order out"


def test_candidate_scale_is_not_for_its_cells(load):
    options = ImportOptions(candidate_scale=(0.8,))
    line = refused(load, Graph().recurrent("LSTM"), options=options)
    assert line.startswith("candidate scale 0.8: rnn is of kind lstm, whose candidate is tanh(g)")


# Files


@pytest.mark.parametrize("content", [b"\x08", b"garbage, no graph at all"])
def test_damaged_file(tmp_path, content):
    file = tmp_path / "net.onnx"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"net\.onnx: not a whole ONNX file \(") as caught:
        import_checkpoint(file)
    assert "\n" not in str(caught.value)


def test_truncated_file(tmp_path):
    data = (FOLDER / "onnx" / "lstm_forward.onnx").read_bytes()
    (tmp_path / "net.onnx").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="not a whole ONNX file"):
        import_checkpoint(tmp_path / "net.onnx")


def test_no_file(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        import_checkpoint(tmp_path / "net.onnx")


def test_without_onnx(tmp_path, monkeypatch):
    (tmp_path / "net.onnx").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match=r"needs onnx: `pip install 'deltaloom\[onnx\]'`"):
        import_checkpoint(tmp_path / "net.onnx")
