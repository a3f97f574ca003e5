# SPDX-License-Identifier: Apache-2.0
"""Kinds of cells, and crossed parameters, of which a part is slow."""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import pytest

FEW = (
    *("lstm", "lstm_cifg", "lstm_peephole", "lstm_hard", "gru", "gru_before", "ligru"),
    *("sru", "sru0", "sru4", "ind_rnn", "fast_grnn", "linear"),
)
"""Kinds that have every operation, one and two stages, c and h, vectors and skip among them: those
of tests that run a datapath around the cell. tests/hw/cells has each cell's circuit alone."""


def few_first(kinds: Iterable[str]) -> list[Any]:
    """Parameters for all kinds, of which only `FEW` are not slow."""
    return [k if k in FEW else pytest.param(k, marks=pytest.mark.slow) for k in kinds]


def normed_last(kinds: Iterable[str]) -> list[Any]:
    """Parameters for all kinds, of which those with layer normalization are slow, but for one that
    has all that they have: products normalized apart, and the cell state.
    """
    normed = {kind for kind in kinds if "_norm" in kind} - {"lstm_norm_xh_out"}
    return [pytest.param(k, marks=pytest.mark.slow) if k in normed else k for k in kinds]


def crossed(*axes: Sequence[Any]) -> list[Any]:
    """All combinations of the axes' values, of which only the n-th values of all are not slow.

    A shorter axis begins anew, so that every value is in a case that is not slow, but for those
    that are `pytest.param` and slow themselves.
    """
    longest = max(map(len, axes))
    quick = {tuple(n % len(axis) for axis in axes) for n in range(longest)}
    cases = []
    for at in product(*(range(len(axis)) for axis in axes)):
        chosen = [axis[n] for axis, n in zip(axes, at, strict=True)]
        chosen = [one if isinstance(one, _PARAM) else pytest.param(one) for one in chosen]
        marks = [mark for one in chosen for mark in one.marks]
        marks += [] if at in quick or marks else [pytest.mark.slow]
        cases.append(pytest.param(*(one.values[0] for one in chosen), marks=marks))
    return cases


_PARAM = type(pytest.param())
