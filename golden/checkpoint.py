# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in: finds the layers of a trained network among named tensors.

A file holds tensors, not a graph (ONNX, see `onnx_graph`, is the exception): which layers there
are follows from names and shapes (`tensor_layouts`), and their order from the widths. What stands
between layers (dropout, an activation after a linear layer) is not in the file and is taken to be
nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from . import onnx_graph
from .errors import UserError
from .model import FloatLayer, FloatModel
from .tensor_files import read_tensors
from .tensor_layers import Found, build, choose, shown
from .tensor_layouts import LAYOUTS, SUPPORTED, Layout
from .tensor_refusals import refusal
from .tensor_sru import build_sru, without_input_skip

Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What a file of tensors does not tell.

    candidate_scale: the factor of LiGRU's candidate at test time, PyTorch-Kaldi's 1 - dropout:
    one for all such layers or one for each; none: 1.
    without_skip: layers of the package `sru` were made with has_skip_term=False.
    reset: "after" or "before", where a GRU's tensors fit both.
    """

    candidate_scale: tuple[float, ...] = ()
    without_skip: bool = False
    reset: str = ""


def import_checkpoint(
    file: Path,
    labels: Sequence[str] = (),
    order: Sequence[str] = (),
    options: ImportOptions = ImportOptions(),
) -> FloatModel:
    """The float model in a checkpoint: PyTorch, safetensors, npz, Keras .h5 or .onnx.

    labels: names of the outputs, or none.
    order: the modules' names from input to output, needed only where shapes fit several orders.
    Raises UserError, which names the tensor, its shape and what was expected, for anything that
    is not wholly understood.
    """
    if file.suffix.lower() == onnx_graph.SUFFIX:
        if order:
            raise UserError(f"{file}: order: a graph tells it; leave --order out")
        layers = onnx_graph.read_layers(file)
    else:
        layers = _layers_of_tensors(file, order, options)
    try:
        layers = _with_candidate_scale(layers, options.candidate_scale)
        if options.without_skip and not any(layer.kind == "sru0" for layer in layers):
            raise UserError("without skip: there is no SRU layer; leave --without-skip out")
        layers = (without_input_skip(layers[0]), *layers[1:])
        if labels and len(labels) != layers[-1].units:
            raise UserError(
                f"{len(labels)} labels for the {layers[-1].units} outputs of {layers[-1].name}; "
                "give one label per output"
            )
        return FloatModel(layers=tuple(layers), labels=tuple(labels), origin=file.name)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error


def _layers_of_tensors(
    file: Path, order: Sequence[str], options: ImportOptions
) -> tuple[FloatLayer, ...]:
    tensors, ordered = read_tensors(file)
    try:
        modules = _find_modules(tensors, options)
        modules = _named_order(modules, order) if order else _chain(modules, ordered)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    return tuple(layer for module in modules for layer in module.layers)


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
    """Tensors of one module, for each layer's number."""

    prefix: str
    layouts: list[Layout]
    layers: dict[int, Found] = field(default_factory=dict)


def _find_modules(tensors: Tensors, options: ImportOptions) -> list[_Module]:
    groups: dict[tuple[str, str], _Group] = {}
    for name, array in tensors.items():
        layout, place = next(
            ((a, place) for a in LAYOUTS if (place := a.place(name)) is not None), (None, None)
        )
        if layout is None or layout.kind == "linear" or layout.separator == "/":
            what = refusal(name, array.shape)
            if what:
                raise UserError(f"{shown(name, array)} belongs to {what}; {SUPPORTED}")
        if layout is None or place is None:
            raise UserError(f"{shown(name, array)} is not a tensor of any known layer; {SUPPORTED}")
        prefix, number, tensor = place
        family = layout.family or layout.title
        same = [other for other in LAYOUTS if (other.family or other.title) == family]
        group = groups.setdefault((prefix, family), _Group(prefix, same))
        found = group.layers.setdefault(number, Found(prefix, number, name))
        found.add(tensor, name, array)
    names: set[str] = set()
    return [_module(group, names, options) for group in groups.values()]


