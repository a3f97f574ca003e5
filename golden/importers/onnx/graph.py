# SPDX-License-Identifier: Apache-2.0
"""ONNX files in: follows the graph from its first output back to its input, and reads the layers.

Layers are LSTM, GRU, Gemm, and MatMul with or without an Add of a bias. Between them nodes may
move axes, but not the last one, which holds the features.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ... import storage
from ...errors import UserError
from ..tensors.directions import Stage, one
from ..tensors.files import first_line
from .axes import Axes
from .nodes import NODES, Graph, linear, node_title, recurrent, with_bias

SUFFIX = ".onnx"
_SAME = ("Identity", "Dropout", "Cast")
_LAYERS = ("LSTM", "GRU", "Gemm", "MatMul", "Add", "Softmax", "LogSoftmax", "Gather")
_KNOWN = (*_LAYERS, "Squeeze", "Unsqueeze", "Transpose", "Reshape", *_SAME)
_WEIGHTED = ("LSTM", "GRU", "RNN", "Gemm", "MatMul", "Conv", "ConvTranspose", "MatMulInteger")


def read_stages(file: Path) -> list[Stage]:
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
        graph = Graph(onnx, model)
    except Exception as error:  # protobuf's and onnx's own errors have no common base
        raise UserError(
            f"{file}: not a whole ONNX file ({first_line(error)}); export it anew"
        ) from error
    try:
        return _read(graph)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error


@dataclass
class _Link:
    """A node on the way from input to output, and which output of it leads on."""

    node: Any
    output: int
    data: str


def _read(graph: Graph) -> list[Stage]:
    links = list(_links(graph))[::-1]
    _check_other_outputs(graph, [link.node for link in links])
    stages: list[Stage] = []
    taken: set[str] = set()
    axes = Axes(len(graph.inputs[links[0].data]) or None if links else None)
    biased, last_step = True, False
    for k, link in enumerate(links):
        node, kind = link.node, link.node.op_type
        if kind in _WEIGHTED or kind == "Add":
            axes.check_joined(node)
        if kind in ("LSTM", "GRU"):
            if last_step:
                raise UserError(f"{node_title(node)}: takes a last step only; {_EVERY_STEP}")
            stages.append(recurrent(graph, node, _name(node, taken)))
            _check_output(link, stages[-1])
            last_step, biased = link.output == 1, True
            both = len(stages[-1].chains) > 1
            axes = Axes(3) if last_step else Axes(4, directions=1 if both else None)
        elif kind in ("Gemm", "MatMul"):
            stages.append(one(linear(graph, node, _name(node, taken))))
            biased = kind == "Gemm" and len(node.input) > 2
        elif kind == "Add":
            if biased or not stages:
                raise UserError(f"{node_title(node)}: adds to what no MatMul made; {NODES}")
            stages[-1] = one(with_bias(graph, node, stages[-1].first, link.data))
            biased = True
        elif kind in ("Softmax", "LogSoftmax"):
            if k < len(links) - 1:
                raise UserError(f"{node_title(node)} is not at the end; {NODES}")
        elif kind == "Gather":
            if last_step:
                axes.drop_first()
            else:
                axes.gather(graph, node)
            last_step = True
        else:
            axes.move(graph, node, stages[-1].outputs if stages else None)
    if not stages:
        raise UserError(f"the graph's output {graph.outputs[0]!r} comes from no layer; {NODES}")
    return stages


def _check_output(link: _Link, stage: Stage) -> None:
    """Raise UserError where the graph goes on with a state that no frame's output holds."""
    what = node_title(link.node)
    if link.output == 2:
        raise UserError(f"{what}: its output Y_c is used; use its output Y")
    if link.output == 1 and any(layer.backward for layer in stage.layers):
        raise UserError(
            f"{what}: its output Y_h is used, which holds a backward direction's output at the "
            "first frame; use its output Y"
        )


_EVERY_STEP = "only linear layers can follow a last step, as deltaloom gives every step"


def _links(graph: Graph) -> Iterator[_Link]:
    """Nodes from the first output back to the input, each by its one input that is computed."""
    if not graph.outputs:
        raise UserError("the graph has no output; export it anew")
    name = graph.outputs[0]
    while name not in graph.inputs:
        if name not in graph.makers:
            raise UserError(f"{name!r} is made by no node of the graph; export it anew")
        node, output = graph.makers[name]
        if node.domain not in ("", "ai.onnx") or node.op_type not in _KNOWN:
            raise UserError(f"{node_title(node)} is not supported; {NODES}")
        data = [n for n in node.input if n and n not in graph.constants]
        if node.op_type in ("Add", "MatMul") and len(data) > 1:
            raise UserError(
                f"{node_title(node)}: takes {data[0]!r} and {data[1]!r}, both computed; "
                "only a single chain of layers can be imported"
            )
        if node.op_type != "Add" and node.input[0] in graph.constants:
            raise UserError(
                f"{node_title(node)}: its first input is a constant; only its others can be"
            )
        if not data:
            raise UserError(
                f"{node_title(node)}: nothing in front of it depends on the graph's input"
            )
        name = data[0] if node.op_type == "Add" else node.input[0]
        yield _Link(node, output, name)


def _check_other_outputs(graph: Graph, chain: list[Any]) -> None:
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
                    f"{node_title(node)}: leads to a second output {output!r}; "
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
