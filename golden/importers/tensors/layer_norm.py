# SPDX-License-Identifier: Apache-2.0
"""Layer normalization as a layer of its own: which tensors are one, and the layer of them."""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ...cells.norm import EPSILON, epsilons
from ...errors import UserError
from ...models.float_model import FloatLayer
from .layers import build_layer, by_name
from .layout import Layout
from .norm_layouts import NORM
from .refusals import names_other_norm

MOST_EPSILON = 1.0
"""Beyond it there is little left of a norm, and nothing that anybody trains."""
_SURE = re.compile(r"(.*[._])?(layer_?norms?|lns?)([._]?\d+|_\w+)?")
"""Names of modules that tell a norm without an offset from others that have a gain alone."""
_CELL = ("weight_ih", "weight_hh", "kernel", "recurrent_kernel", "weight_ih.weight")
"""Tensors of cells with norms of their own, which stand beside them."""
_BATCH = ("running_mean", "running_var", "moving_mean", "moving_variance")
"""Of batch normalization, beside gains and offsets."""


def is_norm(layout: Layout, prefix: str, tensors: Mapping[str, np.ndarray]) -> bool:
    """Whether the tensors of a module at `prefix` are a layer norm's, by names and shapes.

    One that stands in a cell is the cell's.
    """
    modules = [part for part in prefix.split(layout.separator) if part]
    before = layout.separator.join(modules[:-1])

    def there(parent: str, name: str) -> np.ndarray | None:
        return tensors.get(layout.separator.join(filter(None, (parent, name))))

    if names_other_norm(modules) or any(there(before, name) is not None for name in _CELL):
        return False
    if any(there(prefix, name) is not None for name in _BATCH):
        return False
    gain, offset = there(prefix, layout.gains[0].name), there(prefix, layout.offsets[0].name)
    if layout.separator == "/":
        return gain is not None or offset is not None
    if gain is None:  # an offset alone is a norm's that is not whole, or a linear layer's
        return offset is not None and offset.ndim == 1 and _names_norm(prefix)
    if gain.ndim != 1:
        return False
    return offset is not None or bool(_SURE.fullmatch(prefix.lower()))


def names_layer_norm(name: str) -> bool:
    """Whether a module is called after layer normalization: `ln1`, `layer_norm`, `LayerNorm_0`."""
    known = re.fullmatch(r".*layer_?norm.*", name.lower()) or _SURE.fullmatch(name.lower())
    return known is not None


def _names_norm(prefix: str) -> bool:
    """Whether a module is called after any norm, or stands in a list of them: `norms.0`."""
    own = re.sub(r"(\.\d+)+$", "", prefix.lower()).rpartition(".")[2]
    return "norm" in own or names_layer_norm(prefix)


def norm_layer(
    name: str,
    gain: np.ndarray,
    offset: np.ndarray | None = None,
    epsilon: float = EPSILON,
) -> FloatLayer:
    """A layer that normalizes its input; gain, offset: [units], None: 0.

    Raises UserError for an epsilon that no norm has.
    """
    layout = replace(NORM, epsilon=checked_epsilon(name, epsilon))
    tensors = {"weight": gain} | ({} if offset is None else {"bias": offset})
    return build_layer(layout, by_name(tensors), name)


def with_epsilon(layer: FloatLayer, epsilon: float) -> FloatLayer:
    """A layer with this epsilon in all of its norms, if it has any."""
    own = epsilons(layer.cell, layer.units, epsilon)
    return replace(layer, vectors={**layer.vectors, **own}) if own else layer


def checked_epsilon(what: str, epsilon: float) -> float:
    """The epsilon. Raises UserError where no norm has it."""
    if not 0 <= epsilon <= MOST_EPSILON:
        raise UserError(
            f"{what}: epsilon {epsilon:g} is not possible, it must be 0..{MOST_EPSILON:g}; "
            f"{EPSILON:g} is PyTorch's"
        )
    return float(epsilon)
