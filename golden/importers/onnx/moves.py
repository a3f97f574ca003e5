# SPDX-License-Identifier: Apache-2.0
"""ONNX nodes that move axes, take a last step or change nothing: what they make of a flow."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import UserError
from .axes import DIRECTIONS
from .flow import Flow
from .model import input_of, title
from .nodes import NODES
from .scope import MOVES, Scope

_LAST = "only the last step, -1 of another axis than the last, is supported"


def torn(scope: Scope, node: Any, flow: Flow | None) -> str:
    """What a node says that tears an axis apart."""
    given = scope.graph.attributes(node).get("axes")
    if given is None and len(node.input) > 1:
        given = scope.constants.get(input_of(node, 1), np.zeros(0)).ravel().tolist()
    if flow is not None and DIRECTIONS in flow.features and node.op_type == "Reshape":
        return _joining(node)
    return _moving(node, given)


def moved(scope: Scope, node: Any, flow: Flow) -> Flow:
    kind, given = node.op_type, scope.graph.attributes(node)
    if kind == "Cast" and given["to"] not in scope.graph.floats:
        raise UserError(f"{title(node)}: casts to what is no float; {NODES}")
    if kind in ("Cast", "Identity"):
        return flow
    axes, what = flow.axes, None
    if kind == "Transpose":
        what = list(given.get("perm", range(len(axes))[::-1]))
        axes = axes.transpose(what)
    elif kind == "Squeeze":
        what = scope.axes(node)
        axes = axes.squeeze(what)
    elif kind == "Unsqueeze":
        what = scope.axes(node) or []
        axes = axes.unsqueeze(what)
    elif kind == "Flatten":
        axes = axes.flatten(axes.at(given.get("axis", 1)) if given.get("axis", 1) else 0)
    else:
        what = scope.constant(node, 1, "its shape").ravel().tolist()
        axes = axes.reshape(what, allow_zero=bool(given.get("allowzero", 0)))
    moved = replace(flow, axes=axes)
    if moved.joined:
        return replace(moved, moved="")
    joins = DIRECTIONS in moved.features and kind == "Reshape" and len(axes.last) > 1
    text = _joining(node) if joins else _moving(node, what)
    apart = any(atoms == flow.features[-1:] for atoms in axes.axes[-1:])
    return replace(moved, moved=flow.moved or ("" if apart else text))


def gather(scope: Scope, node: Any, flow: Flow) -> Flow:
    index = scope.constants.get(input_of(node, 1))
    number = scope.graph.attributes(node).get("axis", 0)
    at = flow.axes.at(number)
    atoms, size = flow.axes.axes[at], flow.axes.shape[at]
    if index is not None and index.size == 1 and index.ndim < 2:
        picked = int(index.flat[0])
        if DIRECTIONS in atoms and len(atoms) == 1:
            raise UserError(
                f"{title(node)}: takes away the axis of a node's two directions; only nodes "
                "that keep both are supported"
            )
        steps = flow.time is not None and atoms == flow.time and picked in (-1, size - 1)
        if steps or (not atoms and picked in (0, -1) and at < len(flow.axes) - 1):
            axes = flow.axes.with_axis(at, ()) if index.ndim else flow.axes.without(at)
            return replace(flow, axes=axes, last=flow.last or bool(steps and atoms))
    raise UserError(
        f"{title(node)}: gathers {None if index is None else index.tolist()} of axis "
        f"{number}; {_LAST}"
    )


def take_slice(scope: Scope, node: Any, flow: Flow) -> Flow:
    given = scope.graph.attributes(node)
    if "starts" in given:
        starts, ends = given["starts"], given["ends"]
        numbers, steps = given.get("axes"), None
    else:
        parts = [
            scope.constant(node, n, "a place").ravel().tolist()
            if n < len(node.input) and node.input[n]
            else None
            for n in range(1, 5)
        ]
        starts, ends, numbers, steps = parts[0] or [], parts[1] or [], parts[2], parts[3]
    axes, last = flow.axes, flow.last
    numbers = list(range(len(starts))) if numbers is None else numbers
    for k, number in enumerate(numbers):
        at = axes.at(int(number))
        size = axes.shape[at]
        step = int(steps[k]) if steps else 1
        picked = range(size)[slice(int(starts[k]), int(ends[k]), step)]
        if picked == range(size):
            continue
        if axes.axes[at] != flow.time or picked != range(size - 1, size):
            raise UserError(f"{title(node)}: takes {starts[k]}:{ends[k]} of axis {number}; {_LAST}")
        axes, last = axes.with_axis(at, ()), True
    return replace(flow, axes=axes, last=last)


def dropout(scope: Scope, node: Any, flow: Flow) -> Flow:
    mode = input_of(node, 2)
    if mode and (mode not in scope.constants or scope.constants[mode].any()):
        raise UserError(f"{title(node)}: is in training mode; export the graph for inference")
    return flow


def _moving(node: Any, what: Any) -> str:
    return (
        f"{title(node)}: {what} moves the last axis, which holds the features; only nodes that "
        "leave it in place are supported"
    )


def _joining(node: Any) -> str:
    return (
        f"{title(node)}: joins the features with another axis than that of the two directions; "
        "put a Transpose before it that makes that the last but one"
    )


MOVERS: dict[str, Callable[[Scope, Any, Flow], Flow]] = {
    **dict.fromkeys(MOVES, moved),
    "Gather": gather,
    "Slice": take_slice,
    "Dropout": dropout,
}
"""By kind of node, what it makes of a flow: (scope, node, flow) -> flow."""
