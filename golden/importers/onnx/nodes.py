# SPDX-License-Identifier: Apache-2.0
"""The nodes of an ONNX graph that become layers."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...errors import UserError
from ...models.float_model import FloatLayer, FloatPath, Floats
from ..folding import MIDDLE, SLOPE, activated
from ..tensors.directions import Stage
from ..tensors.layers import build_layer, by_name, float32, shown
from ..tensors.layouts import ONNX_LAYOUTS
from .model import input_of, title
from .scope import Scope
from .variants import variants

NODES = (
    "supported: LSTM, GRU, RNN, Gemm, MatMul, Add of a bias, LayerNormalization, Relu, Sigmoid, "
    "Tanh and HardSigmoid after Gemm, MatMul or a norm, and between them Squeeze, Unsqueeze, "
    "Transpose, Reshape, Identity, Dropout, Cast; Softmax or LogSoftmax at the end"
)
"""What a graph may hold, for errors."""
ACTIVATIONS = {
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "HardSigmoid": "hard_sigmoid",
}
"""Nodes that follow a linear layer, by what `folding` calls them."""
_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
_AXES = {"W": 3, "R": 3, "B": 2, "P": 2}
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
"""By attribute, which of a node's directions run backward."""


def recurrent(scope: Scope, node: Any, name: str) -> Stage:
    """An LSTM or GRU node's layer, or two; the second one of a bidirectional node is backward."""
    what, given = title(node), scope.graph.attributes(node)
    directions = _DIRECTIONS.get(given.get("direction", "forward"), ())
    if not directions:
        raise UserError(
            f"{what}: direction is {given['direction']}; only {', '.join(_DIRECTIONS)} are "
            "supported"
        )
    for key, neutral in (("layout", 0), ("clip", None)):
        if given.get(key, neutral) != neutral:
            rule = "without it" if neutral is None else f"with {neutral}"
            raise UserError(f"{what}: {key} is {given[key]:g}; only nodes {rule} are supported")
    inputs = {key: n for key, n in zip(_INPUTS, node.input, strict=False) if n}
    if "sequence_lens" in inputs:
        raise UserError(
            f"{what}: sequence_lens {scope.graph.origin(inputs['sequence_lens'])}; only nodes "
            "without it are supported"
        )
    peepholes = "P" in inputs and not scope.is_zero(inputs["P"])
    cells = variants(what, node.op_type, given, len(directions), peepholes=peepholes)
    tensors = {}
    for key in ("W", "R", "B", *(["P"] if peepholes else [])):
        if key in inputs:
            array = scope.constant(node, _INPUTS.index(key), key)
            if array.ndim != _AXES[key] or len(array) != len(directions):
                rule = ", ".join((str(len(directions)), "rows", "columns")[: _AXES[key]])
                raise UserError(f"{what}: {shown(key, array)}; its direction has [{rule}]")
            tensors[key] = array
    units = tensors["R"].shape[2] if "R" in tensors else given.get("hidden_size")
    if given.get("hidden_size", units) != units:
        raise UserError(
            f"{what}: hidden_size is {given['hidden_size']}, but {shown('R', tensors['R'])} has "
            f"{units} units; export it anew"
        )
    states = {key[-1]: _initial(scope, node, key) for key in ("initial_h", "initial_c")}
    try:
        return Stage(
            tuple(
                (
                    replace(
                        cell.change(
                            build_layer(
                                ONNX_LAYOUTS[cell.layout],
                                by_name({key: array[d] for key, array in tensors.items()}),
                                name if d == 0 else f"{name}.reverse",
                            )
                        ),
                        backward=backward,
                        initial={k: s[d] for k, s in states.items() if s is not None},
                    ),
                )
                for d, (backward, cell) in enumerate(zip(directions, cells, strict=True))
            )
        )
    except UserError as error:
        raise UserError(f"{what}: {error}") from error


def _initial(scope: Scope, node: Any, key: str) -> Floats | None:
    """A first state [directions, units], None where it is zero."""
    place, what = _INPUTS.index(key), title(node)
    name = node.input[place] if place < len(node.input) else ""
    if not name or scope.is_zero(name):
        return None
    if name not in scope.constants:
        if not _is_kept(scope, node, key, name):
            raise UserError(
                f"{what}: {key} {scope.graph.origin(name)}; it must be left out, or a constant of "
                "the file"
            )
        return None
    array = scope.constants[name]
    if array.ndim != 3 or not array.shape[1] or (array != array[:, :1]).any():
        raise UserError(
            f"{what}: {shown(key, array)}; a network has one first state, [directions, 1, units]"
        )
    return float32(f"{what}: {shown(key, array)}", array[:, 0])


def _is_kept(scope: Scope, node: Any, key: str, name: str) -> bool:
    """Whether a first state is the one that the accelerator keeps, which begins with zeros."""
    where = scope.state_input(name)
    place = {"initial_h": 1, "initial_c": 2}[key]
    after = node.output[place] if place < len(node.output) else ""
    if where and after and scope.is_put_out(after):
        scope.notes.append(f"{title(node)}: {key}, a state of the graph's, is the accelerator's")
        return True
    if scope.zero_state:
        scope.notes.append(f"{title(node)}: {key} is taken to be zeros (--zero-state)")
    return scope.zero_state


def activation(scope: Scope, node: Any) -> Callable[[FloatLayer], FloatLayer]:
    """What an activation's node makes of the linear layer in front of it."""
    given = scope.graph.attributes(node)
    slope, middle = float(given.get("alpha", SLOPE)), float(given.get("beta", MIDDLE))
    return partial(activated, name=ACTIVATIONS[node.op_type], slope=slope, middle=middle)


def linear(scope: Scope, node: Any, name: str) -> FloatLayer:
    what, given = title(node), scope.graph.attributes(node)
    weights = scope.constant(node, 1, "its second input")
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
        if input_of(node, 2):
            c = scope.constant(node, 2, "its bias")
            bias = _bias(what, c, len(weights)) * np.float32(given.get("beta", 1.0))
    path = FloatPath(source="x", gates=("y",), weights=weights[None])
    return FloatLayer(name=name, kind="linear", paths=(path,), bias=bias[None])


def _bias(what: str, array: np.ndarray, units: int) -> np.ndarray:
    if array.size not in (1, units) or (array.ndim and array.shape[-1] != array.size):
        raise UserError(f"{what}: {shown('bias', array)}; expected [{units}] or [1]")
    return np.broadcast_to(float32(f"{what}: {shown('bias', array)}", array.ravel()), units).copy()
