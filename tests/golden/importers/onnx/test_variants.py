# SPDX-License-Identifier: Apache-2.0
"""Cells and activations that a graph's attributes tell: equal to onnxruntime, or refused by name.

Where onnxruntime is not installed, onnx's own evaluator is the oracle, as far as it has them.
"""

import numpy as np
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.importers.onnx.check import _runtime
from deltaloom.golden.models.float_model import run_float

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx.reference")
INPUTS, UNITS, STEPS = 5, 4, 12
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
RNG = np.random.default_rng(11)
HARD = {"activation_alpha": [0.2], "activation_beta": [0.5]}


def random(*shape):
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def model_of(*nodes, opset=17):
    """Nodes (kind, constants, attributes) one after the other, from x [T, 1, INPUTS]."""
    made, constants, last = [], [], "x"
    for n, (kind, arrays, attributes) in enumerate(nodes):
        names = []
        for array in arrays:
            names.append("" if array is None else f"c{len(constants)}")
            if array is not None:
                constants.append(onnx.numpy_helper.from_array(array, names[-1]))
        node = onnx.helper.make_node(kind, [last, *names], [f"v{n}"], name=f"n{n}", **attributes)
        made.append(node)
        last = f"v{n}"
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        made,
        "g",
        [value("x", onnx.TensorProto.FLOAT, ("T", 1, INPUTS))],
        [value(last, onnx.TensorProto.FLOAT, None)],
        constants,
    )
    opsets = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


def recurrent(kind, directions=1, peepholes=False, **attributes):
    rows = GATES[kind] * UNITS
    given = [random(directions, rows, INPUTS), random(directions, rows, UNITS)]
    given.append(random(directions, 2 * rows))
    if peepholes:
        given += [None, None, None, random(directions, 3 * UNITS)]
    if directions == 2:
        attributes["direction"] = "bidirectional"
    return kind, given, {"hidden_size": UNITS, **attributes}


def dense(units=3, inputs=INPUTS):
    return ("MatMul", [random(inputs, units)], {}), ("Add", [random(units)], {})


@pytest.fixture
def load(tmp_path):
    def run(*nodes):
        onnx.save(model_of(*nodes), tmp_path / "net.onnx")
        return import_checkpoint(tmp_path / "net.onnx")

    return run


def assert_gives(load, *nodes, kinds):
    """The model has these kinds, and gives what the runtime gives within 1e-6."""
    model = load(*nodes)
    assert [layer.kind for layer in model.layers] == kinds
    x = RNG.normal(size=(STEPS, 1, INPUTS)).astype(np.float32) * 2
    name, run = _runtime()
    try:
        (expected,) = run(model_of(*nodes), {"x": x}, [f"v{len(nodes) - 1}"])
    except Exception:
        pytest.skip(f"{name} cannot run it")
    y, _ = run_float(model, x[:, 0])
    np.testing.assert_allclose(y, expected.reshape(STEPS, -1), rtol=1e-6, atol=1e-6)


def refused(load, *nodes):
    with pytest.raises(UserError) as caught:
        load(*nodes)
    line = str(caught.value)
    assert "\n" not in line
    return line.partition("net.onnx: ")[2]


# Recurrent nodes


