# SPDX-License-Identifier: Apache-2.0
"""From the named tensors of one layer to a `FloatLayer`, by a `Layout`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...arithmetic import Reals
from ...cells import CELLS
from ...cells.norm import epsilons
from ...errors import UserError
from ...models.float_model import FloatLayer, FloatPath, Floats
from .layout import NORM_KIND, Idle, Layout, Norm, Tensor


@dataclass
class Found:
    """The tensors of layer `number` of the module at `prefix`, in one direction.

    names, arrays: full name and array by `Tensor.name`. beside: another tensor of the module.
    suffix: what the direction adds to names.
    """

    prefix: str = ""
    number: int = 0
    beside: str = ""
    suffix: str = ""
    names: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, name: str, full: str, array: np.ndarray) -> None:
        self.names[name], self.arrays[name] = full, array

    def shown(self, name: str) -> str:
        return shown(self.names[name], self.arrays[name])

    def full(self, name: str, separator: str) -> str:
        return separator.join(filter(None, (self.prefix, name.format(n=self.number) + self.suffix)))


def choose(layouts: Sequence[Layout], found: Found, reset: str = "") -> Layout:
    """The layout of a family that the tensors' names and shapes fit; else the nearest.

    reset: "after" or "before", which decides where a GRU's tensors fit both.
    Raises UserError where they tell of a cell that is not supported, or do not tell enough.
    """
    names = set(found.names)
    able = [layout for layout in layouts if names <= layout.names] or list(layouts)
    able = [layout for layout in able if _has_gains(layout, names)] or able
    most = max(sum(t.name in names for t in layout.weights) for layout in able)
    able = [a for a in able if sum(t.name in names for t in a.weights) == most]
    able = [a for a in able if len(a.weights) == most] or able  # rather none that lacks one
    if len(able) == 1:
        return able[0]
    fits = [layout for layout in able if _fits(layout, found)]
    if {layout.kind for layout in fits} == {"gru", "gru_before"}:
        kind = {"after": "gru", "before": "gru_before"}.get(reset)
        if kind is None:
            raise UserError(
                f"{found.shown(fits[0].weights[0].name)}: without biases the file does not tell "
                "whether this GRU resets after or before its recurrent product; "
                "say --reset after (Keras's default) or --reset before"
            )
        fits = [layout for layout in fits if layout.kind == kind]
    if fits:
        return fits[0]
    for layout in able:
        recurrent = next((t for t in layout.weights if t.source == "h"), None)
        stored = None if recurrent is None else found.arrays.get(recurrent.name)
        if recurrent is None or stored is None or stored.ndim != 2:
            continue
        rows, columns = _matrix(layout, stored).shape
        if rows == len(recurrent.gates) * columns and rows:
            return layout
    return max(able, key=lambda layout: max(_agreed(layout, found).values(), default=0))


def _has_gains(layout: Layout, names: Iterable[str]) -> bool:
    return {tensor.name for tensor in layout.gains} <= {*names}


def build(layout: Layout, found: Found, name: str) -> tuple[FloatLayer, ...]:
    """The layer called `name`, and its projection "NAME.projection" where it has one.

    Raises UserError, which names a tensor that is missing or wrong.
    """
    layer = build_layer(layout, found, name)
    if not layer.h_from:
        return (layer,)
    what, stored = found.shown(layout.h_projection), found.arrays[layout.h_projection]
    if stored.ndim != 2 or stored.shape[1] != layer.units or not len(stored):
        raise UserError(f"{what}: {layout.title} expects [projection, {layer.units}]")
    projection = FloatLayer(
        name=layer.h_from,
        kind="linear",
        paths=(FloatPath(source="x", gates=("y",), weights=float32(what, stored)[None]),),
        bias=np.zeros((1, len(stored)), np.float32),
    )
    return layer, projection


def build_layer(layout: Layout, found: Found, name: str) -> FloatLayer:
    """The same without a projection."""
    biased = any(bias.name in found.names for bias in layout.biases)
    normed = _normed(layout, found)
    with_vectors = any(tensor.name in found.names for tensor in layout.vectors)
    wanted = [*layout.weights, *(layout.biases if biased else ())]
    wanted += [tensor for norm in normed for tensor in norm.tensors]
    wanted += [*(layout.vectors if with_vectors else ()), *layout.gains]
    for tensor in wanted:
        if tensor.name not in found.names:
            beside = next(iter(found.names.values()), found.beside)
            raise UserError(
                f"{found.full(tensor.name, layout.separator)} is missing; {layout.title} has it, "
                f"shape {layout.rule(tensor, 'units')}, beside {beside}"
            )
    for other in sorted(found.names.keys() - layout.names):
        raise UserError(
            f"{found.shown(other)} belongs to no {layout.title}, which the others are of; --ignore "
            "PATTERN leaves it out of the network"
        )
    units = units_of(layout, found)
    for idle in layout.idle:
        if idle.name in found.names and idle.value is not None:
            _check_idle(layout, found, idle)
    gates = CELLS[layout.kind].gates
    blocks: dict[str, dict[str, Floats]] = {}
    for tensor in layout.weights:
        matrix = _checked(layout, found, tensor, units)
        for gate, block in zip(tensor.gates, _by_gate(layout, tensor, matrix), strict=True):
            blocks.setdefault(tensor.source_of(gate), {})[gate] = block
    if layout.kind == NORM_KIND:
        blocks["x"] = {gate: np.eye(units, dtype=np.float32) for gate in gates}
    bias = np.zeros((len(gates), units))
    for tensor in layout.biases if biased else ():
        vector = _checked(layout, found, tensor, units).reshape(len(tensor.gates), units)
        for gate, row in zip(tensor.gates, vector, strict=True):  # a gate may have several
            bias[gates.index(gate)] += row
    scale = _batch_norm(layout, found, normed, units, bias, biased) if normed else None
    paths = []
    for source in CELLS[layout.kind].sources:
        fed = tuple(gate for gate in gates if gate in blocks[source])
        stacked = np.stack([blocks[source][gate] for gate in fed])
        scaled = None
        if source == "x" and scale is not None:
            scaled = float32(f"{name}: its BatchNorm", scale[[gates.index(g) for g in fed]])
        paths.append(FloatPath(source=source, gates=fed, weights=stacked, scale=scaled))
    vectors = dict.fromkeys(CELLS[layout.kind].vectors, np.zeros(units, np.float32))
    vectors |= epsilons(CELLS[layout.kind], units, layout.epsilon)
    offsets = [tensor for tensor in layout.offsets if tensor.name in found.names]
    for tensor in (*(layout.vectors if with_vectors else ()), *layout.gains, *offsets):
        rows = _checked(layout, found, tensor, units).reshape(len(tensor.gates), units)
        for each, row in zip(tensor.gates, rows, strict=True):  # offsets may add up
            vectors[each] = vectors[each] + (-row if each in tensor.negated else row)
    return FloatLayer(
        name=name,
        kind=layout.kind,
        paths=tuple(paths),
        bias=float32(f"{name}: the sum of its biases", bias),
        vectors=vectors,
        h_from=f"{name}.projection" if layout.h_projection in found.names else "",
    )


def units_of(layout: Layout, found: Found) -> int:
    """The layer's units as most of its tensors have it, so that an error names the odd one."""
    return max(_agreed(layout, found).items(), key=lambda vote: vote[1], default=(0, 0))[0]


