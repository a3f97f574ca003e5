# SPDX-License-Identifier: Apache-2.0
"""The light GRU cell (Ravanelli et al. 2018): no reset gate, and ReLU for its candidate."""

from amaranth.hdl import Module, Mux

from ...golden import activations
from ..parts.pipeline import delay
from .base import STATE_LATENCY, Cell
from .pieces import activate, blend

__all__ = ["LigruCell"]


class LigruCell(Cell):
    """a = max(p_a, 0);  h' = sat16(a + rshr(z * (h - a), 15)).

    Gates a, z; z passes through sigmoid, p_a is in h's format. One block RAM, two multipliers.
    """

    GATES = 2
    READS = frozenset({"h"})
    LATENCY = 5

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a = Mux(self.p[0] < 0, 0, self.p[0])[:16].as_signed()

        # Cycles 0-3.
        z = activate(m, self.p[1], activations.sigmoid(), "sigmoid_z")

        # Cycles 3-5: h is the last to come, z one cycle later.
        a = delay(m, a, STATE_LATENCY, "a")
        m.d.comb += self.h_next.eq(blend(m, a, self.h, z, "h"))
        return m
