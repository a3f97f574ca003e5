# SPDX-License-Identifier: Apache-2.0
"""What stands between layers of a network, taken into the layers: scales, offsets, activations."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ..arithmetic import Reals
from ..errors import UserError
from ..models.float_model import FloatLayer, FloatPath
from .tensors.directions import Stage, one
from .tensors.layers import float32
from .tensors.layout import NORM_KIND

SLOPE, MIDDLE = 0.2, 0.5
"""The cells' own hard sigmoid: SLOPE * p + MIDDLE within 0..1."""
ACTIVATIONS = {
    "relu": "linear_relu",
    "sigmoid": "linear_sigmoid",
    "tanh": "linear_tanh",
    "hard_sigmoid": "linear_hard_sigmoid",
}
"""By name, the cell that is a linear layer with it."""


@dataclass(frozen=True)
class Affine:
    """A scale and an offset [features], which wait for a linear product to be folded into.

    what: the one that made them, for errors; adds: it only has an offset.
    """

    scale: Reals
    offset: Reals
    what: str
    adds: bool = False

    def then(self, other: "Affine") -> "Affine":
        offset = self.offset * other.scale + other.offset
        return replace(other, scale=self.scale * other.scale, offset=offset)


def is_plain(layer: FloatLayer) -> bool:
    """Whether a layer is linear without an activation, so that it takes what follows."""
    return layer.kind == "linear"


def takes_scale(layer: FloatLayer) -> bool:
    """Whether a scale and an offset of its outputs can be folded into a layer."""
    return is_plain(layer) or layer.kind == NORM_KIND


def identity(name: str, units: int) -> FloatLayer:
    """A linear layer that changes nothing, for an activation where there is no layer."""
    path = FloatPath(source="x", gates=("y",), weights=np.eye(units, dtype=np.float32)[None])
    return FloatLayer(
        name=name, kind="linear", paths=(path,), bias=np.zeros((1, units), np.float32)
    )


def after(layer: FloatLayer, affine: Affine) -> FloatLayer:
    """A layer that takes a scale with its outputs scaled and offset."""
    if layer.kind == NORM_KIND:
        gain, offset = (layer.vectors[n].astype(np.float64) for n in ("gain_y", "bias_y"))
        changed = {"gain_y": gain * affine.scale, "bias_y": offset * affine.scale + affine.offset}
        own = {n: float32(f"{affine.what}: the norm's {n}", v) for n, v in changed.items()}
        return replace(layer, vectors={**layer.vectors, **own})
    gates = layer.cell.gates
    return scaled_rows(layer, gates, affine.scale, affine.offset, affine.what)


def before(layer: FloatLayer, affine: Affine) -> FloatLayer:
    """A layer that takes its inputs without their scale and offset."""
    bias = layer.bias.astype(np.float64)
    paths = []
    for path in layer.paths:
        if path.source == "x":
            weights = path.weights.astype(np.float64)
            rows = [layer.cell.gates.index(gate) for gate in path.gates]
            bias[rows] += weights @ affine.offset
            scaled = float32(f"{affine.what}: the weights", weights * affine.scale)
            path = replace(path, weights=scaled)
        paths.append(path)
    return replace(layer, paths=tuple(paths), bias=float32(f"{affine.what}: the bias", bias))


def with_norms_folded(stages: Iterable[Stage]) -> list[Stage]:
    """Stages in which a norm has the matrix of a linear layer before it in place of 1.

    That is one layer and one rounding of activations less.
    """
    folded: list[Stage] = []
    for stage in stages:
        before_it = folded[-1].layers if folded else ()
        if len(before_it) == len(stage.layers) == 1 and _is_norm_of(before_it[0], stage.first):
            folded[-1] = one(_normed(before_it[0], stage.first))
        else:
            folded.append(stage)
    return folded


def _is_norm_of(linear: FloatLayer, norm: FloatLayer) -> bool:
    plain = is_plain(linear) and all(path.scale is None for path in linear.paths)
    return plain and norm.kind == NORM_KIND and len(linear.paths) == 1


