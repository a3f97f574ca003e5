# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in: finds the layers of a trained network among named tensors.

A file holds tensors, not a graph (ONNX, see `onnx_graph`, is the exception): which layers there
are follows from names and shapes (`tensor_layouts`), and their order from the widths. What stands
between layers (dropout, an activation after a linear layer) is not in the file and is taken to be
nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..models.float_model import FloatLayer, FloatModel
from .onnx.graph import SUFFIX as ONNX_SUFFIX
from .onnx.graph import read_stages as read_onnx_stages
from .tensors.directions import Stage, both_ways, link, one
from .tensors.files import read_tensors
from .tensors.layers import Found, build, choose, shown
from .tensors.layouts import LAYOUTS, SUPPORTED, Layout
from .tensors.refusals import refusal
from .tensors.sru import build_sru, without_input_skip

Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What a file of tensors does not tell.

    candidate_scale: the factor of LiGRU's candidate at test time, PyTorch-Kaldi's 1 - dropout:
    one for all such layers or one for each; none: 1.
    without_skip: layers of the package `sru` were made with has_skip_term=False.
    reset: "after" or "before", where a GRU's tensors fit both.
    bidirectional: layers of `sru`, and LiGRU and PyTorch-Kaldi layers that are a file's last, run
    in both directions.
    """

    candidate_scale: tuple[float, ...] = ()
    without_skip: bool = False
    reset: str = ""
    bidirectional: bool = False


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
    if file.suffix.lower() == ONNX_SUFFIX:
        if order:
            raise UserError(f"{file}: order: a graph tells it; leave --order out")
        stages = read_onnx_stages(file)
        if options.bidirectional:
            raise UserError(f"{file}: bidirectional: a graph tells it; leave --bidirectional out")
    else:
        stages = _stages_of_tensors(file, order, options)
    try:
        stages = _with_candidate_scale(stages, options.candidate_scale)
        if options.without_skip and not any(s.chains[0][-1].kind == "sru0" for s in stages):
            raise UserError("without skip: there is no SRU layer; leave --without-skip out")
        stages[0] = stages[0].change(without_input_skip)
        layers, puts_out = link(stages)
        if labels and len(labels) != stages[-1].outputs:
            raise UserError(
                f"{len(labels)} labels for the {stages[-1].outputs} outputs of "
                f"{stages[-1].chains[0][-1].name}; give one label per output"
            )
        return FloatModel(layers=layers, labels=tuple(labels), puts_out=puts_out, origin=file.name)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error


def _stages_of_tensors(file: Path, order: Sequence[str], options: ImportOptions) -> list[Stage]:
    stored = read_tensors(file)
    try:
        modules = _find_modules(stored.arrays, options)
        modules = _named_order(modules, order) if order else _chain(modules, stored.ordered)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    return _settled(modules, stored.backwards)


@dataclass(frozen=True)
class _Module:
    """Stages that stay together. open: only what follows tells how many directions it has."""

    name: str
    stages: tuple[Stage, ...]
    open: bool = False

    @property
    def inputs(self) -> int:
        return self.stages[0].inputs

    @property
    def widths(self) -> tuple[int, ...]:
        """How many values it may put out; the first where nothing follows."""
        outputs = self.stages[-1].outputs
        return (outputs, 2 * outputs) if self.open else (outputs,)

    @property
    def last(self) -> FloatLayer:
        return self.stages[-1].chains[0][-1]


@dataclass
class _Group:
    """Tensors of one module, for each layer's number; backward: of the other direction.

    two: there are both, as a name tells.
    """

    prefix: str
    layouts: list[Layout]
    two: bool = False
    layers: dict[int, Found] = field(default_factory=dict)
    backward: dict[int, Found] = field(default_factory=dict)


def _find_modules(tensors: Tensors, options: ImportOptions) -> list[_Module]:
    groups: dict[tuple[str, str], _Group] = {}
    for name, array in tensors.items():
        layout, place = next(((a, at) for a in LAYOUTS if (at := _place(a, name))), (None, None))
        if layout is None or layout.kind == "linear" or layout.separator == "/":
            what = refusal(name, array.shape)
            if what:
                raise UserError(f"{shown(name, array)} belongs to {what}; {SUPPORTED}")
        if layout is None or place is None:
            raise UserError(f"{shown(name, array)} is not a tensor of any known layer; {SUPPORTED}")
        prefix, number, tensor, backward = place
        family = layout.family or layout.title
        same = [other for other in LAYOUTS if (other.family or other.title) == family]
        group = groups.setdefault((prefix, family), _Group(prefix, same))
        half = group.backward if backward else group.layers
        group.two |= backward is not None
        suffix = layout.reverse if backward else ""
        found = half.setdefault(number, Found(prefix, number, name, suffix))
        found.add(tensor, name, array)
    names: set[str] = set()
    modules = [_module(group, names, options) for group in groups.values()]
    if options.bidirectional and not any(_may_be_both(group) for group in groups.values()):
        raise UserError(
            "bidirectional: there is no layer for which the file does not tell it; leave "
            "--bidirectional out"
        )
    return modules


def _place(layout: Layout, name: str) -> tuple[str, int, str, bool | None] | None:
    """`Layout.place`, and whether the tensor is of the backward direction."""
    plain, backward = layout.split(name)
    place = layout.place(plain)
    return None if place is None else (*place, backward)


def _may_be_both(group: _Group) -> bool:
    """Whether the file does not tell if the module is bidirectional."""
    return group.layouts[0].shares or group.layouts[0].family == "sru"


def _module(group: _Group, taken: set[str], options: ImportOptions) -> _Module:
    if group.two:
        _check_halves(group)
    count = max(group.layers) + 1
    beside = f"layer {count - 1} of the same module"
    founds = [group.layers.get(n, Found(group.prefix, n, beside)) for n in range(count)]
    known = choose(group.layouts, group.layers[count - 1], options.reset)
    layouts = [choose(group.layouts, f, options.reset) if f.names else known for f in founds]
    plain = layouts[0].kind.removesuffix("_before").rstrip("4")
    name = _unique(group.prefix or plain, taken)
    names = [_unique(f"{name}.{n}", taken) if a.numbered else name for n, a in enumerate(layouts)]
    if group.layouts[0].family == "sru":
        without, both = options.without_skip, options.bidirectional
        stages = build_sru(group.layouts, founds, names, without_skip=without, both=both)
    else:
        stages = [one(*build(*each)) for each in zip(layouts, founds, names, strict=True)]
    for n, found in sorted(group.backward.items()):
        chain = build(choose(group.layouts, found, options.reset), found, f"{names[n]}.reverse")
        back = tuple(replace(layer, backward=True) for layer in chain)
        stages[n] = Stage((*stages[n].chains, back))
    is_open = group.layouts[0].shares
    if is_open and _doubles(stages, options.bidirectional):
        stages, is_open = [both_ways(stage) for stage in stages], False
    for a, b in pairwise(stages):
        if a.outputs != b.inputs:
            raise UserError(_mismatch(a.chains[0][-1], b.first, a.outputs))
    return _Module(name, tuple(stages), is_open and len(stages) == 1)


def _check_halves(group: _Group) -> None:
    """Raise UserError where a layer has one direction only, and other layers or names both."""
    for here, there, missing in (
        (group.layers, group.backward, "backward"),
        (group.backward, group.layers, "forward"),
    ):
        for n, found in here.items():
            if n not in there:
                name = next(iter(found.names))
                raise UserError(
                    f"{found.shown(name)} belongs to a bidirectional layer without its {missing} "
                    "half; save the whole layer"
                )


def _doubles(stages: Sequence[Stage], said: bool) -> bool:
    """Whether stages of one direction are a bidirectional module's, by widths if possible."""
    pairs = [*pairwise(stages)]
    other = next(((a, b) for a, b in pairs if b.inputs != 2 * a.outputs), None)
    if other is None:
        return said or bool(pairs)
    if said:
        a, b = other
        raise UserError(
            f"bidirectional: {b.first.name} takes {b.inputs} values, but {a.first.name} in both "
            f"directions puts out {2 * a.outputs}; leave --bidirectional out"
        )
    return False


