# SPDX-License-Identifier: Apache-2.0
"""What flows through the part of a graph that becomes a network."""

from dataclasses import dataclass, replace
from typing import Any

from ...errors import UserError
from ...models.float_model import FloatLayer
from ..folding import Affine, after, before, is_plain, takes_scale
from ..tensors.directions import Stage, one
from .axes import DIRECTIONS, Axes, Axis
from .model import title
from .nodes import NODES


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
        if self.affine is None or not self.ends_scalable:
            return self.stages
        return (*self.stages[:-1], one(after(self.stages[-1].first, self.affine)))

    @property
    def ends_linear(self) -> bool:
        return bool(self.stages) and is_plain(self.stages[-1].layers[-1])

    @property
    def ends_scalable(self) -> bool:
        """Whether what waits is folded into the last layer."""
        return bool(self.stages) and takes_scale(self.stages[-1].layers[-1])

    def fold_into(self, layer: FloatLayer) -> FloatLayer:
        """A layer that takes this, with what waits folded into its product of the input."""
        if self.affine is None or self.ends_scalable:
            return layer
        return before(layer, self.affine)

    def finished(self) -> "Flow":
        """This as a network's output. Raises UserError where something waits or is misplaced."""
        if self.affine is not None and not self.ends_scalable:
            verb = "adds to" if self.affine.adds else "scales"
            raise UserError(f"{self.affine.what}: {verb} what no MatMul made; {NODES}")
        beside = self.axes.last == self.features[-1:] and not self.moved  # two directions
        if not self.joined and not beside:
            self.check_joined(self.nodes[-1])
        return replace(self, stages=self.settled_stages(), affine=None)
