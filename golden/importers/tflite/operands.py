# SPDX-License-Identifier: Apache-2.0
"""What an operator takes: its tensors by name, checked for type, shape and scale."""

from dataclasses import dataclass

import numpy as np

from ...errors import UserError
from ...integer_lstm.layers import Affine
from ...tflite import schema
from ...tflite.schema import Graph, Operator, Tensor
from ..limits import Budget


@dataclass(frozen=True)
class Operands:
    """An operator's inputs by name, those that there are. title: of the layer, for messages."""

    graph: Graph
    operator: Operator
    title: str
    named: dict[str, Tensor]
    budget: Budget

    @classmethod
    def of(
        cls, graph: Graph, operator: Operator, names: tuple[str, ...], title: str, budget: Budget
    ) -> "Operands":
        """Raises UserError for more inputs than there are names."""
        if len(operator.inputs) > len(names) or len(operator.outputs) != 1:
            raise UserError(f"{title}: takes or makes more than {operator.title} does")
        named = {
            name: graph.tensors[place]
            for name, place in zip(names, operator.inputs, strict=False)
            if place >= 0
        }
        return cls(graph, operator, title, named, budget)

    @property
    def output(self) -> Tensor:
        place = self.operator.outputs[0]
        if place < 0:
            raise UserError(f"{self.title}: makes nothing, it is damaged; export it anew")
        return self.graph.tensors[place]

    def has(self, name: str) -> bool:
        return name in self.named

    def tensor(self, name: str) -> Tensor:
        """Raises UserError where there is none."""
        if name not in self.named:
            raise UserError(f"{self.title}: {name} is missing; export it anew")
        return self.named[name]

    def type_of(self, name: str) -> int:
        return self.tensor(name).type

    def constant(self, name: str, kind: int, axes: int) -> np.ndarray:
        """A constant's values, in int64 or float64. Raises UserError for any other tensor."""
        tensor = self.tensor(name)
        if tensor.type != kind:
            found = schema.TYPE_NAMES.get(tensor.type, f"type {tensor.type}")
            raise UserError(
                f"{self.title}: {name} is {found}, expected {schema.TYPE_NAMES[kind]} beside an "
                f"input of {self.types}; int8 (8x8_16) and float32 LSTMs are read"
            )
        if tensor.data is None or tensor.data.ndim != axes:
            what = "no constant" if tensor.data is None else f"of shape {[*tensor.shape]}"
            raise UserError(f"{self.title}: {name} is {what}, expected {axes} axes of constants")
        self.budget.take_array(f"{self.title} {name}", tensor.data.shape, 8)
        return widened(tensor.data) if kind == schema.FLOAT32 else tensor.data.astype(np.int64)

    @property
    def types(self) -> str:
        """The name of the input's type."""
        kind = self.type_of("x")
        return schema.TYPE_NAMES.get(kind, f"type {kind}")

    def stacked(self, names: list[str], kind: int, axes: int) -> np.ndarray:
        """Constants of one shape, one after the other along a new first axis."""
        arrays = [self.constant(name, kind, axes) for name in names]
        for name, array in zip(names, arrays, strict=True):
            if array.shape != arrays[0].shape:
                raise UserError(
                    f"{self.title}: {name} has shape {[*array.shape]}, {names[0]} "
                    f"{[*arrays[0].shape]}; they must be alike"
                )
        return np.stack(arrays)

    def scale(self, name: str) -> float:
        """Of a symmetric tensor. Raises UserError where it has another zero point, or none."""
        found = self.affine(name)
        if found.zero_point:
            raise UserError(
                f"{self.title}: {name} has zero point {found.zero_point}, expected 0; quantize anew"
            )
        return found.scale

    def scales(self, names: list[str]) -> np.ndarray:
        return np.array([self.scale(name) for name in names])

    def affine(self, name: str) -> Affine:
        return affine(f"{self.title}: {name}", self.tensor(name))


def widened(values: np.ndarray) -> np.ndarray:
    """float32 as float64; a signalling NaN becomes a quiet one."""
    with np.errstate(invalid="ignore"):
        wide: np.ndarray = values.astype(np.float64)
    return wide


def affine(what: str, tensor: Tensor) -> Affine:
    """A tensor's one scale and zero point. Raises UserError where it has none, or several."""
    if tensor.scale.size != 1 or tensor.zero_point.size > 1:
        count = tensor.scale.size
        raise UserError(f"{what} has {count or 'no'} scales, expected one; quantize anew")
    zero = int(tensor.zero_point[0]) if tensor.zero_point.size else 0
    return Affine(float(widened(tensor.scale)[0]), zero)