def _module(group: _Group, taken: set[str], options: ImportOptions) -> _Module:
    count = max(group.layers) + 1
    beside = f"layer {count - 1} of the same module"
    founds = [group.layers.get(n, Found(group.prefix, n, beside)) for n in range(count)]
    known = choose(group.layouts, group.layers[count - 1], options.reset)
    layouts = [choose(group.layouts, f, options.reset) if f.names else known for f in founds]
    plain = layouts[0].kind.removesuffix("_before").rstrip("4")
    name = _unique(group.prefix or plain, taken)
    names = [_unique(f"{name}.{n}", taken) if a.numbered else name for n, a in enumerate(layouts)]
    if group.layouts[0].family == "sru":
        layers = build_sru(group.layouts, founds, names, options.without_skip)
    else:
        layers = [build(*each) for each in zip(layouts, founds, names, strict=True)]
    for first, second in pairwise(layers):
        if first.units != second.inputs:
            raise UserError(_mismatch(first, second))
    return _Module(name, tuple(layers))


def _with_candidate_scale(
    layers: Sequence[FloatLayer], scales: Sequence[float]
) -> tuple[FloatLayer, ...]:
    """Folds the factor into the rows of LiGRU's candidate, where relu(m * a) = m * relu(a)."""
    if not scales:
        return tuple(layers)
    text = ",".join(f"{scale:g}" for scale in scales)
    places = [n for n, layer in enumerate(layers) if layer.kind in _CANDIDATES]
    if len(scales) not in (1, len(places)) or not places:
        raise UserError(
            f"candidate scale {text}: {len(scales)} for {len(places)} layers with a candidate; "
            "give one, or one for each LSTM, GRU and LiGRU layer"
        )
    bad = next((scale for scale in scales if not 0 < scale <= 1), None)
    if bad is not None:
        raise UserError(
            f"candidate scale {bad:g}: it is 1 - dropout, above 0 and at most 1; give that"
        )
    each = list(scales) if len(scales) > 1 else [scales[0]] * len(places)
    by_place = dict(zip(places, each, strict=True))
    return tuple(
        _scaled(layer, by_place[n]) if by_place.get(n, 1.0) != 1.0 else layer
        for n, layer in enumerate(layers)
    )


_CANDIDATES = {"lstm": "tanh(g)", "gru": "tanh(n)", "gru_before": "tanh(n)", "ligru": "relu(a)"}


def _scaled(layer: FloatLayer, scale: float) -> FloatLayer:
    if layer.kind != "ligru":
        raise UserError(
            f"candidate scale {scale:g}: {layer.name} is of kind {layer.kind}, whose candidate is "
            f"{_CANDIDATES[layer.kind]}; a factor after tanh cannot be folded into weights, only "
            "ligru takes one; give 1 for this layer, or train it with dropout 0"
        )
    at = layer.cell.gates.index("a")
    bias = layer.bias.copy()
    bias[at] *= scale
    paths = []
    for path in layer.paths:
        rows = np.array([scale if gate == "a" else 1.0 for gate in path.gates], np.float32)
        if path.scale is None:
            path = replace(path, weights=path.weights * rows[:, None, None])
        else:
            path = replace(path, scale=path.scale * rows[:, None])
        paths.append(path)
    return replace(layer, paths=tuple(paths), bias=bias)


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
    both = "; bidirectional layers are not supported" if second.inputs == 2 * first.units else ""
    return (
        f"{second.name} takes {second.inputs} values, but {first.name} before it puts out "
        f"{first.units}{both}"
    )


def _unique(name: str, taken: set[str]) -> str:
    candidate, n = name, 2
    while candidate in taken:
        candidate, n = f"{name}_{n}", n + 1
    taken.add(candidate)
    return candidate
