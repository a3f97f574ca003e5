# SPDX-License-Identifier: Apache-2.0
"""The LSTM cells (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed

from ...golden import activations
from ...golden.cells import Q3_12
from ..parts.arithmetic import add_halves, rshr, sat16
from ..parts.pipeline import delay
from .activation import Activation
from .base import STATE_LATENCY, Cell
from .pieces import PEEPHOLE_LATENCY, activate, peephole

__all__ = ["LstmCell", "LstmCifgCell", "LstmPeepholeCell"]


class LstmCell(Cell):
    """c' = sat16(rshr(f*c, 15) + rshr(i*g, 15 + e_c));  h' = sat16(rshr(o * tanh(c'), 15)).

    Gates i, f, g, o; i, f and o pass through sigmoid and g through tanh. tanh(c') takes
    sat16(rshr(c', 3 - e_c)). c_exponent must be 0..7. Five block RAMs, eight multipliers.
    """

    GATES = 4
    READS = frozenset({"c"})
    LATENCY = 14
    MAX_C_EXPONENT = 7
    GATED: ClassVar[int] = Activation.LATENCY
    """Cycle in which `_gates` gives the gates; the cycles below count from a GATED of 4."""
    O_DELAY: ClassVar[int] = 0
    """Cycles that o comes later than tanh(c')."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Cycles 0-3.
        i, f, g = self._gates(m)
        c = delay(m, self.c, self.GATED - STATE_LATENCY, "c")
        e_c = delay(m, self.c_exponent[:3], self.GATED, "e_c")

        # Cycle 4.
        kept = Signal(signed(32))
        gained = Signal(signed(32))
        m.d.sync += [kept.eq(f * c), gained.eq(i * g)]
        e_c = delay(m, e_c, 1, "e_c_products")

        # Cycle 5: round the one product, align the other; its half bit waits for the next adder.
        kept_rounded = Signal(signed(17))
        gained_doubled = Signal(signed(18))
        m.d.sync += [
            kept_rounded.eq(rshr(kept, 15)),
            gained_doubled.eq(gained.shift_right(14) >> e_c),
        ]

        # Cycle 6: c' = sat16(kept + rshr(doubled, 1)).
        # Neither term leaves -32767..32767, so 17 bits hold the sum.
        c_next = Signal(signed(16))
        m.d.sync += c_next.eq(sat16(add_halves(kept_rounded, gained_doubled)[:17].as_signed()))
        e_c = delay(m, e_c, 2, "e_c_next")

        # Cycle 7: c' as Q3.12, doubled.
        left = self.MAX_C_EXPONENT - Q3_12
        doubled = Signal(signed(16 + left + 1))
        m.d.sync += doubled.eq(c_next.shift_left(left + 1) >> (self.MAX_C_EXPONENT - e_c)[:3])

        # Cycle 8: round and saturate. Only left shifts saturate and only right shifts round, so
        # whether it fits is known before it is rounded.
        sign, top = doubled[-1], doubled[16:]
        fits = top.all() | ~top.any()
        argument = Signal(signed(16))
        m.d.sync += argument.eq(
            Mux(fits, (doubled[:17] + 1)[1:17], Cat((~sign).replicate(15), sign))
        )

        # Cycles 9-12.
        tanh_c = activate(m, argument, activations.tanh(), "tanh_c")

        # Cycle 13. o <= 32767 and |tanh| <= 32767, so h needs no saturation.
        product = Signal(signed(32))
        o = self._output_gate(m, c_next)
        m.d.sync += product.eq(o * delay(m, tanh_c, self.O_DELAY, "tanh_c_late"))
        m.d.comb += [
            self.h_next.eq(rshr(product, 15)),
            self.c_next.eq(delay(m, c_next, 7 + self.O_DELAY, "c_next")),
        ]
        return m

    def _gates(self, m: Module) -> tuple[Value, Value, Value]:
        """i, f and g in Q0.15."""
        sigmoid, tanh = activations.sigmoid(), activations.tanh()
        return (
            activate(m, self.p[0], sigmoid, "sigmoid_i"),
            activate(m, self.p[1], sigmoid, "sigmoid_f"),
            activate(m, self.p[2], tanh, "tanh_g"),
        )

    def _output_gate(self, m: Module, c_next: Value) -> Value:
        """o in Q0.15, as late as tanh(c'): 9 cycles behind the other gates."""
        o = activate(m, self.p[self.GATES - 1], activations.sigmoid(), "sigmoid_o")
        return delay(m, o, self.GATED + 9 - Activation.LATENCY, "o")


class LstmCifgCell(LstmCell):
    """The same with coupled gates (Greff et al. 2017): i = 1 - f. Gates f, g, o."""

    GATES = 3
    LATENCY = LstmCell.LATENCY + 1
    GATED = LstmCell.GATED + 1

    def _gates(self, m: Module) -> tuple[Value, Value, Value]:
        sigmoid, tanh = activations.sigmoid(), activations.tanh()
        f = activate(m, self.p[0], sigmoid, "sigmoid_f")
        g = activate(m, self.p[1], tanh, "tanh_g")
        i = Signal(signed(16), reset_less=True)  # f is 1..32767, so i is too
        m.d.sync += i.eq(32768 - f)
        return i, delay(m, f, 1, "f"), delay(m, g, 1, "g")


class LstmPeepholeCell(LstmCell):
    """The same with peepholes (Gers et al. 2002): the gates see the cell state.

    i = sigmoid(sat16(p_i + rshr(v_i * c, s))), f likewise; o = sigmoid(sat16(p_o +
    rshr(v_o * c', s))); s is vector_shift. Three multipliers more.
    """

    READS = frozenset({"c", "vectors"})
    VECTORS = ("v_i", "v_f", "v_o")
    GATED = STATE_LATENCY + PEEPHOLE_LATENCY
    O_DELAY = 3 + PEEPHOLE_LATENCY - 9
    LATENCY = LstmCell.LATENCY + GATED - LstmCell.GATED + O_DELAY

    def _gates(self, m: Module) -> tuple[Value, Value, Value]:
        i, f, g = (delay(m, gate, STATE_LATENCY, f"p_{n}") for n, gate in enumerate(self.p[:3]))
        shift = delay(m, self.vector_shift, STATE_LATENCY, "shift")
        late_g = activate(m, g, activations.tanh(), "tanh_g")
        return (
            peephole(m, i, self.c, self.vectors.v_i, shift, "sigmoid_i"),
            peephole(m, f, self.c, self.vectors.v_f, shift, "sigmoid_f"),
            delay(m, late_g, PEEPHOLE_LATENCY - Activation.LATENCY, "g"),
        )

    def _output_gate(self, m: Module, c_next: Value) -> Value:
        """o comes as late as its own peephole takes from c'."""
        there = self.GATED + 3
        p = delay(m, self.p[3], there, "p_o")
        v = delay(m, self.vectors.v_o, there - STATE_LATENCY, "v_o")
        shift = delay(m, self.vector_shift, there, "shift_o")
        return peephole(m, p, c_next, v, shift, "sigmoid_o")
