# SPDX-License-Identifier: Apache-2.0
"""ONNX graphs: their constants, and the nodes that become layers."""

import importlib
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import UserError
from ...models.float_model import FloatLayer, FloatPath, Floats
from ..tensors.directions import Stage
from ..tensors.layers import build_layer, by_name, float32, shown
from ..tensors.layouts import ONNX_LAYOUTS

NODES = (
    "supported: LSTM, GRU, Gemm, MatMul, Add of a bias, and between them Squeeze, Unsqueeze, "
    "Transpose, Reshape, Identity, Dropout, Cast; Softmax or LogSoftmax at the end"
)
"""What a graph may hold, for errors."""
FOLDED = ("Identity", "Cast", "Transpose", "Squeeze", "Unsqueeze", "Reshape", "Concat", "Slice")

_ACTIVATIONS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}
_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
_AXES = {"W": 3, "R": 3, "B": 2, "P": 2}
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
"""By attribute, which of a node's directions run backward."""


class Graph:
    """A graph's nodes by what they make, and its constants, computed ones too."""

    def __init__(self, onnx: Any, model: Any) -> None:
        self.onnx = onnx
        self.opsets = {entry.domain: entry.version for entry in model.opset_import}
        kinds = onnx.TensorProto
        self.floats = (kinds.FLOAT, kinds.FLOAT16, kinds.BFLOAT16, kinds.DOUBLE)
        graph = model.graph
        self.constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
        self.inputs = {
            value.name: [d.dim_value or None for d in value.type.tensor_type.shape.dim]
            for value in graph.input
            if value.name not in self.constants
        }
        self.outputs = [value.name for value in graph.output]
        self.makers: dict[str, tuple[Any, int]] = {}
        for node in graph.node:
            for k, name in enumerate(node.output):
                if name:
                    self.makers[name] = (node, k)
            self._fold(node)

    def _fold(self, node: Any) -> None:
        """Keep the value of a node of constants, as exporters leave some of them."""
        if node.op_type == "Constant":
            attribute = node.attribute[0]
            value = self.onnx.helper.get_attribute_value(attribute)
            if attribute.name == "value":
                value = self.onnx.numpy_helper.to_array(value)
            self.constants[node.output[0]] = np.asarray(value)
        elif node.op_type in FOLDED and all(n in self.constants or not n for n in node.input):
            evaluator = importlib.import_module("onnx.reference").ReferenceEvaluator
            feeds = {name: self.constants[name] for name in node.input if name}
            (value,) = evaluator(node, opsets=self.opsets).run(None, feeds)
            self.constants[node.output[0]] = np.asarray(value)

    def attributes(self, node: Any) -> dict[str, Any]:
        found = {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}
        return {
            name: value.decode() if isinstance(value, bytes) else value
            for name, value in found.items()
        }

    def is_zero(self, name: str) -> bool:
        """Whether a value is all zeros, whatever its shape."""
        if name in self.constants:
            return not self.constants[name].any()
        node, _ = self.makers.get(name, (None, 0))
        if node is None:
            return False
        if node.op_type == "ConstantOfShape":
            value = self.attributes(node).get("value")
            return value is None or not self.onnx.numpy_helper.to_array(value).any()
        if node.op_type == "Concat":
            return all(self.is_zero(part) for part in node.input)
        if node.op_type in (*FOLDED, "Expand", "Tile", "Gather"):
            return self.is_zero(node.input[0])
        return False

    def origin(self, name: str) -> str:
        """What makes a value, in words."""
        if name in self.inputs:
            return f"is the graph's input {name!r}"
        node, _ = self.makers.get(name, (None, 0))
        return f"is {name!r}, made by {node_title(node)}" if node is not None else f"is {name!r}"

    def constant(self, node: Any, place: int, what: str) -> np.ndarray:
        name = node.input[place]
        if name not in self.constants:
            raise UserError(
                f"{node_title(node)}: {what} {self.origin(name)}; it must be a constant of the file"
            )
        value: np.ndarray = self.constants[name]
        return value


def node_title(node: Any) -> str:
    kind = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    return f"{kind} node {node.name or node.output[0]!r}"


