# SPDX-License-Identifier: Apache-2.0
"""What layers of the package `sru` need besides their layout: the skip and the projection.

The recurrence's highway lets the layer's input through. How it is stored depends on widths: with
as many inputs as units k = 3 and the input itself, times `scale_x`; otherwise k = 4 and a product
of its own; without a skip term k = 3 whatever the widths.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...cells import CELLS
from ...cells.norm import epsilons
from ...errors import UserError
from ...models.float_model import FloatLayer, FloatPath, Floats
from ..options import ImportOptions
from .directions import INPUT, Stage, one, reversed_chain
from .layers import Found, build_layer, float32, units_of
from .layout import Layout

NO_SRU_NORM = (
    "normalize after: there is no SRU layer with a layer_norm; leave --normalize-after out"
)


@dataclass(frozen=True)
class _Stored:
    """One layer as stored. inputs: the layer's, in front of its projection [units, inputs]."""

    layer: FloatLayer
    inputs: int
    scale: float
    projection: Floats | None
    number: int
    gain: Floats | None = None
    offset: Floats | None = None

    @property
    def square(self) -> bool:
        return self.inputs == self.layer.units

    @property
    def matrices(self) -> int:
        return len(self.layer.cell.gates)

    def skips_input(self, without_skip: bool) -> bool:
        """Whether its skip is its input, and no product."""
        return self.matrices == 3 and not without_skip


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
    layouts: Sequence[Layout],
    layers: Sequence[Found],
    names: Sequence[str],
    options: ImportOptions,
) -> list[Stage]:
    """The layers of one sru.SRU, projections as linear layers before them.

    The file tells without_skip and normalize_after only where widths differ, and not whether it is
    bidirectional: the first half of what look like a layer's units then run forward, the others
    backward.
    """
    without_skip, both = options.without_skip, options.bidirectional
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
    after = _normalizes_after(stored, said=options.normalize_after)
    return [stage for s in stored for stage in _with_norm(s, without, both, after)]


def _with_norm(stored: _Stored, without_skip: bool, both: bool, after: bool) -> list[Stage]:
    """A layer's stages, with its norm, which is over both directions, before it or after it."""
    stages = _finish(stored, without_skip, both)
    if stored.gain is None:
        return stages
    if after:
        return [*stages, one(_norm_layer(stored, stored.layer.units))]
    norm = _norm_layer(stored, stored.inputs)
    if not stored.skips_input(without_skip):
        return [one(norm), *stages]
    (stage,) = stages
    first, *others = (
        tuple(_beside_norm(layer, norm.name) for layer in chain) for chain in stage.chains
    )
    return [Stage(((norm, *first), *others))]


def _beside_norm(layer: FloatLayer, norm: str) -> FloatLayer:
    """One that skips its input as "sru4" that reads it normalized, and for its skip as it is."""
    skips = without_input_skip(layer)
    paths = []
    for path in skips.paths:
        zeros = np.zeros_like(path.weights)
        halves = (zeros, path.weights) if path.gates == ("s",) else (path.weights, zeros)
        paths.append(replace(path, weights=np.concatenate(halves, axis=2)))
    return replace(skips, paths=tuple(paths), reads=(norm, INPUT))


def without_input_skip(layer: FloatLayer) -> FloatLayer:
    """Of kind "sru" as "sru4": the skip as a product with a diagonal matrix.

    For a network's first layer: there is no hardware that adds the network's input to an output.
    """
    if layer.kind != "sru":
        return layer
    return _input_skip(replace(layer, skip_scale=0.0), layer.skip_scale)


def _input_skip(layer: FloatLayer, scale: float) -> FloatLayer:
    """As "sru4": unit k's skip is element k of the input times `scale`, as a path of its own."""
    diagonal = np.eye(layer.units, dtype=np.float32) * np.float32(scale)
    skip = FloatPath(source="x", gates=("s",), weights=diagonal[None])
    bias = np.concatenate([layer.bias, np.zeros((1, layer.units), np.float32)])
    return replace(layer, kind="sru4", paths=(*layer.paths, skip), bias=bias)


