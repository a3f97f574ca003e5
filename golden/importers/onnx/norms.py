# SPDX-License-Identifier: Apache-2.0
"""Layer normalization in graphs: its own node, and the means, squares and roots of older opsets.

    d = x - mean(x);   y = d / sqrt(mean(d * d) + epsilon)                  PyTorch
    s = gain / sqrt(mean(d * d) + epsilon);   y = x * s + (offset - mean(x) * s)      Keras

`Parts` follows such nodes: each part of a norm is known by what it is of which value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import UserError
from ...models.float_model import FloatLayer
from ..tensors.layer_norm import checked_epsilon, norm_layer
from .model import input_of, title
from .scope import Scope

PARTS = ("ReduceMean", "Sub", "Pow", "Mul", "Add", "Sqrt", "Div", "Reciprocal", "Neg")
"""Nodes that a norm may consist of."""
SAME = ("Identity", "Cast")
_RULE = "only layer normalization of the features, in the last axis, is supported"


@dataclass(frozen=True)
class Part:
    """A part of a norm of the value called `of`.

    what: "mean", "centred" (x - mean), "square" of that, "variance", "padded" (with epsilon),
    "root", "inverse" (gain over the root), "scaled" (x times that), "shift" (the mean times that),
    "rest" (offset minus the shift), or "norm".
    """

    of: str
    what: str
    epsilon: float = 0.0
    gain: np.ndarray | None = None
    offset: np.ndarray | None = None


Term = Part | np.ndarray | None
"""What a node takes: a part, a constant, or the value itself."""


class Parts:
    """The parts of norms that a walk has come across."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.found: dict[str, Part] = {}

    def takes(self, node: Any) -> bool:
        """Whether a node makes a part, as far as what it takes tells."""
        if any(name in self.found for name in node.input):
            return True
        return self.scope.graph.is_known(node, ("ReduceMean",)) or self._squares(node)

    def _squares(self, node: Any) -> bool:
        """Whether it squares a flow, as RMSNorm does."""
        graph = self.scope.graph
        twice = graph.is_known(node, ("Mul",)) and len({*node.input}) == 1
        return twice or graph.is_known(node, ("Pow",))

    def part(self, node: Any, rank: int) -> Part:
        """What a node makes; rank: axes of the flow. Raises UserError where it is no part."""
        if self._squares(node) and not any(name in self.found for name in node.input):
            raise UserError(f"{title(node)}: squares what has its mean, as RMSNorm does; {_RULE}")
        known = self.scope.graph.is_known(node, (*PARTS, *SAME))
        if known:
            self.scope.graph.check_form(node)
        if node.op_type == "ReduceMean":
            self._check_mean(node, rank)
        of = self.of(node)
        names = list(node.input)[:1] if node.op_type == "ReduceMean" else node.input
        able = known and all(
            name == of or name in self.found or name in self.scope.constants for name in names
        )
        terms = [self._term(name) for name in names] if able else []
        made = _made(node.op_type, of, terms) if able else None
        if made is not None and not _alike(terms):
            raise UserError(
                f"{title(node)}: joins parts of a norm with unlike gains or epsilons; {_RULE}"
            )
        if made is None:
            raise UserError(
                f"{title(node)}: is no part of a norm that is known; {_RULE}: export with opset "
                "17 or later, which has a node for it"
            )
        self.found[node.output[0]] = made
        return made

    def of(self, node: Any) -> str:
        """The value whose norm it is."""
        return next(
            (self.found[name].of for name in node.input if name in self.found), input_of(node, 0)
        )

    def _term(self, name: str) -> Term:
        if name in self.scope.constants:
            return self.scope.constants[name].astype(np.float64)
        return self.found.get(name)

    def _check_mean(self, node: Any, rank: int) -> None:
        given = self.scope.graph.attributes(node)
        axes = self.scope.axes(node)
        if axes not in ([-1], [rank - 1]) or not given.get("keepdims", 1):
            over = "all axes" if axes is None else f"axes {axes}"
            kept = "" if given.get("keepdims", 1) else ", which it drops"
            raise UserError(f"{title(node)}: takes a mean over {over}{kept}; {_RULE}")


