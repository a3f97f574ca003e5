# SPDX-License-Identifier: Apache-2.0
"""The interface of a cost: what a candidate takes, or saves."""

from typing import Protocol

from .work import Found

WORK, NETWORK, RUN = range(3)
"""What a cost must know: bits alone, the quantized network, or what fired in a run."""


class Cost(Protocol):
    """What a candidate costs, or saves.

    Members
    -------
    title, unit: for tables and charts.
    more: more of it is better.
    needs: `WORK`, `NETWORK` or `RUN`.
    """

    @property
    def title(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def more(self) -> bool: ...
    @property
    def needs(self) -> int: ...

    def __call__(self, found: Found) -> float: ...
