# SPDX-License-Identifier: Apache-2.0
"""Layer normalization as a layer of its own: of what a matrix, mostly 1, makes of its input."""

from .cell import describe
from .norm import gained, normalized
from .values import C, Value

__all__ = ["layer_norm"]


@describe(
    x="y",
    c_like_h=True,
    norms={"y": "y"},
)
def layer_norm(y: Value, gain_y: Value, bias_y: Value, epsilon_y: Value) -> dict[str, Value]:
    """c is h once more, whose format no shift may depend on."""
    (y,) = normalized(epsilon_y, y)
    h = gained([(gain_y, y)], bias_y, to=C)
    return {"c": h, "h": h}