def _made(kind: str, of: str, terms: Sequence[Term]) -> Part | None:
    """What a node makes of its terms; None where that is no part of a norm."""
    whats = [t.what if isinstance(t, Part) else "number" if t is not None else "x" for t in terms]
    parts = [t for t in terms if isinstance(t, Part)]
    numbers = [t for t in terms if isinstance(t, np.ndarray)]
    if any(part.of != of for part in parts):
        return None
    if kind in SAME and parts:
        return parts[0]
    if kind in ("Mul", "Add"):  # in either order
        whats.sort(key=_ORDER.index)
        parts.sort(key=lambda part: _ORDER.index(part.what))
    step = (kind, *whats)
    if step == ("Pow", "centred", "number"):
        return Part(of, "square") if _is(numbers[0], 2) else None
    if step == ("Pow", "padded", "number"):
        power = next((w for w, n in (("root", 0.5), ("inverse", -0.5)) if _is(numbers[0], n)), "")
        return replace(parts[0], what=power) if power else None
    if step == ("Add", "variance", "number"):
        return Part(of, "padded", float(numbers[0].flat[0])) if numbers[0].size == 1 else None
    if step == ("Div", "number", "root"):
        return replace(parts[0], what="inverse", gain=numbers[0])
    if step == ("Mul", "inverse", "number"):
        gain = numbers[0] if parts[0].gain is None else parts[0].gain * numbers[0]
        return replace(parts[0], gain=gain)
    if step == ("Sub", "number", "shift"):
        return replace(parts[0], what="rest", offset=numbers[0])
    made = _STEPS.get(step)
    if made is None:
        return None
    # of two parts, the one with epsilon and a gain comes last; where both have them, see `_alike`
    return replace(parts[-1], what=made) if parts else Part(of, made)


def _alike(terms: Sequence[Term]) -> bool:
    """Whether parts over a root, of which a sum is made, have the same gain and epsilon."""
    parts = [t for t in terms if isinstance(t, Part) and t.what in ("scaled", "shift", "rest")]
    gains = [np.ones(1) if part.gain is None else part.gain for part in parts]
    try:
        rows = np.broadcast_arrays(*gains)
    except ValueError:
        return False
    same = all(np.array_equal(row, rows[0], equal_nan=True) for row in rows)
    return same and len({part.epsilon for part in parts}) < 2


def _is(numbers: np.ndarray, value: float) -> bool:
    return numbers.size == 1 and float(numbers.flat[0]) == value


_ORDER = (
    *("x", "mean", "centred", "square", "variance", "padded", "root", "scaled", "shift"),
    *("inverse", "rest", "norm", "number"),
)
_STEPS = {
    ("ReduceMean", "x"): "mean",
    ("Sub", "x", "mean"): "centred",
    ("Mul", "centred", "centred"): "square",
    ("ReduceMean", "square"): "variance",
    ("Sqrt", "padded"): "root",
    ("Reciprocal", "root"): "inverse",
    ("Div", "centred", "root"): "norm",
    ("Mul", "centred", "inverse"): "norm",
    ("Mul", "x", "inverse"): "scaled",
    ("Mul", "mean", "inverse"): "shift",
    ("Sub", "scaled", "shift"): "norm",
    ("Add", "scaled", "rest"): "norm",
}
"""By a node's kind and what it takes, what it makes."""


def of_part(node: Any, part: Part, width: int, name: str) -> FloatLayer:
    """The layer of a norm of `width` features that has come together in a node."""
    gain = np.ones(1) if part.gain is None else part.gain
    return _layer(node, gain, part.offset, part.epsilon, width, name)


def of_node(scope: Scope, node: Any, rank: int, width: int, name: str) -> FloatLayer:
    """The layer of a LayerNormalization node that takes `rank` axes."""
    given = scope.graph.attributes(node)
    if given.get("axis", -1) not in (-1, rank - 1):
        raise UserError(f"{title(node)}: normalizes from axis {given['axis']} on; {_RULE}")
    offset = scope.constant(node, 2, "its offset") if input_of(node, 2) else None
    gain = scope.constant(node, 1, "its gain")
    return _layer(node, gain, offset, float(given.get("epsilon", 1e-5)), width, name)


def _layer(
    node: Any,
    gain: np.ndarray,
    offset: np.ndarray | None,
    epsilon: float,
    width: int,
    name: str,
) -> FloatLayer:
    gains = _spread(node, gain, width)
    offsets = None if offset is None else _spread(node, offset, width)
    checked_epsilon(title(node), epsilon)
    try:
        return norm_layer(name, gains, offsets, epsilon)
    except UserError as error:
        raise UserError(f"{title(node)}: {error}") from error


def _spread(node: Any, array: np.ndarray, width: int) -> np.ndarray:
    """A gain or an offset as [width]."""
    if array.size not in (1, width) or (array.ndim and array.shape[-1] != array.size):
        raise UserError(
            f"{title(node)}: a gain or an offset {list(array.shape)}; expected [{width}] or [1]"
        )
    return np.broadcast_to(array.ravel(), width).copy()
