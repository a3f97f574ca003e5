# SPDX-License-Identifier: Apache-2.0
"""What a cell's step takes and leaves, over a layer's units."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

__all__ = ["Numbers", "State", "named_inputs"]


class State(NamedTuple):
    """A layer's state over units: c int16 Q(e_c).(15-e_c), h int16 Q(e_h).(15-e_h), or reals."""

    c: np.ndarray
    h: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbers:
    """What a step needs besides pre-activations and state; in reals for a float step.

    c_exponent: e_c. vectors: by name [units], int16 Q(e_v).(15-e_v). vector_shift: 18 - e_v - e_c,
    which takes v * c to Q3.12; both are of no use to a float step.
    skip: [.., units] in the format of h, the layer's input times its scale; None: there is none.
    """

    c_exponent: int = 0
    vectors: Mapping[str, np.ndarray] = field(default_factory=dict)
    vector_shift: int = 0
    skip: np.ndarray | None = None


def named_inputs(
    p: Mapping[str, np.ndarray], state: State, numbers: Numbers
) -> Mapping[str, np.ndarray]:
    """All that a cell may read, by name."""
    skip = np.array(0) if numbers.skip is None else numbers.skip
    return {**p, "c": state.c, "h": state.h, **numbers.vectors, "skip": skip}
