# SPDX-License-Identifier: Apache-2.0
"""What layers of the package `sru` need besides their layout: the skip and the projection.

The recurrence's highway lets the layer's input through. How it is stored depends on widths: with
as many inputs as units k = 3 and the input itself, times `scale_x`; otherwise k = 4 and a product
of its own; without a skip term k = 3 whatever the widths.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .errors import UserError
from .model import FloatLayer, FloatPath, Floats
from .tensor_layers import Found, build, float32, units_of
from .tensor_layouts import Layout


@dataclass(frozen=True)
class _Stored:
    """One layer as stored. inputs: the layer's, in front of its projection [units, inputs]."""

    layer: FloatLayer
    inputs: int
    scale: float
    projection: Floats | None
    number: int

    @property
    def square(self) -> bool:
        return self.inputs == self.layer.units

    @property
    def matrices(self) -> int:
        return len(self.layer.cell.gates)


def choose_sru(layouts: Sequence[Layout], found: Found) -> Layout:
    """The layout whose k fits [inputs, k * units] and a bias of [2 * units]."""
    name, bias = layouts[0].weights[0].name, layouts[0].biases[0].name
    weight, units = found.arrays.get(name), units_of(replace(layouts[0], weights=()), found)
    if weight is None or bias not in found.arrays or weight.ndim != 2:
        return layouts[0]
    for layout in layouts:
        if weight.shape[1] == len(layout.weights[0].gates) * units:
            return layout
    raise UserError(
        f"{found.shown(name)}: sru.SRU expects [inputs, {3 * units}] or [inputs, {4 * units}], as "
        f"{found.shown(bias)} makes {units} units"
    )


def build_sru(
    layouts: Sequence[Layout], layers: Sequence[Found], names: Sequence[str], without_skip: bool
) -> list[FloatLayer]:
    """The layers of one sru.SRU, projections as linear layers before them.

    without_skip: it was made with has_skip_term=False, which the file tells only where widths
    differ.
    """
    stored = [
        _read(choose_sru(layouts, found), found, name)
        for found, name in zip(layers, names, strict=True)
    ]
    four = next((s for s in stored if s.matrices == 4), None)
    if without_skip and four is not None:
        raise UserError(
            f"without skip: {four.layer.name} has a fourth matrix, which is its skip term; "
            "leave --without-skip out"
        )
    without = without_skip or any(s.matrices == 3 and not s.square for s in stored)
    if without and four is not None:
        odd = next(s for s in stored if s.matrices == 3 and not s.square)
        raise UserError(
            f"{odd.layer.name} has 3 matrices for {odd.inputs} inputs and {odd.layer.units} units, "
            f"so no skip term, but {four.layer.name} has one; a module has it in all layers"
        )
    return [layer for s in stored for layer in _finish(s, without)]


def without_input_skip(layer: FloatLayer) -> FloatLayer:
    """Of kind "sru" as "sru4": the skip as a product with a diagonal matrix.

    For a network's first layer: there is no hardware that adds the network's input to an output.
    """
    if layer.kind != "sru":
        return layer
    (path,) = layer.paths
    diagonal = np.eye(layer.units, dtype=np.float32) * np.float32(layer.skip_scale)
    weights = np.concatenate([path.weights, diagonal[None]])
    bias = np.concatenate([layer.bias, np.zeros((1, layer.units), np.float32)])
    path = FloatPath(source="x", gates=(*path.gates, "s"), weights=weights)
    return replace(layer, kind="sru4", paths=(path,), bias=bias, skip_scale=0.0)


def _read(layout: Layout, found: Found, name: str) -> _Stored:
    # read as if without a skip: whether there is one takes all layers to tell
    bias = layout.biases[0].name
    if bias not in found.arrays:
        raise UserError(
            f"{found.full(bias, '.')} is missing; sru.SRU has it, shape [2*units], beside "
            f"{next(iter(found.names.values()), found.beside)}"
        )
    kind = "sru0" if layout.kind == "sru" else layout.kind
    layer = build(replace(layout, kind=kind), found, name)
    scale = 1.0
    if layout.skip_scale in found.arrays:
        values = found.arrays[layout.skip_scale]
        if values.size != 1:
            raise UserError(f"{found.shown(layout.skip_scale)}: sru.SRU expects [1]")
        scale = float(float32(found.shown(layout.skip_scale), values).flat[0])
    projection, inputs = None, layer.inputs
    if layout.projection in found.arrays:
        what = found.shown(layout.projection)
        stored = found.arrays[layout.projection]
        if stored.ndim != 2 or stored.shape[1] != layer.inputs or 0 in stored.shape:
            raise UserError(f"{what}: sru.SRU expects [inputs, {layer.inputs}]")
        projection = float32(what, stored.T)
        inputs = stored.shape[0]
    return _Stored(layer, inputs, scale, projection, found.number)


def _finish(stored: _Stored, without_skip: bool) -> list[FloatLayer]:
    layer = stored.layer
    skips_input = stored.matrices == 3 and not without_skip
    if skips_input and stored.projection is not None:
        # the skip is past the projection, and a layer sees one input only: multiply it out
        (path,) = layer.paths
        product = path.weights.astype(np.float64) @ stored.projection.astype(np.float64)
        weights = float32(f"{layer.name}: weight_proj times weight", product)
        layer = replace(layer, paths=(replace(path, weights=weights),))
    elif stored.projection is not None:
        linear = FloatLayer(
            name=f"{layer.name}.projection",
            kind="linear",
            paths=(FloatPath(source="x", gates=("y",), weights=stored.projection[None]),),
            bias=np.zeros((1, len(stored.projection)), np.float32),
        )
        return [linear, layer]
    if skips_input:
        layer = replace(layer, kind="sru", skip_scale=stored.scale)
    return [layer]