@pytest.mark.parametrize(
    ("kind", "attributes", "cells"),
    [
        ("RNN", {}, ["rnn_tanh"]),
        ("RNN", {"activations": ["Tanh"], "direction": "reverse"}, ["rnn_tanh"]),
        ("RNN", {"activations": ["Relu"]}, ["rnn_relu"]),
        ("RNN", {"activations": ["Tanh", "Relu"], "directions": 2}, ["rnn_tanh", "rnn_relu"]),
        ("LSTM", {"activations": ["HardSigmoid", "Tanh", "Tanh"]}, ["lstm_hard"]),
        ("LSTM", {"activations": ["HardSigmoid", "Tanh", "Tanh"], **HARD}, ["lstm_hard"]),
        (
            "LSTM",
            {
                "activations": ["Sigmoid", "Tanh", "Tanh", "HardSigmoid", "Tanh", "Tanh"],
                "activation_alpha": [1 / 6],
                "activation_beta": [0.4],
                "directions": 2,
            },
            ["lstm", "lstm_hard"],
        ),
        (
            "GRU",
            {"activations": ["HardSigmoid", "Tanh"], "linear_before_reset": 1, **HARD},
            ["gru_hard"],
        ),
        ("LSTM", {"input_forget": 1}, ["lstm_cifg"]),
    ],
)
def test_cells(load, kind, attributes, cells):
    squeeze = ("Squeeze", [np.array([1])], {})
    if "directions" in attributes:
        squeeze = ("Squeeze", [np.array([2])], {})
    assert_gives(load, recurrent(kind, **attributes), squeeze, kinds=cells)


@pytest.mark.parametrize(
    ("kind", "attributes", "line"),
    [
        (
            "LSTM",
            {"activations": ["Sigmoid", "Relu", "Tanh"]},
            "activations are Sigmoid, Relu, Tanh; only Sigmoid or HardSigmoid, Tanh, Tanh is supp",
        ),
        ("RNN", {"activations": ["Elu"]}, "activations are Elu; only Tanh or Relu is supported"),
        (
            "GRU",
            {"activations": ["HardSigmoid", "Tanh"]},
            "n0: hard sigmoids in gru_before are not supported, only in lstm, gru; train it with",
        ),
        (
            "LSTM",
            {"activations": ["HardSigmoid", "Tanh", "Tanh"], "peepholes": True},
            "n0: hard sigmoids in lstm_peephole are not supported",
        ),
        (
            "LSTM",
            {"activations": ["HardSigmoid", "Tanh", "Tanh"], "activation_alpha": [0.2, 0.2]},
            "activation_alpha has 2 values for 1 HardSigmoid; give one for each",
        ),
        ("LSTM", {"input_forget": 1, "peepholes": True}, "input_forget is 1; only 0, or 1 of an "),
        ("RNN", {"clip": 2.0}, "clip is 2; only nodes without it are supported"),
    ],
)
def test_cells_that_are_refused(load, kind, attributes, line):
    assert refused(load, recurrent(kind, **attributes)).startswith(f"{kind} node 'n0': {line}")


# Linear layers


@pytest.mark.parametrize(
    ("kind", "attributes", "cell"),
    [
        ("Relu", {}, "linear_relu"),
        ("Sigmoid", {}, "linear_sigmoid"),
        ("Tanh", {}, "linear_tanh"),
        ("HardSigmoid", {}, "linear_hard_sigmoid"),
        ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, "linear_hard_sigmoid"),
        ("HardSigmoid", {"alpha": 0.3, "beta": 0.6}, "linear_hard_sigmoid"),
    ],
)
def test_linear_layers(load, kind, attributes, cell):
    nodes = (*dense(), (kind, [], attributes), *dense(2, 3))
    assert_gives(load, *nodes, kinds=[cell, "linear"])


def test_scales_on_both_sides_of_an_activation(load):
    """What is in front of it goes into its layer, what is behind it into the next."""
    scale, shift = ("Mul", [random(3) + 2], {}), ("Sub", [random(3)], {})
    nodes = (*dense(), scale, shift, ("Relu", [], {}), scale, shift, *dense(2, 3))
    assert_gives(load, *nodes, kinds=["linear_relu", "linear"])


@pytest.mark.parametrize("before", [(), (recurrent("LSTM"),), (*dense(), ("Tanh", [], {}))])
def test_activations_of_no_linear_layer(load, before):
    line = refused(load, *before, ("Relu", [], {}), *dense(2, UNITS))
    which = "a layer" if before else "no layer"
    assert f"Relu node 'n{len(before)}': follows {which} that takes no activation" in line
