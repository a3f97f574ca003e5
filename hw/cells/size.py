# SPDX-License-Identifier: Apache-2.0
"""How much a cell's pipeline has of what takes area."""

from dataclasses import dataclass

__all__ = ["Size"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How much there is of what takes area, in bits but for tables and lookups.

    registers: flip-flops, without those inside a table and a multiplier's own. added, saturated,
    shifted: results of adders, of saturations, and of shifters in each of their cycles. lookups: of
    each table of every word, for how many magnitudes it has corrections. rescaled: of each
    rescaling of integer-only LSTMs, bits of the value, shifts, bits of the result.
    """

    tables: int
    multipliers: int
    registers: int
    added: int
    saturated: int
    shifted: int
    lookups: tuple[int, ...] = ()
    rescaled: tuple[tuple[int, tuple[int, int], int], ...] = ()