def _read(layout: Layout, found: Found, name: str) -> _Stored:
    # read as if without a skip: whether there is one takes all layers to tell
    bias = layout.biases[0].name
    if bias not in found.arrays:
        raise UserError(
            f"{found.full(bias, '.')} is missing; sru.SRU has it, shape [2*units], beside "
            f"{next(iter(found.names.values()), found.beside)}"
        )
    kind = "sru0" if layout.kind == "sru" else layout.kind
    layer = build_layer(replace(layout, kind=kind), found, name)
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
    gain, offset = (_norm(layout, found, f"{layout.norm}.{part}") for part in ("weight", "bias"))
    if gain is None and offset is not None:
        raise UserError(
            f"{found.full(f'{layout.norm}.weight', '.')} is missing; sru.SRU has it beside "
            f"{found.shown(f'{layout.norm}.bias')}"
        )
    return _Stored(layer, inputs, scale, projection, found.number, gain, offset)


def _norm(layout: Layout, found: Found, name: str) -> Floats | None:
    """A tensor of the layer's norm, [inputs] or [units]; None where there is none."""
    if name not in found.arrays:
        return None
    values = found.arrays[name]
    if values.ndim != 1 or not values.size:
        raise UserError(f"{found.shown(name)}: sru.SRU expects [inputs] or [units]")
    return float32(found.shown(name), values)


def _normalizes_after(stored: Sequence[_Stored], *, said: bool) -> bool:
    """Whether outputs are normalized and not inputs: by the sizes where they tell."""
    normed = [s for s in stored if s.gain is not None]
    if said and not normed:
        raise UserError(NO_SRU_NORM)
    for s in normed:
        assert s.gain is not None
        for values in (s.gain, s.offset):
            if values is not None and len(values) not in (s.inputs, s.layer.units):
                raise UserError(
                    f"{s.layer.name}: its layer_norm has {len(values)} elements, sru.SRU expects "
                    f"{s.inputs}, the inputs, or {s.layer.units}, the units"
                )
    return said or any(s.gain is not None and len(s.gain) != s.inputs for s in normed)


def _norm_layer(stored: _Stored, units: int) -> FloatLayer:
    assert stored.gain is not None
    if len(stored.gain) != units:
        raise UserError(
            f"{stored.layer.name}: its layer_norm has {len(stored.gain)} elements, it must have "
            f"{units}, as those of other layers or --normalize-after say; a module has norms of "
            "one kind"
        )
    offset = np.zeros_like(stored.gain) if stored.offset is None else stored.offset
    return FloatLayer(
        name=f"{stored.layer.name}.norm",
        kind="layer_norm",
        paths=(FloatPath(source="x", gates=("y",), weights=np.eye(units, dtype=np.float32)[None]),),
        bias=np.zeros((1, units), np.float32),
        vectors={"gain_y": stored.gain, "bias_y": offset, **epsilons(CELLS["layer_norm"], units)},
    )


def _finish(stored: _Stored, without_skip: bool, both: bool) -> list[Stage]:
    layer, stages = stored.layer, []
    skips_input = stored.skips_input(without_skip)
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
        stages.append(one(linear))
    if both:
        return [*stages, _halves(layer, stored.scale if skips_input else 0.0)]
    if skips_input:
        layer = replace(layer, kind="sru", skip_scale=stored.scale)
    return [*stages, one(layer)]


def _halves(layer: FloatLayer, skip_scale: float) -> Stage:
    """Both directions of a layer that was read as one of all their units.

    skip_scale: unless it is 0, unit k of all skips element k of the input, which is a matrix here:
    a direction's units are not as many as its inputs.
    """
    if layer.units % 2:
        raise UserError(
            f"bidirectional: {layer.name} has {layer.units} units, which are no two directions; "
            "leave --bidirectional out"
        )
    skips = _input_skip(layer, skip_scale) if skip_scale else layer
    half = layer.units // 2
    forward, backward = (
        replace(
            skips,
            paths=tuple(replace(path, weights=path.weights[:, rows]) for path in skips.paths),
            bias=skips.bias[:, rows],
            vectors={name: vector[rows] for name, vector in skips.vectors.items()},
        )
        for rows in (slice(0, half), slice(half, None))
    )
    return Stage(((forward,), reversed_chain((backward,))))
