# SPDX-License-Identifier: Apache-2.0
"""What flows through the part of a graph that becomes a network."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...arithmetic import Reals
from ...errors import UserError
from ...models.float_model import FloatLayer
from ..tensors.directions import Stage, one
from ..tensors.layers import float32
from .axes import DIRECTIONS, Axes, Axis
from .model import title
from .nodes import NODES


@dataclass(frozen=True)
class Affine:
    """A scale and an offset [features], which wait for a linear product to be folded into.

    node: the one that made them, for errors.
    """

    scale: Reals
    offset: Reals
    node: Any

    def then(self, scale: Reals, offset: Reals, node: Any) -> "Affine":
        return Affine(self.scale * scale, self.offset * scale + offset, node)


@dataclass(frozen=True)
class Flow:
    """A value that the network makes, or its input.

    features: what the last axis must hold for a layer to take it. stages, nodes: layers so far,
    and the graph's nodes that they come from. time, batch: the axes that recurrent layers run over
    and have side by side, None before the first. last: of the last step only. state: is a node's
    Y_h. affine: waits to be folded. softmax, moved: what did so, in words, "" for nothing.
    """

    axes: Axes
    features: Axis
    stages: tuple[Stage, ...] = ()
    nodes: tuple[Any, ...] = ()
    time: Axis | None = None
    batch: Axis | None = None
    last: bool = False
    state: bool = False
    affine: Affine | None = None
    softmax: str = ""
    moved: str = ""

    @property
    def width(self) -> int:
        width = 1
        for _, size in self.features:
            width *= size
        return width

    @property
    def joined(self) -> bool:
        """Whether the last axis holds the features, all and in order."""
        return len(self.axes) > 0 and self.axes.last == self.features

    def check_taken(self, node: Any) -> None:
        """Raise UserError unless `node`, a layer, can take this."""
        if self.softmax:
            raise UserError(f"{self.softmax} is not at the end; {NODES}")
        self.check_joined(node)

    def check_joined(self, node: Any) -> None:
        if self.joined:
            return
        apart = DIRECTIONS in self.features and DIRECTIONS not in self.axes.last
        if apart and any(DIRECTIONS in atoms for atoms in self.axes.axes) and not self.moved:
            raise UserError(
                f"{title(node)}: takes two directions on an axis of their own; only nodes "
                "behind a Transpose and a Reshape that put them side by side are supported"
            )
        raise UserError(self.moved or f"{title(node)}: the last axis does not hold the features")

    def becomes(self, stage: Stage, node: Any, axes: Axes, features: Axis, **more: Any) -> "Flow":
        """What a layer that takes this puts out."""
        stages = (*self.settled_stages(), stage)
        return Flow(axes, features, stages, (*self.nodes, node), self.time, self.batch, **more)

    def settled_stages(self) -> tuple[Stage, ...]:
        """The stages, with what waits folded into the last if it is linear."""
        if self.affine is None or not self._ends_linear:
            return self.stages
        return (*self.stages[:-1], one(_after(self.stages[-1].first, self.affine)))

    @property
    def _ends_linear(self) -> bool:
        return bool(self.stages) and self.stages[-1].layers[-1].kind == "linear"

    def fold_into(self, layer: FloatLayer) -> FloatLayer:
        """A layer that takes this, with what waits folded into its product of the input."""
        if self.affine is None or self._ends_linear:
            return layer
        return _before(layer, self.affine)

    def finished(self) -> "Flow":
        """This as a network's output. Raises UserError where something waits or is misplaced."""
        if self.affine is not None and not self._ends_linear:
            kind = self.affine.node.op_type
            verb = "adds to" if kind in ("Add", "Sub") else "scales"
            raise UserError(f"{title(self.affine.node)}: {verb} what no MatMul made; {NODES}")
        beside = self.axes.last == self.features[-1:] and not self.moved  # two directions
        if not self.joined and not beside:
            self.check_joined(self.nodes[-1])
        return replace(self, stages=self.settled_stages(), affine=None)


def _after(layer: FloatLayer, affine: Affine) -> FloatLayer:
    """A linear layer with its outputs scaled and offset."""
    (path,) = layer.paths
    weights = path.weights.astype(np.float64) * affine.scale[None, :, None]
    bias = layer.bias.astype(np.float64) * affine.scale + affine.offset
    what = title(affine.node)
    return replace(
        layer,
        paths=(replace(path, weights=float32(f"{what}: the weights", weights)),),
        bias=float32(f"{what}: the bias", bias),
    )


def _before(layer: FloatLayer, affine: Affine) -> FloatLayer:
    """A layer that takes its inputs without their scale and offset."""
    what = title(affine.node)
    bias = layer.bias.astype(np.float64)
    paths = []
    for path in layer.paths:
        if path.source == "x":
            weights = path.weights.astype(np.float64)
            rows = [layer.cell.gates.index(gate) for gate in path.gates]
            bias[rows] += weights @ affine.offset
            path = replace(path, weights=float32(f"{what}: the weights", weights * affine.scale))
        paths.append(path)
    return replace(layer, paths=tuple(paths), bias=float32(f"{what}: the bias", bias))
