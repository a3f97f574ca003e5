# SPDX-License-Identifier: Apache-2.0
"""1 / sqrt of each gate's variance, by Newton's method on one multiplier."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ....golden.integer_lstm.layer_norm import HALF_SQRT_2, STEPS
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
_PRODUCTS = 3 * STEPS + 1
"""Of a gate, one after the other."""
_RESTS = 3
"""Of a gate whose root is there, in place of the product that is next."""


def root_cycles(product_cycles: int, variances: Sequence[int]) -> int:
    """When the gates have their roots, whose variances come in the cycles `variances`: `done`."""
    begun: list[int] = []
    for gate, came in enumerate(variances):
        asks = came + NORMALISED + 1
        begun.append(asks + (begun[0] + gate - asks) % product_cycles if begun else asks)
    return begun[-1] + _PRODUCTS * product_cycles + 1


class InverseRoot(wiring.Component):
    """(mult, shift) = `golden.integer_lstm.layer_norm.inverse_root` of each gate's variance.

    The multiplier is whoever's has time. Gates take turns on it, each of which uses the product of
    its turn before: a step x := x (3 - v x^2) / 2 takes three, of x^2, of x^3 by that, and of v x^3
    by that, as 1.5 x is a sum.

    LATENCY: `root_cycles`.

    Parameters
    ----------
    product_cycles : int
        From `value` and `factor` to `product`; at least `SLOTS`.

    Members
    -------
    valid : in, 1 bit
        There is a variance; those of a layer's gates come in the order of their numbers.
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
        placed, gate, is_last, half, shift = self._normalise(m)
        turn = Signal(range(self.product_cycles))
        last_turn, mine, whose = Signal(), Signal(), Signal(range(SLOTS))
        m.d.comb += [
            last_turn.eq(turn == self.product_cycles - 1),
            whose.eq(turn),
            mine.eq(turn < SLOTS),
        ]
        m.d.sync += turn.eq(Mux(last_turn | ~self.runs, 0, turn + 1))
        with m.If(placed):
            m.d.sync += self.runs.eq(1)

        # Of each gate: which of its step's products is next, and which step; it begins anew.
        kinds = Array(Signal(2, name=f"kind_{n}", init=_RESTS) for n in range(SLOTS))
        steps = Array(Signal(range(STEPS + 1), name=f"step_{n}") for n in range(SLOTS))
        news = Array(Signal(name=f"new_{n}") for n in range(SLOTS))
        whole, last_gate = Signal(), Signal(range(SLOTS))
        kind, step, new = Signal(2), Signal(range(STEPS + 1)), Signal()
        found, ends = Signal(), Signal()
        m.d.comb += [
            kind.eq(Mux(mine, kinds[whose], _RESTS)),
            step.eq(steps[whose]),
            new.eq(news[whose]),
            found.eq((step == STEPS) & (kind == 1)),
            ends.eq(found & whole & (whose == last_gate)),
        ]
        with m.If(kind != _RESTS):
            m.d.sync += [news[whose].eq(0), kinds[whose].eq(Mux(found, _RESTS, kind + 1))]
            with m.If(kind == 2):
                m.d.sync += [kinds[whose].eq(0), steps[whose].eq(step + 1)]
        with m.If(placed):
            m.d.sync += [kinds[gate].eq(0), steps[gate].eq(0), news[gate].eq(1)]
            with m.If(is_last):
                m.d.sync += [whole.eq(1), last_gate.eq(gate)]
        m.d.sync += self.done.eq(ends)
        with m.If(ends):
            m.d.sync += [self.runs.eq(0), whole.eq(0)]

        # What the product before is, and the next one is asked for with.
        x, halves, linear, mults, shifts = self._memories(m)
        product = self.product
        raised = Cat(Const(0, 6), product[: VALUE_BITS - 1])
        too_large = raised[VALUE_BITS - 1 :].any()
        high = (1 << (VALUE_BITS - 1)) - 1
        next_x = Signal(MULT_BITS)
        difference = (linear[0].data - product)[:VALUE_BITS]
        m.d.comb += next_x.eq(Mux(new, 1 << 28, difference << 3))
        with m.Switch(kind):
            with m.Case(0):
                m.d.comb += self.value.eq(next_x)
                m.d.comb += self.factor.eq(Mux(step == STEPS, HALF_SQRT_2, next_x))
            with m.Case(1):
                m.d.comb += [self.value.eq(product), self.factor.eq(x[0].data)]
            with m.Default():
                m.d.comb += self.value.eq(Mux(too_large, high, raised))
                m.d.comb += self.factor.eq(halves[0].data)

        m.d.comb += [read.addr.eq(whose) for read, _ in (x, halves, linear)]
        m.d.comb += [write.addr.eq(whose) for _, write in (x, linear, mults)]
        m.d.comb += [write.addr.eq(gate) for _, write in (halves, shifts)]
        m.d.comb += [write.en.eq(placed) for _, write in (halves, shifts)]
        m.d.comb += [read.addr.eq(self.at) for read, _ in (mults, shifts)]
        m.d.comb += [
            x[1].data.eq(next_x),
            x[1].en.eq(kind == 0),
            # 1.5 x is x ONE_HALF_THREE / 2**31, rounded half up.
            linear[1].data.eq((x[0].data + (x[0].data << 1) + 8) >> 4),
            linear[1].en.eq(kind == 1),
            halves[1].data.eq(half),
            shifts[1].data.eq(shift),
            mults[1].data.eq(product),
            mults[1].en.eq(found),
        ]
        # A shift to the left comes after all, and 1 has none.
        right, mult = shifts[0].data, mults[0].data
        places = [mult, Const((1 << MULT_BITS) - 1), mult << 2, mult << 1]
        m.d.comb += [
            self.shift.eq(Mux(right[-1], 0, right)),
            self.mult.eq(select(places, Mux(right[-1], right[:2], 0)[:2])),
        ]
        return m

    def _memories(self, m: Module) -> list[tuple[Any, Any]]:
        """(read, write) ports of x, v / 2, 1.5 x, the multiplier, the shift."""
        ports = []
        for name, shape in (
            ("x", unsigned(MULT_BITS)),
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