def _settled(modules: Sequence[_Module], backwards: Collection[str]) -> list[Stage]:
    """All stages, with both directions where what follows asks for them.

    backwards: names of modules that take and put out the frames they get last to first, so that
    what follows has them in that order, too.
    """
    stages: list[Stage] = []
    turned = False
    for n, module in enumerate(modules):
        follower = modules[n + 1].inputs if n + 1 < len(modules) else module.widths[0]
        doubles = module.open and follower == module.widths[1]
        turned ^= module.name in backwards
        for stage in module.stages:
            whole = both_ways(stage) if doubles else stage
            stages.append(whole.change(_turned) if turned else whole)
    return stages


def _turned(layer: FloatLayer) -> FloatLayer:
    """The layer in the other direction; a linear layer has none."""
    return layer if layer.kind == "linear" else replace(layer, backward=not layer.backward)


def _with_candidate_scale(stages: Sequence[Stage], scales: Sequence[float]) -> list[Stage]:
    """Folds the factor into the rows of LiGRU's candidate, where relu(m * a) = m * relu(a)."""
    if not scales:
        return [*stages]
    text = ",".join(f"{scale:g}" for scale in scales)
    places = [n for n, stage in enumerate(stages) if stage.first.kind in _CANDIDATES]
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
    return [
        stage.change(partial(_scaled, scale=by_place[n])) if by_place.get(n, 1.0) != 1.0 else stage
        for n, stage in enumerate(stages)
    ]


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
    if ordered and all(b.inputs in a.widths for a, b in pairwise(modules)):
        return modules
    if not ordered:  # then an error had better not begin with what is last in most networks
        modules = sorted(modules, key=lambda module: module.last.kind == "linear")
    chains, longest = _search(modules)
    if not chains:
        left = next(module for module in modules if module not in longest)
        raise UserError(
            f"{_mismatch(longest[-1].last, left.stages[0].first, longest[-1].widths[0])}; "
            "only a single chain of layers can be imported"
        )
    if len(chains) > 1:
        n = next(k for k in range(len(modules)) if chains[0][k] is not chains[1][k])
        a, b = chains[0][n].stages[0], chains[1][n].stages[0]
        widths = [f"{stage.first.name} ({stage.inputs} -> {stage.outputs})" for stage in (a, b)]
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
        widths = sorted((module.inputs, module.widths) for module in left)
        state = (chain[-1].widths if chain else None, *widths)
        if state in dead:
            return
        before = len(chains)
        for k, module in enumerate(left):
            if len(chains) < 2 and (not chain or module.inputs in chain[-1].widths):
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
        if b.inputs not in a.widths:
            raise UserError(_mismatch(a.last, b.stages[0].first, a.widths[0]))
    return chain


def _mismatch(first: FloatLayer, second: FloatLayer, width: int) -> str:
    return (
        f"{second.name} takes {second.inputs} values, but {first.name} before it puts out {width}"
    )


def _unique(name: str, taken: set[str]) -> str:
    candidate, n = name, 2
    while candidate in taken:
        candidate, n = f"{name}_{n}", n + 1
    taken.add(candidate)
    return candidate
