# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in: finds the layers of a trained network among named tensors.

A file holds tensors, not a graph: which layers there are follows from names and shapes
(`tensor_layouts`), and their order from the widths. What stands between layers (dropout, an
activation after a linear layer) is not in the file and is taken to be nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from .cells import CELLS
from .errors import UserError
from .model import FloatLayer, FloatModel, FloatPath, Floats
from .tensor_files import read_tensors
from .tensor_layouts import LAYOUTS, SUPPORTED, Layout, Tensor, other_cell, refusal

Tensors = Mapping[str, np.ndarray]


def import_checkpoint(
    file: Path, labels: Sequence[str] = (), order: Sequence[str] = ()
) -> FloatModel:
    """The float model in a state dict saved as .pt, .pth, .safetensors or .npz.

    labels: names of the outputs, or none.
    order: the modules' names from input to output, needed only where shapes fit several orders.
    Raises UserError, which names the tensor, its shape and what was expected, for anything that
    is not wholly understood.
    """
    tensors, ordered = read_tensors(file)
    try:
        modules = _find_modules(tensors)
        modules = _named_order(modules, order) if order else _chain(modules, ordered)
        layers = tuple(layer for module in modules for layer in module.layers)
        if labels and len(labels) != layers[-1].units:
            raise UserError(
                f"{len(labels)} labels for the {layers[-1].units} outputs of {layers[-1].name}; "
                "give one label per output"
            )
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    return FloatModel(layers=layers, labels=tuple(labels), origin=file.name)


@dataclass(frozen=True)
class _Module:
    """Layers that stay together."""

    name: str
    layers: tuple[FloatLayer, ...]

    @property
    def inputs(self) -> int:
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        return self.layers[-1].units


@dataclass
class _Group:
    """Tensors of one module: for each layer number, full names by the layout's names."""

    prefix: str
    layouts: list[Layout]
    found: dict[int, dict[str, str]] = field(default_factory=dict)


def _find_modules(tensors: Tensors) -> list[_Module]:
    groups: dict[tuple[str, tuple[str, ...]], _Group] = {}
    for name, array in tensors.items():
        what = refusal(name, array.shape)
        if what:
            raise UserError(f"{_shown(name, array)} belongs to {what}; {SUPPORTED}")
        prefix, _, leaf = name.rpartition(".")
        places = [
            (layout, tensor, number)
            for layout in LAYOUTS
            for tensor in layout.tensors
            if (number := tensor.number(leaf)) is not None
        ]
        if not places:
            raise UserError(
                f"{_shown(name, array)} is not a tensor of any known layer; {SUPPORTED}"
            )
        layout, tensor, number = places[0]
        same = [other for other in LAYOUTS if other.names == layout.names]
        group = groups.setdefault((prefix, layout.names), _Group(prefix, same))
        group.found.setdefault(number, {})[tensor.name] = name
    names: set[str] = set()
    return [_module(tensors, group, names) for group in groups.values()]


def _module(tensors: Tensors, group: _Group, taken: set[str]) -> _Module:
    layout = group.layouts[0]
    name = _unique(group.prefix or layout.kind, taken)
    layers: list[FloatLayer] = []
    for n in range(max(group.found) + 1):
        layer_name = _unique(f"{name}.{n}", taken) if layout.numbered else name
        layer = _layer(tensors, group, n, layer_name)
        if layers and layers[-1].units != layer.inputs:
            raise UserError(_mismatch(layers[-1], layer))
        layers.append(layer)
    return _Module(name, tuple(layers))


def _layer(tensors: Tensors, group: _Group, n: int, name: str) -> FloatLayer:
    found = group.found.get(n, {})
    layout = _fitting(tensors, group.layouts, found)
    biased = any(bias.name in found for bias in layout.biases)
    wanted = layout.tensors if biased else layout.weights
    for tensor in wanted:
        if tensor.name not in found:
            full = ".".join(filter(None, (group.prefix, tensor.name.format(n=n))))
            beside = next(iter(found.values()), f"layer {max(group.found)} of the same module")
            raise UserError(
                f"{full} is missing; {layout.title} has it, shape {tensor.rule('units')}, "
                f"beside {beside}"
            )
    units = _units(tensors, layout, found)
    gates = CELLS[layout.kind].gates
    paths = []
    for tensor in layout.weights:
        matrix = _checked(tensors, found[tensor.name], tensor, layout, units)
        order = [tensor.gates.index(gate) for gate in gates if gate in tensor.gates]
        blocks = matrix.reshape(len(tensor.gates), units, -1)[order]
        fed = tuple(tensor.gates[k] for k in order)
        paths.append(FloatPath(source=tensor.source, gates=fed, weights=blocks))
    total = np.zeros((len(gates), units))
    for tensor in layout.biases if biased else ():
        vector = _checked(tensors, found[tensor.name], tensor, layout, units)
        rows = [gates.index(gate) for gate in tensor.gates]
        total[rows] += vector.reshape(len(rows), units)
    bias = _float32(f"{name}: the sum of its biases", total)
    return FloatLayer(name=name, kind=layout.kind, paths=tuple(paths), bias=bias)


