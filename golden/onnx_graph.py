# SPDX-License-Identifier: Apache-2.0
"""ONNX files in: follows the graph from its first output back to its input, and reads the layers.

Layers are LSTM, GRU, Gemm, and MatMul with or without an Add of a bias. Between them nodes may
move axes, but not the last one, which holds the features.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from . import storage
from .errors import UserError
from .model import FloatLayer, FloatPath
from .tensor_files import first_line
from .tensor_layers import build, by_name, float32, shown
from .tensor_layouts import ONNX_LAYOUTS

SUFFIX = ".onnx"
NODES = (
    "supported: LSTM, GRU, Gemm, MatMul, Add of a bias, and between them Squeeze, Unsqueeze, "
    "Transpose, Reshape, Identity, Dropout, Cast; Softmax or LogSoftmax at the end"
)

_ACTIVATIONS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}
_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
_SAME = ("Identity", "Dropout", "Cast")
_FOLDED = ("Identity", "Cast", "Transpose", "Squeeze", "Unsqueeze", "Reshape", "Concat", "Slice")
_LAYERS = ("LSTM", "GRU", "Gemm", "MatMul", "Add", "Softmax", "LogSoftmax", "Gather")
_KNOWN = (*_LAYERS, "Squeeze", "Unsqueeze", "Transpose", "Reshape", *_SAME)
_WEIGHTED = ("LSTM", "GRU", "RNN", "Gemm", "MatMul", "Conv", "ConvTranspose", "MatMulInteger")


def read_layers(file: Path) -> tuple[FloatLayer, ...]:
    """The layers of the graph in `file`. Raises UserError naming the node that is not supported."""
    storage.check_file(file)
    try:
        onnx = importlib.import_module("onnx")
    except ImportError as error:
        raise UserError(
            f"{file}: reading it needs onnx: `pip install 'deltaloom[onnx]'`"
        ) from error
    try:
        model = onnx.load(str(file))
        graph = _Graph(onnx, model)
    except Exception as error:  # protobuf's and onnx's own errors have no common base
        raise UserError(
            f"{file}: not a whole ONNX file ({first_line(error)}); export it anew"
        ) from error
    try:
        return _read(graph)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error


class _Graph:
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
        elif node.op_type in _FOLDED and all(n in self.constants or not n for n in node.input):
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
        if node.op_type in (*_FOLDED, "Expand", "Tile", "Gather"):
            return self.is_zero(node.input[0])
        return False

    def origin(self, name: str) -> str:
        """What makes a value, in words."""
        if name in self.inputs:
            return f"is the graph's input {name!r}"
        node, _ = self.makers.get(name, (None, 0))
        return f"is {name!r}, made by {_title(node)}" if node is not None else f"is {name!r}"

    def constant(self, node: Any, place: int, what: str) -> np.ndarray:
        name = node.input[place]
        if name not in self.constants:
            raise UserError(
                f"{_title(node)}: {what} {self.origin(name)}; it must be a constant of the file"
            )
        value: np.ndarray = self.constants[name]
        return value


@dataclass
class _Link:
    """A node on the way from input to output, and which output of it leads on."""

    node: Any
    output: int
    data: str


def _title(node: Any) -> str:
    kind = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    return f"{kind} node {node.name or node.output[0]!r}"


def _read(graph: _Graph) -> tuple[FloatLayer, ...]:
    links = list(_links(graph))[::-1]
    _check_other_outputs(graph, [link.node for link in links])
    layers: list[FloatLayer] = []
    taken: set[str] = set()
    rank: int | None = len(graph.inputs[links[0].data]) or None if links else None
    biased, last_step = True, False
    for k, link in enumerate(links):
        node, kind = link.node, link.node.op_type
        if kind in ("LSTM", "GRU"):
            if last_step:
                raise UserError(f"{_title(node)}: takes a last step only; {_EVERY_STEP}")
            layers.append(_recurrent(graph, node, _name(node, taken)))
            rank, biased, last_step = (4 if link.output == 0 else 3), True, link.output == 1
            if link.output == 2:
                raise UserError(f"{_title(node)}: its output Y_c is used; use its output Y")
        elif kind in ("Gemm", "MatMul"):
            layers.append(_linear(graph, node, _name(node, taken)))
            biased = kind == "Gemm" and len(node.input) > 2
        elif kind == "Add":
            if biased or not layers:
                raise UserError(f"{_title(node)}: adds to what no MatMul made; {NODES}")
            layers[-1] = _with_bias(graph, node, layers[-1], link.data)
            biased = True
        elif kind in ("Softmax", "LogSoftmax"):
            if k < len(links) - 1:
                raise UserError(f"{_title(node)} is not at the end; {NODES}")
        elif kind == "Gather":
            if not last_step:
                _check_gather(graph, node, rank)
            last_step, rank = True, rank - 1 if rank else None
        else:
            width = layers[-1].units if layers else None
            rank = _check_axes(graph, node, rank, width)
    if not layers:
        raise UserError(f"the graph's output {graph.outputs[0]!r} comes from no layer; {NODES}")
    return tuple(layers)


_EVERY_STEP = "only linear layers can follow a last step, as deltaloom gives every step"


def _links(graph: _Graph) -> Iterator[_Link]:
    """Nodes from the first output back to the input, each by its one input that is computed."""
    if not graph.outputs:
        raise UserError("the graph has no output; export it anew")
    name = graph.outputs[0]
    while name not in graph.inputs:
        if name not in graph.makers:
            raise UserError(f"{name!r} is made by no node of the graph; export it anew")
        node, output = graph.makers[name]
        if node.domain not in ("", "ai.onnx") or node.op_type not in _KNOWN:
            raise UserError(f"{_title(node)} is not supported; {NODES}")
        data = [n for n in node.input if n and n not in graph.constants]
        if node.op_type in ("Add", "MatMul") and len(data) > 1:
            raise UserError(
                f"{_title(node)}: takes {data[0]!r} and {data[1]!r}, both computed; "
                "only a single chain of layers can be imported"
            )
        if node.op_type != "Add" and node.input[0] in graph.constants:
            raise UserError(
                f"{_title(node)}: its first input is a constant; only its others can be"
            )
        if not data:
            raise UserError(f"{_title(node)}: nothing in front of it depends on the graph's input")
        name = data[0] if node.op_type == "Add" else node.input[0]
        yield _Link(node, output, name)


def _check_other_outputs(graph: _Graph, chain: list[Any]) -> None:
    """States that exporters put out besides are left out; another head is refused."""
    on_chain = {node.output[0] for node in chain}
    for output in graph.outputs[1:]:
        names, seen = [output], set()
        while names:
            name = names.pop()
            node, _ = graph.makers.get(name, (None, 0))
            if node is None or name in seen:
                continue
            seen.add(name)
            if node.op_type in _WEIGHTED and node.output[0] not in on_chain:
                raise UserError(
                    f"{_title(node)}: leads to a second output {output!r}; "
                    "only a single chain of layers can be imported"
                )
            names += node.input


def _name(node: Any, taken: set[str]) -> str:
    name: str = (node.name or node.op_type.lower()).strip("/").replace("/", ".")
    candidate, n = name, 2
    while candidate in taken:
        candidate, n = f"{name}_{n}", n + 1
    taken.add(candidate)
    return candidate


def _recurrent(graph: _Graph, node: Any, name: str) -> FloatLayer:
    what, given = _title(node), graph.attributes(node)
    direction = given.get("direction", "forward")
    if direction != "forward":
        raise UserError(f"{what}: direction is {direction}; only forward is supported")
    for key, neutral in (("layout", 0), ("input_forget", 0), ("clip", None)):
        if given.get(key, neutral) != neutral:
            rule = "without it" if neutral is None else f"with {neutral}"
            raise UserError(f"{what}: {key} is {given[key]:g}; only nodes {rule} are supported")
    activations = [a.decode() if isinstance(a, bytes) else a for a in given.get("activations", [])]
    default = _ACTIVATIONS[node.op_type]
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
    for key in ("initial_h", "initial_c"):
        if key in inputs and not graph.is_zero(inputs[key]):
            raise UserError(
                f"{what}: {key} {graph.origin(inputs[key])}; a network starts from zero, so it "
                "must be left out or all zeros"
            )
    if "P" in inputs and not graph.is_zero(inputs["P"]):
        raise UserError(f"{what}: it has peepholes (input P); only nodes without are supported")
    kind = node.op_type
    if kind == "GRU":
        kind = "GRU after" if given.get("linear_before_reset", 0) else "GRU before"
    tensors = {}
    for place, key in enumerate(_INPUTS[1:4], 1):
        if key in inputs:
            array = graph.constant(node, place, key)
            if array.ndim != (2 if key == "B" else 3) or len(array) != 1:
                rule = "[1, rows]" if key == "B" else "[1, rows, columns]"
                raise UserError(f"{what}: {shown(key, array)}; one direction has {rule}")
            tensors[key] = array[0]
    try:
        return build(ONNX_LAYOUTS[kind], by_name(tensors), name)
    except UserError as error:
        raise UserError(f"{what}: {error}") from error


def _linear(graph: _Graph, node: Any, name: str) -> FloatLayer:
    what, given = _title(node), graph.attributes(node)
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


def _with_bias(graph: _Graph, node: Any, layer: FloatLayer, data: str) -> FloatLayer:
    place = 1 - list(node.input).index(data)
    bias = graph.constant(node, place, "its other input")
    return replace(layer, bias=_bias(_title(node), bias, layer.units)[None])


def _bias(what: str, array: np.ndarray, units: int) -> np.ndarray:
    if array.size not in (1, units) or (array.ndim and array.shape[-1] != array.size):
        raise UserError(f"{what}: {shown('bias', array)}; expected [{units}] or [1]")
    return np.broadcast_to(float32(f"{what}: {shown('bias', array)}", array.ravel()), units).copy()


def _check_gather(graph: _Graph, node: Any, rank: int | None) -> None:
    index = graph.constants.get(node.input[1])
    axis = graph.attributes(node).get("axis", 0)
    if index is None or index.size != 1 or index.flat[0] != -1 or axis in (-1, (rank or 0) - 1):
        raise UserError(
            f"{_title(node)}: gathers {None if index is None else index.tolist()} of axis {axis}; "
            "only the last step, -1 of another axis than the last, is supported"
        )


def _check_axes(graph: _Graph, node: Any, rank: int | None, width: int | None) -> int | None:
    """The rank after a node that moves axes. Raises UserError where it moves the last one."""
    kind, given = node.op_type, graph.attributes(node)
    moved: object = None
    if kind == "Cast" and given["to"] not in graph.floats:
        raise UserError(f"{_title(node)}: casts to what is no float; {NODES}")
    if kind == "Transpose":
        perm = list(given.get("perm", range(rank or 0)[::-1]))
        rank = len(perm) or rank
        moved = perm if not perm or perm[-1] != len(perm) - 1 else None
    elif kind in ("Squeeze", "Unsqueeze"):
        axes = given.get("axes")
        if axes is None and len(node.input) > 1:
            axes = graph.constant(node, 1, "axes").ravel().tolist()
        count = len(axes or ())
        after = (
            None
            if rank is None or axes is None
            else rank + count * (-1 if kind == "Squeeze" else 1)
        )
        total = rank if kind == "Squeeze" else after
        if any(axis == -1 or (total is not None and axis == total - 1) for axis in axes or ()):
            moved = list(axes or ())
        rank = after
    elif kind == "Reshape":
        shape = graph.constants.get(node.input[1])
        rank = None if shape is None else shape.size
        if shape is not None and width is not None and shape.flat[-1] not in (-1, 0, width):
            moved = shape.tolist()
    if moved is not None:
        raise UserError(
            f"{_title(node)}: {moved} moves the last axis, which holds the features; only nodes "
            "that leave it in place are supported"
        )
    return rank
