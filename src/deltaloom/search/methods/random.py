# SPDX-License-Identifier: Apache-2.0
"""Genomes at random, each once: what any method should beat."""

import numpy as np

from ..evaluations import Evaluations

AT_ONCE = 40
"""Genomes that are asked for together."""
TRIES = 100
"""Draws without a new genome before the space counts as used up."""


def search(evaluations: Evaluations, rng: np.random.Generator) -> None:
    """See `Method`."""
    tops = np.array(evaluations.space.tops) + 1
    while True:
        new: dict[tuple[int, ...], None] = {}
        tries = 0
        while len(new) < AT_ONCE and tries < TRIES:
            levels = tuple(rng.integers(0, tops).tolist())
            tries = 0 if levels not in evaluations.full and levels not in new else tries + 1
            if not tries:
                new[levels] = None
        if not new:
            return
        evaluations.measure(new)