def recurrent(graph: Graph, node: Any, name: str) -> Stage:
    """An LSTM or GRU node's layer, or two; the second one of a bidirectional node is backward."""
    what, given = node_title(node), graph.attributes(node)
    directions = _DIRECTIONS.get(given.get("direction", "forward"), ())
    if not directions:
        raise UserError(
            f"{what}: direction is {given['direction']}; only {', '.join(_DIRECTIONS)} are "
            "supported"
        )
    for key, neutral in (("layout", 0), ("input_forget", 0), ("clip", None)):
        if given.get(key, neutral) != neutral:
            rule = "without it" if neutral is None else f"with {neutral}"
            raise UserError(f"{what}: {key} is {given[key]:g}; only nodes {rule} are supported")
    activations = [a.decode() if isinstance(a, bytes) else a for a in given.get("activations", [])]
    default = _ACTIVATIONS[node.op_type] * len(directions)
    if activations and [a.lower() for a in activations] != [a.lower() for a in default]:
        raise UserError(
            f"{what}: activations are {', '.join(activations)}; only "
            f"{', '.join(default)} is supported"
        )
    inputs = {key: n for key, n in zip(_INPUTS, node.input, strict=False) if n}
    if "sequence_lens" in inputs:
        raise UserError(
            f"{what}: sequence_lens {graph.origin(inputs['sequence_lens'])}; only nodes without "
            "it are supported"
        )
    peepholes = "P" in inputs and not graph.is_zero(inputs["P"])
    kind = "LSTM with peepholes" if peepholes else node.op_type
    if kind == "GRU":
        kind = "GRU after" if given.get("linear_before_reset", 0) else "GRU before"
    tensors = {}
    for key in ("W", "R", "B", *(["P"] if peepholes else [])):
        if key in inputs:
            array = graph.constant(node, _INPUTS.index(key), key)
            if array.ndim != _AXES[key] or len(array) != len(directions):
                rule = ", ".join((str(len(directions)), "rows", "columns")[: _AXES[key]])
                raise UserError(f"{what}: {shown(key, array)}; its direction has [{rule}]")
            tensors[key] = array
    states = {key[-1]: _initial(graph, node, key) for key in ("initial_h", "initial_c")}
    try:
        return Stage(
            tuple(
                (
                    replace(
                        build_layer(
                            ONNX_LAYOUTS[kind],
                            by_name({key: array[d] for key, array in tensors.items()}),
                            name if d == 0 else f"{name}.reverse",
                        ),
                        backward=backward,
                        initial={k: s[d] for k, s in states.items() if s is not None},
                    ),
                )
                for d, backward in enumerate(directions)
            )
        )
    except UserError as error:
        raise UserError(f"{what}: {error}") from error


def _initial(graph: Graph, node: Any, key: str) -> Floats | None:
    """A first state [directions, units], None where it is zero."""
    place, what = _INPUTS.index(key), node_title(node)
    name = node.input[place] if place < len(node.input) else ""
    if not name or graph.is_zero(name):
        return None
    if name not in graph.constants:
        raise UserError(
            f"{what}: {key} {graph.origin(name)}; it must be left out, or a constant of the file"
        )
    array = graph.constants[name]
    if array.ndim != 3 or not array.shape[1] or (array != array[:, :1]).any():
        raise UserError(
            f"{what}: {shown(key, array)}; a network has one first state, [directions, 1, units]"
        )
    return float32(f"{what}: {shown(key, array)}", array[:, 0])


def linear(graph: Graph, node: Any, name: str) -> FloatLayer:
    what, given = node_title(node), graph.attributes(node)
    weights = graph.constant(node, 1, "its second input")
    if weights.ndim != 2 or 0 in weights.shape:
        raise UserError(f"{what}: {shown('weights', weights)}; a linear layer has two axes")
    weights = float32(f"{what}: {shown('weights', weights)}", weights)
    if not given.get("transB", 0):
        weights = np.ascontiguousarray(weights.T)
    bias = np.zeros(len(weights), np.float32)
    if node.op_type == "Gemm":
        if given.get("transA", 0):
            raise UserError(f"{what}: transA is {given['transA']}; only 0 is supported")
        weights = weights * np.float32(given.get("alpha", 1.0))
        if len(node.input) > 2 and node.input[2]:
            c = graph.constant(node, 2, "its bias")
            bias = _bias(what, c, len(weights)) * np.float32(given.get("beta", 1.0))
    path = FloatPath(source="x", gates=("y",), weights=weights[None])
    return FloatLayer(name=name, kind="linear", paths=(path,), bias=bias[None])


def with_bias(graph: Graph, node: Any, layer: FloatLayer, data: str) -> FloatLayer:
    place = 1 - list(node.input).index(data)
    bias = graph.constant(node, place, "its other input")
    return replace(layer, bias=_bias(node_title(node), bias, layer.units)[None])


def _bias(what: str, array: np.ndarray, units: int) -> np.ndarray:
    if array.size not in (1, units) or (array.ndim and array.shape[-1] != array.size):
        raise UserError(f"{what}: {shown('bias', array)}; expected [{units}] or [1]")
    return np.broadcast_to(float32(f"{what}: {shown('bias', array)}", array.ravel()), units).copy()
