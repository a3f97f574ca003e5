# SPDX-License-Identifier: Apache-2.0
"""Kinds of cells as parameters of tests."""

from collections.abc import Iterable
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
