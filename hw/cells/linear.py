# SPDX-License-Identifier: Apache-2.0
"""The linear cell: its output is its one pre-activation."""

from amaranth.hdl import Module

from ..parts.pipeline import delay
from .base import STATE_LATENCY, Cell

__all__ = ["LinearCell"]


class LinearCell(Cell):
    """y = p: h_next is p, c_next is 0."""

    GATES = 1
    READS = frozenset()
    LATENCY = STATE_LATENCY

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.h_next.eq(delay(m, self.p[0], self.LATENCY, "y"))
        return m
