# SPDX-License-Identifier: Apache-2.0
"""The GRU cell with the reset gate before the product (Cho et al. 2014), in two stages.

The candidate's recurrent path reads r * h, which is known only when all of r is: the first stage
puts it out and leaves z in c, the second takes the candidate's pre-activations.
"""

from amaranth.hdl import Const, Module, Signal, signed

from ...golden import activations
from ..parts.pipeline import delay
from .activation import Activation
from .base import STATE_LATENCY, Cell
from .pieces import activate, add_rounded, blend

__all__ = ["GruResetCell", "GruUpdateCell"]


class GruResetCell(Cell):
    """out = rshr(r * h, 15);  c' = z;  h' = h.

    Gates r, z; both pass through sigmoid. Two block RAMs, three multipliers.
    """

    GATES = 2
    READS = frozenset({"h"})
    LATENCY = Activation.LATENCY + 1
    HAS_OUT = True

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sigmoid = activations.sigmoid()

        # Cycles 0-3.
        r = activate(m, self.p[0], sigmoid, "sigmoid_r")
        z = activate(m, self.p[1], sigmoid, "sigmoid_z")
        h = delay(m, self.h, Activation.LATENCY - STATE_LATENCY, "h")

        # Cycle 4.
        product = Signal(signed(32), reset_less=True)
        m.d.sync += product.eq(r * h)
        m.d.comb += [
            self.out.eq(add_rounded(Const(0, 1), product)),
            self.c_next.eq(delay(m, z, 1, "z")),
            self.h_next.eq(delay(m, h, 1, "h_late")),
        ]
        return m


class GruUpdateCell(Cell):
    """n = tanh(p_n);  h' = sat16(n + rshr(c * (h - n), 15));  c' = 0.  c is the other stage's z.

    Gate n. One block RAM, two multipliers.
    """

    GATES = 1
    READS = frozenset({"c", "h"})
    LATENCY = Activation.LATENCY + 2
    CONTINUES = True

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # Cycles 0-3.
        n = activate(m, self.p[0], activations.tanh(), "tanh_n")

        # Cycles 4-6.
        h = delay(m, self.h, Activation.LATENCY - STATE_LATENCY, "h")
        z = delay(m, self.c, Activation.LATENCY - STATE_LATENCY + 1, "z")
        m.d.comb += self.h_next.eq(blend(m, n, h, z, "h"))
        return m
