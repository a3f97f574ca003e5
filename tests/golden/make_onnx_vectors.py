# SPDX-License-Identifier: Apache-2.0
"""Makes onnx_vectors.npz and onnx/{case}.onnx: graphs with LSTM and GRU nodes and what they give.

Keys "case:name", one sequence a case, all float32 (onnxruntime has no float64 kernels for these):

    x          [steps, inputs]
    y          [steps, outputs] of case stack; elsewhere [steps, directions, units], the node's Y
    y_h, y_c   [directions, units], the last states; y_c only with LSTM, neither in case stack

The weights are in the .onnx files alone (D = directions, G = 4 or 3 gates): W [D, G * units,
inputs], R [D, G * units, units], B [D, 2 * G * units], W's biases first; gates of LSTM i, o, f, c
and of GRU z, r, h; peepholes P [D, 3 * units], i, o, f. In graphs, X is [steps, 1, inputs].

Cases: lstm_forward, lstm_reverse, lstm_bidirectional (with initial_h and initial_c as
initializers), gru_lbr{0,1}_forward, gru_lbr{0,1}_reverse, gru_lbr{0,1}_bidirectional (with
initial_h) for linear_before_reset 0 and 1, lstm_no_bias (B left out), and stack: what exporters
write for a two-layer LSTM, bidirectional in its first layer, and a linear layer:
LSTM -> Transpose -> Reshape -> LSTM -> Squeeze -> MatMul -> Add; peepholes: a bidirectional LSTM
with P, initial_h and initial_c.

Run with onnx and onnxruntime installed: python tests/golden/make_onnx_vectors.py
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from vector_files import save_cases

FILE = Path(__file__).with_name("onnx_vectors.npz")
FOLDER = Path(__file__).with_name("onnx")
INPUTS, UNITS, OUTPUTS, STEPS = 5, 7, 3, 17
OPSET, IR_VERSION = 17, 8
GATES = {"LSTM": 4, "GRU": 3}
CASES = {
    "lstm_forward": ("LSTM", {"direction": "forward"}),
    "lstm_reverse": ("LSTM", {"direction": "reverse"}),
    "lstm_bidirectional": ("LSTM", {"direction": "bidirectional"}),
    "lstm_no_bias": ("LSTM", {"direction": "forward"}),
} | {
    f"gru_lbr{lbr}_{direction}": ("GRU", {"direction": direction, "linear_before_reset": lbr})
    for lbr in (0, 1)
    for direction in ("forward", "reverse", "bidirectional")
}
CASES["peepholes"] = ("LSTM", {"direction": "bidirectional"})


class Graph:
    """Nodes and initializers as they are added."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, array: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def random(self, name: str, *shape: int) -> str:
        return self.constant(name, self.rng.uniform(-1, 1, shape).astype(np.float32))

    def node(self, kind: str, inputs: list[str], outputs: list[str], **attributes: object) -> None:
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))

    def recurrent(
        self,
        kind: str,
        source: str,
        inputs: int,
        outputs: list[str],
        *,
        tag: str = "",
        bias: bool = True,
        initial: bool = False,
        peepholes: bool = False,
        **attributes: object,
    ) -> None:
        """An LSTM or GRU node with random weights; inputs X, W, R, B, lengths, h, c."""
        dirs = 2 if attributes["direction"] == "bidirectional" else 1
        rows = GATES[kind] * UNITS
        states = ["initial_h", "initial_c"][: 2 if kind == "LSTM" else 1]
        names = [
            source,
            self.random(f"W{tag}", dirs, rows, inputs),
            self.random(f"R{tag}", dirs, rows, UNITS),
            self.random(f"B{tag}", dirs, 2 * rows) if bias else "",
            "",
            *(self.random(state, dirs, 1, UNITS) if initial else "" for state in states),
            self.random("P", dirs, 3 * UNITS) if peepholes else "",
        ]
        while not names[-1]:
            names.pop()
        self.node(kind, names, outputs, hidden_size=UNITS, **attributes)

    def save(self, name: str, outputs: dict[str, int]) -> onnx.ModelProto:
        """Write the graph; `outputs` and how many axes each has."""
        x = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["steps", 1, INPUTS])
        ys = [
            helper.make_tensor_value_info(y, TensorProto.FLOAT, [None] * axes)
            for y, axes in outputs.items()
        ]
        graph = helper.make_graph(self.nodes, name, [x], ys, self.initializers)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        FOLDER.mkdir(exist_ok=True)
        onnx.save(model, FOLDER / f"{name}.onnx")
        return model


def evaluate(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    """Outputs by onnxruntime; onnx's own reference must agree where it has the operator."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    outputs = session.run(None, {"X": x[:, None]})
    reference = ReferenceEvaluator(model).run(None, {"X": x[:, None]})
    for ours, theirs in zip(reference, outputs, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)
    return outputs


def run(case: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One case of a single node."""
    kind, attributes = CASES[case]
    graph = Graph(rng)
    outputs = {"Y": 4, "Y_h": 3} | ({"Y_c": 3} if kind == "LSTM" else {})
    initial = attributes["direction"] == "bidirectional"
    options = {"bias": case != "lstm_no_bias", "peepholes": case == "peepholes"}
    graph.recurrent(kind, "X", INPUTS, list(outputs), initial=initial, **options, **attributes)
    x = rng.normal(size=(STEPS, INPUTS)).astype(np.float32)
    y, *states = evaluate(graph.save(case, outputs), x)
    named = dict(zip(("y_h", "y_c"), (state[:, 0] for state in states), strict=False))
    return {"x": x, "y": y[:, :, 0]} | named


def run_stack(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Case stack."""
    graph = Graph(rng)
    graph.recurrent("LSTM", "X", INPUTS, ["a"], tag="0", direction="bidirectional")
    graph.node("Transpose", ["a"], ["b"], perm=[0, 2, 1, 3])
    graph.node("Reshape", ["b", graph.constant("shape", np.array([0, 0, -1]))], ["c"])
    graph.recurrent("LSTM", "c", 2 * UNITS, ["d"], tag="1", direction="forward")
    graph.node("Squeeze", ["d", graph.constant("axes", np.array([1]))], ["e"])
    graph.node("MatMul", ["e", graph.random("fc.weight", UNITS, OUTPUTS)], ["f"])
    graph.node("Add", [graph.random("fc.bias", OUTPUTS), "f"], ["Y"])
    x = rng.normal(size=(STEPS, INPUTS)).astype(np.float32)
    (y,) = evaluate(graph.save("stack", {"Y": 3}), x)
    return {"x": x, "y": y[:, 0]}


def main() -> None:
    """All cases."""
    rng = np.random.default_rng(20240612)
    cases = {case: run(case, rng) for case in CASES if case != "peepholes"}
    cases["stack"] = run_stack(rng)
    save_cases(FILE, cases | {"peepholes": run("peepholes", rng)})


if __name__ == "__main__":
    main()
