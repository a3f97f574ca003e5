# SPDX-License-Identifier: Apache-2.0
"""1 / sqrt of each gate's variance, by Newton's method on one multiplier."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ....golden.integer_lstm.layer_norm import HALF_SQRT_2, ONE_HALF_THREE, STEPS
from ...parts.pipeline import delay, select
from ...parts.rescale_twice import MULT_BITS
from ...words import SLOTS
from .words import VARIANCE_BITS

VALUE_BITS = 32
MOST_SHIFT = 12
LARGE = 29
"""Bits of the greatest variance that is not divided by 4 first."""
NORMALISED = 3
"""Cycles from a variance to its place between 1/4 and 1."""
_ISSUES = 2 * SLOTS
_PHASES = 3 * STEPS + 1


def _period(product_cycles: int) -> int:
    """Cycles of a phase: until all gates have their products."""
    return max(_ISSUES, product_cycles + 1)


def root_cycles(product_cycles: int) -> int:
    """Cycles from the last variance to `done`."""
    return NORMALISED + (_PHASES - 1) * _period(product_cycles) + _ISSUES + product_cycles


class InverseRoot(wiring.Component):
    """(mult, shift) = `golden.integer_lstm.layer_norm.inverse_root` of each gate's variance.

    The multiplier is whoever's has time: each phase asks for two products of each gate in turn, of
    which it may use one. A step x := x (3 - v x^2) / 2 is three phases, as x^3 comes of x^2, and
    v x^3 of that; 1.5 x is the second product of the first.

    LATENCY: `root_cycles`.

    Parameters
    ----------
    product_cycles : int
        From `value` and `factor` to `product`.

    Members
    -------
    valid : in, 1 bit
        There is a variance; while `runs` is low.
    gate : in, range(SLOTS)
    last : in, 1 bit
        With valid: whose it is, and that the last one of all has come.
    variance : in, unsigned(VARIANCE_BITS)
        At least 1.
    runs : out, 1 bit
        The multiplier is needed.
    value, factor : out, signed(32), unsigned(31)
    product : in, signed(32)
        value * factor / 2**31, rounded half up, product_cycles later.
    done : out, 1 bit
        Pulses when all gates have theirs.
    at : in, range(SLOTS)
    mult, shift : out, unsigned(31), range(MOST_SHIFT + 1)
        Of gate `at`, in the same cycle; the shift goes right.
    """

    valid: Signal
    gate: Signal
    last: Signal
    variance: Signal
    runs: Signal
    value: Signal
    factor: Signal
    product: Signal
    done: Signal
    at: Signal
    mult: Signal
    shift: Signal

    def __init__(self, *, product_cycles: int) -> None:
        self.product_cycles = product_cycles
        super().__init__(
            {
                "valid": In(1),
                "gate": In(range(SLOTS)),
                "last": In(1),
                "variance": In(unsigned(VARIANCE_BITS)),
                "runs": Out(1),
                "value": Out(signed(VALUE_BITS)),
                "factor": Out(unsigned(MULT_BITS)),
                "product": In(signed(VALUE_BITS)),
                "done": Out(1),
                "at": In(range(SLOTS)),
                "mult": Out(unsigned(MULT_BITS)),
                "shift": Out(range(MOST_SHIFT + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        placed, gate, begins, half, shift = self._normalise(m)
        phase, turn = Signal(range(_PHASES)), Signal(range(_period(self.product_cycles)))
        kind = Signal(2)  # of the phase in its step
        last_phase, last_turn = Signal(), Signal()
        m.d.comb += [
            last_phase.eq(phase == _PHASES - 1),
            last_turn.eq(turn == _period(self.product_cycles) - 1),
        ]
        with m.If(begins):
            m.d.sync += [self.runs.eq(1), phase.eq(0), turn.eq(0), kind.eq(0)]
        with m.If(self.runs):
            m.d.sync += turn.eq(turn + 1)
            with m.If(last_turn):
                m.d.sync += [turn.eq(0), phase.eq(phase + 1)]
                m.d.sync += [kind.eq(Mux(kind == 2, 0, kind + 1)), self.runs.eq(~last_phase)]

        # Asked for: x x and 1.5 x, then x^2 x, then x^3 v / 2; at last x / sqrt(2).
        asked = turn[1:][:2]
        second = turn[0]
        x, cube, halves, linear, mults, shifts = self._memories(m)
        m.d.comb += [read.addr.eq(asked) for read, _ in (x, cube, halves)]
        is_first = (kind == 0) & ~last_phase
        m.d.comb += [
            self.value.eq(Mux(kind == 0, x[0].data, cube[0].data)),
            self.factor.eq(
                Mux(
                    last_phase,
                    HALF_SQRT_2,
                    Mux(
                        kind == 2,
                        halves[0].data,
                        Mux(is_first & second, ONE_HALF_THREE, x[0].data),
                    ),
                )
            ),
        ]

        # What comes; the last gate's at the end.
        there = delay(m, self.runs & (turn < _ISSUES), self.product_cycles, "there", reset=True)
        tags = Cat(asked, second, kind, last_phase)
        tag = delay(m, tags, self.product_cycles, "tag")
        whose, is_second, was, final = tag[:2], tag[2], tag[3:5], tag[5]
        product = self.product
        m.d.sync += self.done.eq(there & final & (whose == SLOTS - 1) & ~is_second)
        squared = there & (was == 0) & ~final
        cubed, stepped = there & (was == 1) & ~is_second, there & (was == 2) & ~is_second
        raised = Cat(Const(0, 6), product[: VALUE_BITS - 1])
        too_large = raised[VALUE_BITS - 1 :].any()
        high = (1 << (VALUE_BITS - 1)) - 1
        difference = (linear[0].data - product)[:VALUE_BITS]
        m.d.comb += [
            linear[0].addr.eq(whose),
            cube[1].addr.eq(whose),
            cube[1].data.eq(Mux(was == 0, product, Mux(too_large, high, raised))),
            cube[1].en.eq((squared & ~is_second) | cubed),
            linear[1].addr.eq(whose),
            linear[1].data.eq(product),
            linear[1].en.eq(squared & is_second),
            x[1].addr.eq(Mux(placed, gate, whose)),
            x[1].data.eq(Mux(placed, 1 << 28, difference << 3)),
            x[1].en.eq(placed | stepped),
            halves[1].addr.eq(gate),
            halves[1].data.eq(half),
            halves[1].en.eq(placed),
            shifts[1].addr.eq(gate),
            shifts[1].data.eq(shift),
            shifts[1].en.eq(placed),
            mults[1].addr.eq(whose),
            mults[1].data.eq(product),
            mults[1].en.eq(there & final & ~is_second),
            mults[0].addr.eq(self.at),
            shifts[0].addr.eq(self.at),
        ]
        # A shift to the left comes after all, and 1 has none.
        found, mult = shifts[0].data, mults[0].data
        places = [mult, Const((1 << MULT_BITS) - 1), mult << 2, mult << 1]
        m.d.comb += [
            self.shift.eq(Mux(found[-1], 0, found)),
            self.mult.eq(select(places, Mux(found[-1], found[:2], 0)[:2])),
        ]
        return m

    def _memories(self, m: Module) -> list[tuple[Any, Any]]:
        """(read, write) ports of x, x^2 or x^3, v / 2, 1.5 x, the multiplier, the shift."""
        ports = []
        for name, shape in (
            ("x", unsigned(MULT_BITS)),
            ("cube", unsigned(MULT_BITS)),
            ("half", unsigned(VARIANCE_BITS - 1)),
            ("linear", unsigned(MULT_BITS)),
            ("mult", unsigned(MULT_BITS)),
            ("shift", signed(5)),
        ):
            memory: Any = Memory(shape=shape, depth=SLOTS, init=[])
            m.submodules[name] = memory
            ports.append((memory.read_port(domain="comb"), memory.write_port()))
        return ports

    def _normalise(self, m: Module) -> tuple[Any, Any, Any, Any, Any]:
        """(there, gate, whether it is the last, half of what is within 1/4 and 1, shift)."""
        # Within 2**29.
        large = self.variance[LARGE:].any()
        start = Signal(LARGE, reset_less=True)
        was_large = Signal(reset_less=True)
        m.d.sync += [
            start.eq(Mux(large, self.variance >> 2, self.variance)),
            was_large.eq(large),
        ]
        # How many pairs of bits are 0 below the top: (31 - bits) // 2 - 1.
        pairs = Signal(4, reset_less=True)
        value = Signal(LARGE, reset_less=True)
        counted = Signal(4)
        m.d.comb += counted.eq(14)
        for n in reversed(range(14)):  # the lowest pair first, so that the highest one decides
            with m.If(start[27 - 2 * n : 29 - 2 * n].any()):
                m.d.comb += counted.eq(n)
        late_large = delay(m, was_large, 1, "large")
        m.d.sync += [pairs.eq(counted), value.eq(start)]
        # Shifted, and halved: a = (start << 2 pairs) >> 1 has 28 bits.
        half = Signal(VARIANCE_BITS - 1, reset_less=True)
        shift = Signal(signed(5), reset_less=True)
        shifted = (value << Cat(0, pairs))[:30]
        m.d.sync += [
            half.eq(((shifted >> 1) + 1) >> 1),
            shift.eq(11 + late_large - pairs),  # -3 for 1 alone
        ]
        there = delay(m, self.valid, NORMALISED, "placed", reset=True)
        gate = delay(m, self.gate, NORMALISED, "gate")
        last = delay(m, self.last, NORMALISED, "last")
        return there, gate, there & last, half, shift
