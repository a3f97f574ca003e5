# SPDX-License-Identifier: Apache-2.0
"""The axes of what passes between an ONNX graph's layers: the last one holds the features."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...errors import UserError
from .nodes import NODES, Graph, node_title


@dataclass
class Axes:
    """rank: how many axes there are, None where that is not known.

    directions: the axis of a bidirectional node's two directions, None once they are side by side
    in the last axis, or where there is one direction. The rank is known where it is not None.
    """

    rank: int | None
    directions: int | None = None

    def check_joined(self, node: Any) -> None:
        """Raise UserError where `node`, a layer, gets two directions on an axis of their own."""
        if self.directions is not None:
            raise UserError(
                f"{node_title(node)}: takes two directions on an axis of their own; only nodes "
                "behind a Transpose and a Reshape that put them side by side are supported"
            )

    def gather(self, graph: Graph, node: Any) -> None:
        """Follow a Gather. Raises UserError unless it takes the last step."""
        index = graph.constants.get(node.input[1])
        axis = graph.attributes(node).get("axis", 0)
        last = (-1, (self.rank or 0) - 1)
        if index is None or index.size != 1 or index.flat[0] != -1 or axis in last:
            raise UserError(
                f"{node_title(node)}: gathers {None if index is None else index.tolist()} of axis "
                f"{axis}; only the last step, -1 of another axis than the last, is supported"
            )
        self._drop(node, [axis])

    def drop_first(self) -> None:
        """Follow a Gather of what is one step already."""
        self.rank = self.rank - 1 if self.rank else None

    def move(self, graph: Graph, node: Any, width: int | None) -> None:
        """Follow a node that moves axes. Raises UserError where it moves the last one.

        width: how many features there are, of both directions.
        """
        kind, given = node.op_type, graph.attributes(node)
        moved: object = None
        if kind == "Cast" and given["to"] not in graph.floats:
            raise UserError(f"{node_title(node)}: casts to what is no float; {NODES}")
        if kind == "Transpose":
            perm = list(given.get("perm", range(self.rank or 0)[::-1]))
            self.rank = len(perm) or self.rank
            moved = perm if not perm or perm[-1] != len(perm) - 1 else None
            if self.directions is not None:
                self.directions = perm.index(self.directions)
        elif kind in ("Squeeze", "Unsqueeze"):
            moved = self._squeeze(graph, node)
        elif kind == "Reshape":
            shape = graph.constants.get(node.input[1])
            if self.directions is not None:
                self._join(node)
            self.rank = None if shape is None else shape.size
            if shape is not None and width is not None and shape.flat[-1] not in (-1, 0, width):
                moved = shape.tolist()
        if moved is not None:
            raise UserError(
                f"{node_title(node)}: {moved} moves the last axis, which holds the features; only "
                "nodes that leave it in place are supported"
            )

    def _squeeze(self, graph: Graph, node: Any) -> list[int] | None:
        """Follow a Squeeze or Unsqueeze; its axes where they move the last one."""
        squeezes, axes = node.op_type == "Squeeze", graph.attributes(node).get("axes")
        if axes is None and len(node.input) > 1:
            axes = graph.constant(node, 1, "axes").ravel().tolist()
        if axes is None:
            self._drop(node, ())
            self.rank = None
            return None
        total = None if self.rank is None else self.rank + (0 if squeezes else len(axes))
        if any(axis == -1 or (total is not None and axis == total - 1) for axis in axes):
            return list(axes)
        if squeezes:
            self._drop(node, axes)
            return None
        if self.directions is not None and total is not None:
            new = {axis % total for axis in axes}
            self.directions = [n for n in range(total) if n not in new][self.directions]
        self.rank = total
        return None

    def _drop(self, node: Any, axes: Iterable[int]) -> None:
        """Axes that go: none of them may hold the directions, and none may be unknown then."""
        gone = [axis % self.rank if self.rank else axis for axis in axes]
        if self.directions is not None:
            if self.directions in gone or not gone:
                raise UserError(
                    f"{node_title(node)}: takes away the axis of a node's two directions; only "
                    "nodes that keep both are supported"
                )
            self.directions -= sum(axis < self.directions for axis in gone)
        self.rank = self.rank - len(gone) if self.rank else None

    def _join(self, node: Any) -> None:
        """A Reshape behind a bidirectional node puts its directions beside each other."""
        if self.directions != (self.rank or 0) - 2:
            raise UserError(
                f"{node_title(node)}: joins the features with another axis than that of the two "
                "directions; put a Transpose before it that makes that the last but one"
            )
        self.directions = None
