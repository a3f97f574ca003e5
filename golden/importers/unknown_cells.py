# SPDX-License-Identifier: Apache-2.0
"""Cells of linear layers and norms that no layout has: they would look like layers in a row."""

import re
from collections.abc import Sequence

from ..errors import UserError
from .modules import Module
from .norm_places import is_norm

__all__ = ["check_cells"]

_GATES = (2, 3, 4)
"""How many times its units a cell's matrices may have as rows."""
_RECURRENT = re.compile(r"(.*_)?(gru|lstm|rnn)(_?cell)?\d*|.*cell\d*", re.IGNORECASE)
_WAY_OUT = "give its tensors the names of a cell in docs/checkpoints.md that does the same"


def check_cells(modules: Sequence[Module]) -> None:
    """Raise UserError where norms stand in one module with the two matrices of a recurrent cell.

    Or where nothing is recurrent, but norms and matrices are in a module with such a name.
    """
    norms = [module for module in modules if is_norm(module)]
    linear = [module for module in modules if module.last.kind == "linear"]
    for parent in dict.fromkeys(_parent(norm) for norm in norms):
        own = [module for module in linear if _parent(module) == parent]
        for x in own:
            h = next((m for m in own if m is not x and _is_recurrent(m, x)), None)
            if h is not None:
                raise UserError(
                    f"{_named((x, h), norms, parent)}, but none that is known; {_WAY_OUT}"
                )
    if any(layer.cell.state for m in modules for stage in m.stages for layer in stage.layers):
        return
    for parent in dict.fromkeys(_parent(norm) for norm in norms):
        own = [module for module in linear if _parent(module) == parent]
        names = [part for part in parent.split(".") if _RECURRENT.fullmatch(part)]
        if own and names:
            raise UserError(f"{_named(own, norms, parent)}, but none that is known; {_WAY_OUT}")


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
