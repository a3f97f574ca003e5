# SPDX-License-Identifier: Apache-2.0
"""The SRU cells (Lei et al. 2018): recurrent in their own unit only, with a highway skip."""

from amaranth.hdl import Const, Module, Signal, Value, signed

from ..parts.pipeline import delay
from .base import SKIP_LATENCY, STATE_LATENCY, Cell
from .pieces import blend, peephole

__all__ = ["Sru0Cell", "Sru4Cell", "SruCell"]


class SruCell(Cell):
    """The skip is the layer's input.

    f = sigmoid(sat16(p_f + rshr(v_f * c, s)));  c' = sat16(u + rshr(f * (c - u), 15));
    r = sigmoid(sat16(p_r + rshr(v_r * c, s)));  h' = sat16(skip + rshr(r * (c' - skip), 15)).

    Gates u, f, r; c, h, u and skip share one exponent; s is vector_shift. Two block RAMs, six
    multipliers.
    """

    GATES = 3
    READS = frozenset({"c", "vectors", "skip"})
    VECTORS = ("v_f", "v_r")
    LATENCY = 18

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Cycles 3-13.
        f = self._gate(m, self.p[1], self.vectors.v_f, "f")
        r = self._gate(m, self.p[2], self.vectors.v_r, "r")

        # Cycles 13-15.
        c_next = Signal(signed(16))
        c = delay(m, self.c, 13 - STATE_LATENCY, "c")
        u = delay(m, self.p[0], 13, "u")
        m.d.sync += c_next.eq(blend(m, u, c, f, "c"))

        # Cycles 16-18.
        r = delay(m, r, 3, "r")
        m.d.comb += [
            self.h_next.eq(blend(m, self._skip(m, 16), c_next, r, "h")),
            self.c_next.eq(delay(m, c_next, 2, "c_next")),
        ]
        return m

    def _gate(self, m: Module, p: Value, vector: Value, name: str) -> Value:
        """sigmoid(sat16(p + rshr(vector * c, vector_shift)))."""
        shift = delay(m, self.vector_shift, STATE_LATENCY, f"shift_{name}")
        p = delay(m, p, STATE_LATENCY, f"p_{name}")
        return peephole(m, p, self.c, vector, shift, f"sigmoid_{name}")

    def _skip(self, m: Module, cycle: int) -> Value:
        """The skip in `cycle`."""
        return delay(m, self.skip, cycle - SKIP_LATENCY, "skip")


class Sru4Cell(SruCell):
    """The same, with the skip as a fourth gate s, a product with the layer's input."""

    GATES = 4
    READS = frozenset({"c", "vectors"})

    def _skip(self, m: Module, cycle: int) -> Value:
        skip: Value = delay(m, self.p[3], cycle, "skip")
        return skip


class Sru0Cell(SruCell):
    """The same without a skip: it is 0."""

    READS = frozenset({"c", "vectors"})

    def _skip(self, m: Module, cycle: int) -> Value:
        return Const(0, signed(16))
