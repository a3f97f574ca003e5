# SPDX-License-Identifier: Apache-2.0
"""Cells of linear layers and norms that no layout has: they would look like layers in a row."""

import re
from collections.abc import Sequence

from ..errors import UserError
from .modules import Module
from .norm_places import is_norm

__all__ = ["check_cells", "has_normed_cell"]

_GATES = (2, 3, 4)
"""How many times its units a cell's matrices may have as rows."""
_RECURRENT = re.compile(r"(.*_)?(gru|lstm|rnn)(_?cell)?\d*|.*cell\d*", re.IGNORECASE)
_WAY_OUT = (
    "give its tensors the names of a cell in docs/checkpoints.md that does the same; where these "
    "are layers one after the other, say so with --order FIRST,SECOND,..."
)


def check_cells(modules: Sequence[Module], *, chained: bool) -> None:
    """Raise UserError where norms stand in one module with the two matrices of a recurrent cell.

    Or where nothing is recurrent, but norms and matrices are in a module with such a name.

    chained: each module takes what the one before puts out. Then matrices that are on two sides of
        a recurrent layer of the same module are no cell's.
    """
    norms = [module for module in modules if is_norm(module)]
    parents = dict.fromkeys(_parent(norm) for norm in norms)
    for parent in parents:
        parts = _between_recurrent(modules, parent) if chained else [modules]
        for own in (_linear(part, parent) for part in parts):
            pairs = ((x, h) for x in own for h in own if h is not x and _is_recurrent(h, x))
            pair = next(pairs, None)
            if pair is not None:
                raise UserError(
                    f"{_named(pair, norms, parent)}, but none that is known; {_WAY_OUT}"
                )
    if any(map(_has_state, modules)):
        return
    for parent in parents:
        own = _linear(modules, parent)
        names = [part for part in parent.split(".") if _RECURRENT.fullmatch(part)]
        if own and names:
            raise UserError(f"{_named(own, norms, parent)}, but none that is known; {_WAY_OUT}")


def _linear(modules: Sequence[Module], parent: str) -> list[Module]:
    return [m for m in modules if m.last.kind == "linear" and _parent(m) == parent]


def _between_recurrent(modules: Sequence[Module], parent: str) -> list[list[Module]]:
    """The modules, cut where a recurrent layer of `parent` stands."""
    parts: list[list[Module]] = [[]]
    for module in modules:
        if _has_state(module) and _parent(module) == parent:
            parts.append([])
        else:
            parts[-1].append(module)
    return parts


def has_normed_cell(module: Module) -> bool:
    """Whether one of its layers is a recurrent cell with layer normalization."""
    layers = [layer for stage in module.stages for layer in stage.layers]
    return any(layer.cell.state and layer.cell.norms for layer in layers)


def _has_state(module: Module) -> bool:
    return any(layer.cell.state for stage in module.stages for layer in stage.layers)


def _parent(module: Module) -> str:
    """Of "a.b" and of "a.b.0" it is "a"."""
    return re.sub(r"(\.|^)[^.]*(\.\d+)*$", "", module.name)


def _is_recurrent(h: Module, x: Module) -> bool:
    """Whether these may be the matrices of a cell: as many rows, and h has its units as columns."""
    rows = h.widths[0]
    return rows == x.widths[0] and any(rows == n * h.inputs for n in _GATES)


def _named(matrices: Sequence[Module], norms: Sequence[Module], parent: str) -> str:
    names = " and ".join(f"{m.name} ({m.inputs} -> {m.widths[0]})" for m in matrices)
    beside = ", ".join(norm.name for norm in norms if _parent(norm) == parent)
    verb = "stand" if len(matrices) > 1 else "stands"
    return f"{names} {verb} beside {beside}, as in a recurrent cell with layer normalization"
