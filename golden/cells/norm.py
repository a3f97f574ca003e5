# SPDX-License-Identifier: Apache-2.0
"""Layer normalization (Ba et al. 2016) of values over a layer's units, for the cells that have it.

    d = v - mean(v);    y = d / sqrt(mean(d * d) + epsilon)

The mean is over the units, and over all the values that are normalized together: those of one
gate, or of all gates. Gains and offsets are the cells' vectors, and so is epsilon, the same for all
units: values may be scaled by a power of two, and epsilon by its square, which leaves y as it is.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .cell import Cell
from .stages import ALIKE
from .values import GATE, Format, V, Value, mean, over_root, relu, reread, rshr, sat16

__all__ = ["EPSILON", "LEAST", "SQUARE", "epsilons", "gained", "normalized"]

EPSILON = 1e-5
"""What is added to a variance, as in PyTorch."""
SQUARE = Format(2 * GATE.fraction)
"""Of a variance."""
LEAST = 2.0**-SQUARE.fraction
"""What is added besides the vector: a root's argument is positive, whatever that holds."""


def normalized(epsilon: Value, *values: Value) -> list[Value]:
    """Values in Q3.12, normalized together: y in Q3.12, which saturates at +-8."""
    average = mean(*values)
    centred = [v - average for v in values]
    variance = mean(*(d * d for d in centred)) + (relu(reread(epsilon, SQUARE)) + LEAST)
    return [sat16(over_root(d, variance, GATE)) for d in centred]


def gained(
    terms: Sequence[tuple[Value, Value]], offset: Value, *plain: Value, to: Format = GATE
) -> Value:
    """sat16 of the sum of gain * y over the terms (gain, y), the offset, and what is plain.

    to: the format of what is plain, and of the sum. Products and offset are rounded together.
    """
    total = rshr(offset, V + GATE)
    for gain, y in terms:
        total = total + gain * y
    result = rshr(total, to)
    for value in plain:
        result = result + value
    return sat16(result)


def epsilons(
    cell: Cell, units: int, epsilon: float = EPSILON
) -> dict[str, npt.NDArray[np.float32]]:
    """The vectors [units] of a cell whose norms all have this epsilon."""
    vector = np.full(units, epsilon - LEAST, np.float32)
    return {f"{ALIKE}{name}": vector for name in cell.norms}
