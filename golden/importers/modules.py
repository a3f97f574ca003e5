# SPDX-License-Identifier: Apache-2.0
"""Finds the modules of a trained network among named tensors: which layers there are.

Which layers there are follows from names and shapes (`tensors.layouts`); `chain` puts them in
order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from ..errors import UserError, printable
from ..models.float_model import FloatLayer
from .options import ImportOptions
from .tensors.directions import Stage, both_ways, one
from .tensors.layer_norm import is_norm
from .tensors.layers import Found, build, choose, shown
from .tensors.layout import NORM_KIND, Layout
from .tensors.layouts import LAYOUTS, SUPPORTED
from .tensors.refusals import refusal
from .tensors.sru import NO_SRU_NORM, build_sru

Tensors = Mapping[str, np.ndarray]
MOST_LISTED = 12
"""Tensors that an error names, and modules that a note does."""


@dataclass(frozen=True)
class Module:
    """Stages that stay together.

    open: only what follows tells how many directions it has. family: `Layout.family` of its
    tensors, "" where a configuration tells what it is.
    """

    name: str
    stages: tuple[Stage, ...]
    open: bool = False
    family: str = ""

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


def find_modules(tensors: Tensors, options: ImportOptions) -> list[Module]:
    """All modules. Raises UserError, which names all tensors that belong to none."""
    groups: dict[tuple[str, str], _Group] = {}
    left: list[str] = []
    for name, array in tensors.items():
        layout, place = next(
            ((a, at) for a in LAYOUTS if (at := _place(a, name, tensors))), (None, None)
        )
        what = None
        if layout is None or place is None or not _is_sure(layout, place[2]):
            what = refusal(name, array.shape)
        if layout is None or place is None or what:
            why = f"belongs to {what}" if what else "is not a tensor of any known layer"
            left.append(f"{shown(name, array)} {why}")
            continue
        prefix, number, tensor, backward = place
        if number >= len(tensors):
            raise UserError(
                f"{shown(name, array)} is of layer {number}, but the file has {len(tensors)} "
                "tensors; save the whole module"
            )
        family = layout.family or layout.title
        same = [other for other in LAYOUTS if (other.family or other.title) == family]
        group = groups.setdefault((prefix, family), _Group(prefix, same))
        half = group.backward if backward else group.layers
        group.two |= backward is not None
        suffix = layout.reverse if backward else ""
        found = half.setdefault(number, Found(prefix, number, name, suffix))
        found.add(tensor, name, array)
    if left:
        raise UserError(_left_over(left))
    if not groups:
        raise UserError(f"there is no layer in it; {SUPPORTED}")
    names: set[str] = set()
    modules = [_module(group, names, options) for group in groups.values()]
    if options.bidirectional and not any(_may_be_both(group) for group in groups.values()):
        raise UserError(
            "bidirectional: there is no layer for which the file does not tell it; leave "
            "--bidirectional out"
        )
    if options.normalize_after and not any(a.layouts[0].family == "sru" for a in groups.values()):
        raise UserError(NO_SRU_NORM)
    return modules


def _left_over(left: Sequence[str]) -> str:
    """One line of all tensors that belong to no layer, with the way out."""
    listed = "; ".join(left[:MOST_LISTED])
    more = f"; and {len(left) - MOST_LISTED} more" if len(left) > MOST_LISTED else ""
    these = "it" if len(left) == 1 else "them"
    return f"{listed}{more}; {SUPPORTED}; --ignore PATTERN leaves {these} out of the network"


def _place(layout: Layout, name: str, tensors: Tensors) -> tuple[str, int, str, bool | None] | None:
    """`Layout.place`, and whether the tensor is of the backward direction."""
    plain, backward = layout.split(name)
    place = layout.place(plain)
    if place is None:
        return None
    if layout.kind == NORM_KIND:
        return (*place, backward) if is_norm(layout, place[0], tensors) else None
    needed = _needed(layout, place[2])
    if needed:
        found = Found(*place[:2])
        plain_names = [found.full(weight.name, layout.separator) for weight in layout.weights]
        beside = [layout.beside(other, name) for other in plain_names]
        if sum(other in tensors for other in beside) < needed:
            return None
    return (*place, backward)


def _is_sure(layout: Layout, tensor: str) -> bool:
    """Whether a tensor of this name and shape is one of a layer of this layout, and no other."""
    if layout.kind == NORM_KIND or any(gain.name == tensor for gain in layout.normed):
        return True
    return layout.kind != "linear" and layout.separator != "/"


def _needed(layout: Layout, tensor: str) -> int:
    """How many weights must stand beside a tensor for it to be one of this layout's."""
    if layout.several:
        return 2
    return int(layout.shares and any(each.name == tensor for each in layout.normed))


def _may_be_both(group: _Group) -> bool:
    """Whether the file does not tell if the module is bidirectional."""
    return group.layouts[0].shares or group.layouts[0].family == "sru"


def _module(group: _Group, taken: set[str], options: ImportOptions) -> Module:
    if group.two:
        _check_halves(group)
    count = max(group.layers) + 1
    beside = f"layer {count - 1} of the same module"
    founds = [group.layers.get(n, Found(group.prefix, n, beside)) for n in range(count)]
    known = choose(group.layouts, group.layers[count - 1], options.reset)
    layouts = [choose(group.layouts, f, options.reset) if f.names else known for f in founds]
    name = _unique(printable(group.prefix) or _plain(layouts[0].kind), taken)
    names = [_unique(f"{name}.{n}", taken) if a.numbered else name for n, a in enumerate(layouts)]
    if group.layouts[0].family == "sru":
        stages = build_sru(group.layouts, founds, names, options)
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
            raise UserError(mismatch(a.chains[0][-1], b.first, a.outputs))
    family = group.layouts[0].family
    return Module(name, tuple(stages), is_open and len(stages) == 1, family)


def _plain(kind: str) -> str:
    """What a layer of this kind is called where nobody has named it."""
    if kind == NORM_KIND:
        return kind
    plain = kind.partition("_norm")[0].removesuffix("_before").removesuffix("_tanh")
    return plain.rstrip("4")


def with_nonlinearity(module: Module, said: str) -> Module:
    """A module with the function of its Elman layers, which their tensors do not tell."""
    kinds = {layer.kind for stage in module.stages for layer in stage.layers}
    if "rnn_tanh" not in kinds or said == "tanh":
        return module
    if said != "relu":
        raise UserError(
            f"{module.name}: the file does not tell whether this RNN has tanh or ReLU; say "
            "--nonlinearity tanh (PyTorch's and Keras's default) or --nonlinearity relu"
        )
    stages = tuple(
        stage.change(lambda layer: replace(layer, kind="rnn_relu")) for stage in module.stages
    )
    return replace(module, stages=stages)


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


def mismatch(first: FloatLayer, second: FloatLayer, width: int) -> str:
    return (
        f"{second.name} takes {second.inputs} values, but {first.name} before it puts out {width}"
    )


def _unique(name: str, taken: set[str]) -> str:
    candidate, n = name, 2
    while candidate in taken:
        candidate, n = f"{name}_{n}", n + 1
    taken.add(candidate)
    return candidate