def _normed(linear: FloatLayer, norm: FloatLayer) -> FloatLayer:
    """The norm of what a linear layer makes, under that one's name."""
    (own,), (path,) = norm.paths, linear.paths
    matrix, what = own.weights[0].astype(np.float64), f"{linear.name}, normalized"
    weights = float32(f"{what}: the weights", matrix @ path.weights.astype(np.float64))
    bias = float32(f"{what}: the bias", linear.bias.astype(np.float64) @ matrix.T + norm.bias)
    return replace(norm, name=linear.name, paths=(replace(path, weights=weights),), bias=bias)


def activated(
    layer: FloatLayer, name: str, slope: float = SLOPE, middle: float = MIDDLE
) -> FloatLayer:
    """A linear layer with an activation of `ACTIVATIONS`; slope, middle: of a hard sigmoid."""
    if name == "hard_sigmoid":
        layer = _with_slope(layer, layer.cell.gates, slope, middle)
    return replace(layer, kind=ACTIVATIONS[name])


def hardened(layer: FloatLayer, slope: float = SLOPE, middle: float = MIDDLE) -> FloatLayer:
    """A recurrent layer with hard sigmoids in place of its sigmoids.

    Raises UserError where no cell has them.
    """
    if layer.kind not in _HARD:
        raise UserError(
            f"{layer.name}: hard sigmoids in {layer.kind} are not supported, only in "
            f"{', '.join(_HARD)}; train it with sigmoids"
        )
    kind, gates = _HARD[layer.kind]
    return replace(_with_slope(layer, gates, slope, middle), kind=kind)


_HARD = {"lstm": ("lstm_hard", ("i", "f", "o")), "gru": ("gru_hard", ("r", "z"))}
"""By kind, the one with hard sigmoids, and the gates that enter them."""


def _with_slope(layer: FloatLayer, gates: Iterable[str], slope: float, middle: float) -> FloatLayer:
    """A layer whose hard sigmoids make slope * p + middle of what p was.

    slope * p + middle = SLOPE * (slope / SLOPE * p + (middle - MIDDLE) / SLOPE) + MIDDLE.
    """
    if np.allclose((slope, middle), (SLOPE, MIDDLE), rtol=0, atol=1e-7):  # stored as float32
        return layer
    scale, offset = np.float64(slope / SLOPE), np.float64((middle - MIDDLE) / SLOPE)
    return scaled_rows(layer, gates, scale, offset, f"{layer.name}: its hard sigmoid")


def coupled(layer: FloatLayer) -> FloatLayer:
    """An LSTM whose forget gate is 1 - i: i's rows, negated, are those of `lstm_cifg`'s f.

    sigmoid(-p) = 1 - sigmoid(p).
    """
    paths = []
    for path in layer.paths:
        rows = [path.gates.index(gate) for gate in ("i", "g", "o")]
        weights = path.weights[rows]
        weights[0] *= -1
        paths.append(replace(path, gates=("f", "g", "o"), weights=weights))
    bias = layer.bias[[layer.cell.gates.index(gate) for gate in ("i", "g", "o")]]
    bias[0] *= -1
    return replace(layer, kind="lstm_cifg", paths=tuple(paths), bias=bias)


def scaled_rows(
    layer: FloatLayer,
    gates: Iterable[str],
    scale: Reals | np.float64,
    offset: Reals | np.float64,
    what: str,
) -> FloatLayer:
    """A layer whose pre-activations of `gates` are scale * p + offset, each [units] or a number."""
    rows = {layer.cell.gates.index(gate) for gate in gates}
    bias = layer.bias.astype(np.float64)
    for row in rows:
        bias[row] = bias[row] * scale + offset
    paths = []
    for path in layer.paths:
        weights = path.weights.astype(np.float64)
        for n, gate in enumerate(path.gates):
            if layer.cell.gates.index(gate) in rows:
                weights[n] *= np.reshape(scale, (-1, 1))
        paths.append(replace(path, weights=float32(f"{what}: the weights", weights)))
    return replace(layer, paths=tuple(paths), bias=float32(f"{what}: the bias", bias))