def _agreed(layout: Layout, found: Found) -> Counter[int]:
    return Counter(units for units in _votes(layout, found) if units is not None)


def _votes(layout: Layout, found: Found) -> list[int | None]:
    """How many units each tensor that is there makes, None where its rows do not divide."""
    votes: list[int | None] = []
    for tensor in layout.tensors:
        array = found.arrays.get(tensor.name)
        if array is None or not array.size:
            continue
        matrix = _matrix(layout, array)
        rows = len(matrix) if tensor.source and array.ndim else array.size
        count = len(tensor.gates)
        votes.append(rows // count if rows % count == 0 else None)
        if tensor.source in ("h", "rh") and array.ndim == 2:
            projection = found.arrays.get(layout.h_projection)
            votes.append(matrix.shape[1] if projection is None else projection.shape[-1])
    return votes


def _fits(layout: Layout, found: Found) -> bool:
    """Whether all tensors make the same number of units, as far as they are there."""
    votes = _votes(layout, found)
    axes = all(
        found.arrays[t.name].ndim == (2 if t.source or t.rows > 1 else 1)
        for t in layout.tensors
        if t.name in found.arrays
    )
    return axes and len(set(votes)) == 1 and votes[0] is not None


def _matrix(layout: Layout, array: np.ndarray) -> np.ndarray:
    """[rows, columns] of weights as stored."""
    return array.T if layout.columns_first else array


def _by_gate(layout: Layout, tensor: Tensor, array: Floats) -> Floats:
    """[gates, units, columns] of weights as stored."""
    matrix, count = _matrix(layout, array), len(tensor.gates)
    if layout.interleaved:
        blocks = matrix.reshape(-1, count, matrix.shape[1]).transpose(1, 0, 2)
    else:
        blocks = matrix.reshape(count, -1, matrix.shape[1])
    return np.ascontiguousarray(blocks)


def _checked(layout: Layout, found: Found, tensor: Tensor, units: int) -> Floats:
    array = found.arrays[tensor.name]
    shape = tuple(array.shape)
    rows = len(tensor.gates) * units // tensor.rows
    wanted: tuple[int, ...] = (rows,) if tensor.rows == 1 else (tensor.rows, rows)
    projection = found.arrays.get(layout.h_projection)
    h_width = units if projection is None else len(projection)
    if tensor.source:
        any_width = _matrix(layout, array).shape[1] if len(shape) == 2 else -1
        wanted = (rows, any_width if tensor.source == "x" else h_width)
        wanted = wanted[::-1] if layout.columns_first else wanted
    if shape != wanted or 0 in shape:
        rule = layout.rule(tensor, units or "units", h_width)
        empty = ", none of them 0" if 0 in shape else ""
        raise UserError(f"{found.shown(tensor.name)}: {layout.title} expects {rule}{empty}")
    return float32(found.shown(tensor.name), array)


def _normed(layout: Layout, found: Found) -> tuple[Norm, ...]:
    """The layer's norms if it has any; refuses LayerNorm, which has no running statistics."""
    parts = [tensor.name for norm in layout.norms for tensor in norm.tensors]
    have = [name for name in parts if name in found.names]
    if not have:
        return ()
    if not any("running" in name for name in have):
        raise UserError(
            f"{found.shown(have[0])} belongs to layer normalization (it has no running_mean); "
            f"{layout.title} is supported with BatchNorm or without any"
        )
    return layout.norms


def _check_idle(layout: Layout, found: Found, idle: Idle) -> None:
    array = found.arrays[idle.name]
    other = array[array != idle.value]
    if other.size:
        raise UserError(
            f"{found.shown(idle.name)} belongs to {idle.what}: it holds {other.flat[0]:g}, not "
            f"{idle.value:g} everywhere, so it is in use; {layout.title} is supported without it"
        )


def _batch_norm(
    layout: Layout,
    found: Found,
    norms: Sequence[Norm],
    units: int,
    bias: Reals,
    biased: bool,
) -> Reals | None:
    """scale [gates, units] of the input's product, after adding the shift to `bias`.

    None where the norms are there and not in use: beside biases and never trained.
    """
    gates = CELLS[layout.kind].gates
    scale = np.ones_like(bias)
    for norm in norms:
        rows = [gates.index(gate) for gate in norm.gates]
        values = [
            _checked(layout, found, tensor, units).reshape(len(rows), units).astype(np.float64)
            for tensor in norm.tensors
        ]
        gamma, beta, mean, variance = values
        if biased:
            if any((v != rest).any() for v, rest in zip(values, (1, 0, 0, 1), strict=True)):
                raise UserError(
                    f"{found.shown(norm.tensors[0].name)}: a BatchNorm that is in use beside the "
                    f"bias {found.shown(layout.biases[0].name)}; {layout.title} is supported with "
                    "one of the two"
                )
            continue
        if (variance < 0).any():
            raise UserError(
                f"{found.shown(norm.tensors[3].name)}: the variance {variance.min():g} is not "
                "possible, it must be 0 or more; mend the checkpoint"
            )
        scale[rows] = gamma / np.sqrt(variance + norm.EPSILON)
        bias[rows] += beta - mean * scale[rows]
    return None if biased else scale


def float32(what: str, array: np.ndarray) -> Floats:
    """`array` in float32. Raises UserError where it holds no floats, or one that does not fit."""
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":  # ml_dtypes' is of kind "V"
        raise UserError(
            f"{what} is {array.dtype}; weights must be float16, bfloat16, float32 or float64"
        )
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(array, np.float32)
    bad = np.argwhere(~np.isfinite(narrow))
    if len(bad):
        value = array[tuple(bad[0])]
        rule = "does not fit float32" if np.isfinite(value) else "must be finite"
        raise UserError(
            f"{what}: {len(bad)} of {array.size} values cannot be used: the one at "
            f"{bad[0].tolist()} is {value:g}, it {rule}; mend the checkpoint"
        )
    return narrow


def shown(name: str, array: np.ndarray) -> str:
    return f"{name} {list(array.shape)}"


def by_name(tensors: Mapping[str, np.ndarray]) -> Found:
    """What one graph node brings, under the layout's own names."""
    found = Found()
    for name, array in tensors.items():
        found.add(name, name, array)
    return found