def _fitting(tensors: Tensors, layouts: list[Layout], found: Mapping[str, str]) -> Layout:
    """The layout whose number of gates fits the square recurrent matrices; else the first."""
    layout = layouts[0]
    recurrent = next((t for t in layout.weights if t.source == "h"), None)
    if recurrent is None or recurrent.name not in found:
        return layout
    name = found[recurrent.name]
    shape = tensors[name].shape
    if len(shape) != 2 or 0 in shape:
        return layout
    for layout in layouts:
        gates = next(len(t.gates) for t in layout.weights if t.source == "h")
        if shape[0] == gates * shape[1]:
            return layout
    what = other_cell(*shape)
    if what:
        raise UserError(f"{_shown(name, tensors[name])} belongs to {what}; {SUPPORTED}")
    return layouts[0]


def _units(tensors: Tensors, layout: Layout, found: Mapping[str, str]) -> int:
    """The layer's units as most of its tensors have it, so that an error names the odd one."""
    votes: Counter[int] = Counter()
    for tensor in layout.tensors:
        if tensor.name not in found:
            continue
        array = tensors[found[tensor.name]]
        if array.ndim and array.shape[0] % len(tensor.gates) == 0:
            votes[array.shape[0] // len(tensor.gates)] += 1
        if tensor.source == "h" and array.ndim == 2:
            votes[array.shape[1]] += 1
    del votes[0]
    return max(votes, key=lambda units: votes[units], default=0)


def _checked(tensors: Tensors, name: str, tensor: Tensor, layout: Layout, units: int) -> Floats:
    array = tensors[name]
    rows = (len(tensor.gates) * units,)
    shape = {"": rows, "x": (*rows, *array.shape[1:2]), "h": (*rows, units)}[tensor.source]
    if array.ndim != 1 + bool(tensor.source) or array.shape != shape or 0 in shape:
        rule = tensor.rule(units) if units else tensor.rule("units")
        empty = ", none of them 0" if 0 in array.shape else ""
        raise UserError(f"{_shown(name, array)}: {layout.title} expects {rule}{empty}")
    return _float32(_shown(name, array), array)


def _float32(what: str, array: np.ndarray) -> Floats:
    if array.dtype.kind != "f":
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


def _chain(modules: list[_Module], ordered: bool) -> list[_Module]:
    """The one order in which every module takes what the one before puts out.

    Where several fit, the file's own is taken if it is one of them and the file keeps an order.
    """
    if ordered and all(a.outputs == b.inputs for a, b in pairwise(modules)):
        return modules
    if not ordered:  # then an error had better not begin with what is last in most networks
        modules = sorted(modules, key=lambda module: module.layers[-1].kind == "linear")
    chains, longest = _search(modules)
    if not chains:
        left = next(module for module in modules if module not in longest)
        raise UserError(
            f"{_mismatch(longest[-1].layers[-1], left.layers[0])}; "
            "only a single chain of layers can be imported"
        )
    if len(chains) > 1:
        n = next(k for k in range(len(modules)) if chains[0][k] is not chains[1][k])
        a, b = chains[0][n].layers[0], chains[1][n].layers[0]
        widths = [f"{layer.name} ({layer.inputs} -> {layer.units})" for layer in (a, b)]
        raise UserError(
            f"{' and '.join(widths)} fit in either order; "
            "say which with the modules' names: --order FIRST,SECOND,..."
        )
    return chains[0]


def _search(modules: list[_Module]) -> tuple[list[list[_Module]], list[_Module]]:
    """Up to two orders that chain, and the longest beginning of one."""
    chains: list[list[_Module]] = []
    longest: list[_Module] = []
    dead: set[tuple] = set()  # widths that remain without a way on: keeps the search short

    def extend(chain: list[_Module], left: list[_Module]) -> None:
        nonlocal longest
        if len(chain) > len(longest):
            longest = chain
        if not left:
            chains.append(chain)
            return
        widths = sorted((module.inputs, module.outputs) for module in left)
        state = (chain[-1].outputs if chain else None, *widths)
        if state in dead:
            return
        before = len(chains)
        for k, module in enumerate(left):
            if len(chains) < 2 and (not chain or chain[-1].outputs == module.inputs):
                extend([*chain, module], left[:k] + left[k + 1 :])
        if len(chains) == before:
            dead.add(state)

    extend([], modules)
    return chains, longest


def _named_order(modules: list[_Module], order: Sequence[str]) -> list[_Module]:
    by_name = {module.name: module for module in modules}
    if sorted(order) != sorted(by_name):
        raise UserError(
            f"order {','.join(order)}: name each of the modules once: {', '.join(by_name)}"
        )
    chain = [by_name[name] for name in order]
    for a, b in pairwise(chain):
        if a.outputs != b.inputs:
            raise UserError(_mismatch(a.layers[-1], b.layers[0]))
    return chain


def _mismatch(first: FloatLayer, second: FloatLayer) -> str:
    return (
        f"{second.name} takes {second.inputs} values, but {first.name} before it puts out "
        f"{first.units}"
    )


def _shown(name: str, array: np.ndarray) -> str:
    return f"{name} {list(array.shape)}"


def _unique(name: str, taken: set[str]) -> str:
    candidate, n = name, 2
    while candidate in taken:
        candidate, n = f"{name}_{n}", n + 1
    taken.add(candidate)
    return candidate
