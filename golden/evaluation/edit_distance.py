# SPDX-License-Identifier: Apache-2.0
"""Levenshtein's distance between two sequences of integers."""

import numpy as np
import numpy.typing as npt


def edit_distance(wanted: npt.ArrayLike, given: npt.ArrayLike) -> int:
    """Fewest insertions, deletions and substitutions that turn `wanted` [n] into `given` [m].

    Row by row of the usual table; within a row, an insertion costs 1 more per place, so that the
    best one ends where row - place has been least so far.
    """
    a, b = np.asarray(wanted), np.asarray(given)
    places = np.arange(len(b) + 1)
    row = places.copy()
    for n, symbol in enumerate(a):
        new = row + 1  # deletions
        new[1:] = np.minimum(new[1:], row[:-1] + (b != symbol))
        new[0] = n + 1
        row = np.minimum.accumulate(new - places) + places  # insertions
    return int(row[-1])
