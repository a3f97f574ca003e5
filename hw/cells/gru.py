# SPDX-License-Identifier: Apache-2.0
"""The GRU cell with the reset gate after the product (Cho et al. 2014, as in cuDNN)."""

from amaranth.hdl import Module, Signal, signed

from ...golden import activations
from ..parts.arithmetic import sat16
from ..parts.pipeline import delay
from .activation import Activation
from .base import STATE_LATENCY, Cell
from .pieces import activate, add_rounded, blend

__all__ = ["GruCell"]


class GruCell(Cell):
    """n = tanh(sat16(p_nx + rshr(r * p_nh, 15)));  h' = sat16(n + rshr(z * (h - n), 15)).

    Gates r, z, nx, nh; r and z pass through sigmoid. Three block RAMs, five multipliers.
    """

    GATES = 4
    READS = frozenset({"h"})
    LATENCY = 12

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sigmoid, tanh = activations.sigmoid(), activations.tanh()

        # Cycles 0-3.
        r = activate(m, self.p[0], sigmoid, "sigmoid_r")
        z = activate(m, self.p[1], sigmoid, "sigmoid_z")
        p_nx = delay(m, self.p[2], Activation.LATENCY + 1, "p_nx")
        p_nh = delay(m, self.p[3], Activation.LATENCY, "p_nh")

        # Cycle 4.
        gated = Signal(signed(32))
        m.d.sync += gated.eq(r * p_nh)

        # Cycle 5.
        argument = Signal(signed(16))
        m.d.sync += argument.eq(sat16(add_rounded(p_nx, gated)))

        # Cycles 6-9.
        n = activate(m, argument, tanh, "tanh_n")

        # Cycles 10-12.
        h = delay(m, self.h, 10 - STATE_LATENCY, "h")
        z_late = delay(m, z, 11 - Activation.LATENCY, "z")
        m.d.comb += self.h_next.eq(blend(m, n, h, z_late, "h"))
        return m
