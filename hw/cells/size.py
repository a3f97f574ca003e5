# SPDX-License-Identifier: Apache-2.0
"""How much a cell's pipeline has of what takes area."""

from dataclasses import dataclass

__all__ = ["Size"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How much there is of what takes area, in bits but for the tables.

    registers: flip-flops, without those inside a table and a multiplier's own. added, saturated,
    shifted: results of adders, of saturations, and of shifters in each of their cycles.
    """

    tables: int
    multipliers: int
    registers: int
    added: int
    saturated: int
    shifted: int
