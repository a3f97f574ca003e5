# SPDX-License-Identifier: Apache-2.0
"""Norms without parameters, of which a TorchScript program tells that they are there, and where."""

from collections.abc import Sequence

import numpy as np

from .modules import Module
from .norm_places import is_norm
from .tensors.directions import one
from .tensors.layer_norm import norm_layer
from .torchscript import BARE, LINEAR, NORM, RECURRENT

__all__ = ["with_bare_norms"]


def with_bare_norms(modules: Sequence[Module], calls: Sequence[str]) -> list[Module]:
    """The modules in order, with norms where a program calls those that have no tensors.

    Where its other calls are not these modules, they stay as they are.
    """
    wanted = [call for call in calls if call != BARE]
    if BARE not in calls or wanted != [_called(module) for module in modules]:
        return list(modules)
    left, placed = list(modules), list[Module]()
    for call in calls:
        if call != BARE:
            placed.append(left.pop(0))
            continue
        width = placed[-1].widths[0] if placed else left[0].inputs
        if left and placed and left[0].inputs in placed[-1].widths:
            width = left[0].inputs  # of one direction or both
        layer = norm_layer(f"norm.{len(placed)}", np.ones(width, np.float32))
        placed.append(Module(layer.name, (one(layer),)))
    return placed


def _called(module: Module) -> str:
    if is_norm(module):
        return NORM
    return RECURRENT if module.last.cell.state else LINEAR
