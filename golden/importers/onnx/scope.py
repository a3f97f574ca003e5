# SPDX-License-Identifier: Apache-2.0
"""What is known of a graph's values while it is walked: constants, and where states come from."""

import importlib
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ...errors import UserError
from .model import Graph, input_of, title

MOVES = ("Identity", "Cast", "Transpose", "Squeeze", "Unsqueeze", "Reshape", "Flatten")
"""Nodes that put values elsewhere and change none."""
PICKS = ("Slice", "Gather", "Split")
_GROWS = ("Concat", "Expand", "Tile", "ConstantOfShape", "Range")
_ELEMENTWISE = ("Add", "Sub", "Mul", "Div", "Neg", "Sqrt", "Equal", "Where", "Min", "Max", "Floor")
FOLDED = (*MOVES, *PICKS, *_GROWS, *_ELEMENTWISE)
"""Nodes that are computed where all that they take is constant."""
_DEEPEST = 100


class Scope:
    """A graph, and the constants among its values. zero_state: unknown states are zeros."""

    def __init__(self, graph: Graph, *, zero_state: bool = False) -> None:
        self.graph, self.zero_state = graph, zero_state
        self.constants: dict[str, np.ndarray] = dict(graph.constants)
        self.notes: list[str] = []
        self._zeros: dict[str, bool] = {}

    def fold(self, node: Any) -> bool:
        """Keep what a node of constants makes; False where it is not one of those."""
        if self.graph.is_known(node, ("Constant",)):
            value = self.graph.value_of(node)
            if value is not None:
                self.constants[node.output[0]] = value
            return value is not None
        if not self.graph.is_known(node, FOLDED) or any(
            name not in self.constants for name in node.input if name
        ):
            return False
        self.graph.check_form(node)
        feeds = {name: self.constants[name] for name in node.input if name}
        given = [self.constants.get(name, np.zeros(0)) for name in node.input]
        self.graph.folding.take(title(node), _made(node, given, self.graph.attributes(node)))
        try:
            values = self._run(node, feeds)
        except Exception:  # the evaluator's own errors have no common base
            return False
        for name, value in zip(filter(None, node.output), values, strict=True):
            self.constants[name] = np.asarray(value)
        return True

    def _run(self, node: Any, feeds: dict[str, np.ndarray]) -> list[Any]:
        """What onnx's evaluator makes of one node, as its opset has it."""
        helper, kinds = self.graph.onnx.helper, self.graph.onnx.TensorProto
        given = [helper.make_tensor_value_info(name, kinds.UNDEFINED, None) for name in feeds]
        names = [name for name in node.output if name]
        made = [helper.make_tensor_value_info(name, kinds.UNDEFINED, None) for name in names]
        alone = helper.make_graph([node], "node", given, made)
        model = helper.make_model(alone, opset_imports=[helper.make_opsetid("", self.graph.opset)])
        evaluator = importlib.import_module("onnx.reference").ReferenceEvaluator
        values: list[Any] = evaluator(model).run(names, feeds)
        return values

    def constant(self, node: Any, place: int, what: str) -> np.ndarray:
        name = node.input[place] if place < len(node.input) else ""
        if name not in self.constants:
            raise UserError(
                f"{title(node)}: {what} {self.graph.origin(name)}; it must be a constant of the "
                "file"
            )
        return self.constants[name]

    def axes(self, node: Any, place: int = 1) -> list[int] | None:
        """A node's axes, an attribute or an input as the opset has it; None where it has none."""
        given = self.graph.attributes(node).get("axes")
        if given is None and len(node.input) > place and node.input[place]:
            given = self.constant(node, place, "axes").ravel().tolist()
        return None if given is None else [int(n) for n in given]

    def is_zero(self, name: str, depth: int = 0) -> bool:
        """Whether a value is all zeros, whatever its shape."""
        if name in self.constants:
            return not self.constants[name].any()
        if name not in self._zeros:
            self._zeros[name] = False  # for what is too deep
            self._zeros[name] = depth < _DEEPEST and self._makes_zeros(name, depth)
        return self._zeros[name]

    def _makes_zeros(self, name: str, depth: int) -> bool:
        node, _ = self.graph.makers.get(name, (None, 0))
        if node is None or not self.graph.is_known(node, FOLDED):
            return False
        if node.op_type == "ConstantOfShape":
            value = self.graph.attributes(node).get("value")
            return value is None or not self.graph.onnx.numpy_helper.to_array(value).any()
        if node.op_type == "Concat":
            return all(self.is_zero(part, depth + 1) for part in node.input)
        if node.op_type in (*MOVES, *PICKS, "Expand", "Tile"):
            return self.is_zero(input_of(node, 0), depth + 1)
        return False

    def state_input(self, name: str) -> str | None:
        """The graph's input that a first state is, or is a part of; None where it is none."""
        for _ in range(_DEEPEST):
            if name in self.graph.inputs:
                return name
            node, _output = self.graph.makers.get(name, (None, 0))
            if node is None or not self.graph.is_known(node, (*MOVES, *PICKS)):
                return None
            name = input_of(node, 0)
        return None

    def is_put_out(self, name: str) -> bool:
        """Whether a state is an output of the graph, or a part of one."""
        seen: set[str] = set()
        left = [name]
        while left:
            name = left.pop()
            if name in self.graph.outputs:
                return True
            if name in seen or len(seen) > _DEEPEST:
                continue
            seen.add(name)
            for node in self.graph.readers.get(name, ()):
                if self.graph.is_known(node, (*MOVES, "Concat")):
                    left += node.output
        return False


def _made(node: Any, given: Sequence[np.ndarray], attributes: dict[str, Any]) -> int:
    """At most how many bytes a node makes."""
    kind, most = node.op_type, max((array.size for array in given), default=0)
    if kind == "Concat":
        most = sum(array.size for array in given)
    elif kind == "ConstantOfShape":
        most = prod(int(n) for n in given[0].ravel())
    elif kind == "Expand":
        sizes = [int(n) for n in given[1].ravel()]
        most *= prod(max(n, 1) for n in sizes)
    elif kind == "Tile":
        most = given[0].size * prod(int(n) for n in given[1].ravel())
    elif kind == "Range":
        start, end, step = (float(array.ravel()[0]) for array in given)
        most = int(abs(end - start) / abs(step)) + 1 if step else 0
    elif kind == "Gather":
        along = given[0].shape[attributes.get("axis", 0)] if given[0].ndim else 1
        most = given[1].size * (given[0].size // max(along, 1))
    elif kind in _ELEMENTWISE:
        shapes = [array.shape for array in given]
        rank = max(len(shape) for shape in shapes)
        padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
        most = prod(max(sizes) for sizes in zip(*padded, strict=True))
    return 8 * max(most, 0)
