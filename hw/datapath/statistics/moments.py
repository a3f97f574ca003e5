# SPDX-License-Identifier: Apache-2.0
"""Mean and variance of each gate, from its sums."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...parts.pipeline import delay, select
from ...words import SLOTS, UNIT_BITS
from .words import MEAN_BITS, RECIPROCAL_BITS, SQUARES_BITS, TOTAL_BITS, VARIANCE_BITS

FRACTION_BITS = 10
"""Of the mean."""
PART = 17
"""Bits of a factor that a multiplier takes."""
QUOTIENT_BITS = MEAN_BITS - 1
"""Of a mean's magnitude; what the sum has above its dividend's place is less than the divisor."""
BITS_A_CYCLE = 2
"""Of a quotient."""
DIVISION = 1 + QUOTIENT_BITS // BITS_A_CYCLE
"""Cycles of a gate's division: loaded, divided."""

# Products of the parts of squares (S), reciprocal (c) and mean (m), the most significant first.
# With each, whether its lowest bit is PART bits below that of the one before, and whether it is
# taken off the sum.
_PRODUCTS: tuple[tuple[str, str, bool, bool], ...] = (
    ("S2", "c1", True, False),
    ("S2", "c0", True, False),
    ("S1", "c1", False, False),
    ("m1", "m1", False, True),
    ("S1", "c0", True, False),
    ("S0", "c1", False, False),
    ("m1", "m0", False, True),
    ("m1", "m0", False, True),
    ("S0", "c0", True, False),
    ("m0", "m0", False, True),
)
PRODUCTS = len(_PRODUCTS)
"""Cycles of a gate's variance, which fit into those of the next gate's mean."""
_WITHOUT_MEAN = next(n for n, (first, *_) in enumerate(_PRODUCTS) if first[0] == "m")
"""Products before the first one that takes the mean."""
_MULTIPLIES = DIVISION + 1 - _WITHOUT_MEAN
"""The cycle of a gate's first product, that in which it is loaded being 0."""
BEHIND = 3
"""Cycles from a gate's last product to its variance."""


def moments_cycles(starts: Sequence[int]) -> list[int]:
    """When the gates have their variances, whose sums are complete in the cycles `starts`."""
    loads: list[int] = []
    for start in starts:
        loads.append(max(start + 1, loads[-1] + DIVISION if loads else start))
    return [load + _MULTIPLIES + PRODUCTS - 1 + BEHIND for load in loads]


class Moments(wiring.Component):
    """Mean and variance as `golden.integer_lstm.layer_norm.normalized` has them.

        mean = divide(1024 total, units)
        variance = divide(squares reciprocal - mean**2, 2**20), or the guard where that is below 1

    A gate after the other, in the order of their numbers: each is divided two bits a cycle, which
    takes no multiplier, and then its variance is made with one multiplier, from parts of 17 bits,
    while the next gate is divided.

    LATENCY: `moments_cycles`.

    Members
    -------
    start : in, 1 bit
        The next gate's sums are complete.
    last : in, 1 bit
        With start: it is the layer's last gate.
    hold : in, 1 bit
        No gate is begun.
    units, reciprocal : in, unsigned
        Of the layer, held until the last variance.
    total_at, squares_at : out, range(SLOTS)
        Whose sums are needed.
    total, squares : in
        In the same cycle.
    guard : in, unsigned(VARIANCE_BITS)
        Of gate `gate`, in the same cycle.
    valid : out, 1 bit
        There is a variance; those of the gates are at least DIVISION cycles apart.
    gate : out, range(SLOTS)
    ends : out, 1 bit
        With valid: whose it is, and that it is the last gate's.
    variance : out, unsigned(VARIANCE_BITS)
        At least 1.
    mean_at : in, range(SLOTS)
    mean : out, signed(MEAN_BITS)
        Of gate mean_at in the same cycle; from the last variance until the next start.
    """

    start: Signal
    last: Signal
    hold: Signal
    units: Signal
    reciprocal: Signal
    total_at: Signal
    squares_at: Signal
    total: Signal
    squares: Signal
    guard: Signal
    valid: Signal
    gate: Signal
    ends: Signal
    variance: Signal
    mean_at: Signal
    mean: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "last": In(1),
                "hold": In(1),
                "units": In(unsigned(UNIT_BITS + 1)),
                "reciprocal": In(unsigned(RECIPROCAL_BITS)),
                "total_at": Out(range(SLOTS)),
                "squares_at": Out(range(SLOTS)),
                "total": In(signed(TOTAL_BITS)),
                "squares": In(unsigned(SQUARES_BITS)),
                "guard": In(unsigned(VARIANCE_BITS)),
                "valid": Out(1),
                "gate": Out(range(SLOTS)),
                "ends": Out(1),
                "variance": Out(unsigned(VARIANCE_BITS)),
                "mean_at": In(range(SLOTS)),
                "mean": Out(signed(MEAN_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Gates whose sums are complete, and those of them that are begun; all of them are there.
        come, begun, whole = Signal(range(SLOTS + 1)), Signal(range(SLOTS + 1)), Signal()
        load, left = Signal(), Signal(range(DIVISION))
        gate, is_last = Signal(range(SLOTS)), Signal()
        m.d.comb += [
            self.total_at.eq(begun),
            load.eq((left == 0) & (begun != come) & ~self.hold),
        ]
        with m.If(self.start):
            m.d.sync += [come.eq(come + 1), whole.eq(self.last)]
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(load):
            ends = whole & (begun + 1 == come)
            m.d.sync += [left.eq(DIVISION - 1), gate.eq(begun), is_last.eq(ends)]
            m.d.sync += begun.eq(begun + 1)
            with m.If(ends):
                m.d.sync += [come.eq(0), begun.eq(0), whole.eq(0)]

        # Means are read for a gate's products, and afterwards from outside.
        memory: Any = Memory(shape=unsigned(QUOTIENT_BITS + 1), depth=SLOTS, init=[])
        m.submodules.means = memory
        read, write = memory.read_port(domain="comb"), memory.write_port()
        sign, quotient = self._divider(m, load, left != 0)
        multiplies, turn = Signal(), Signal(range(PRODUCTS))
        owner, closes = Signal(range(SLOTS)), Signal()  # whose products they are
        with m.If(multiplies):
            m.d.sync += turn.eq(turn + 1)
            with m.If(turn == PRODUCTS - 1):
                m.d.sync += multiplies.eq(0)
        with m.If(left == DIVISION + 1 - _MULTIPLIES):
            m.d.sync += [multiplies.eq(1), turn.eq(0), owner.eq(gate), closes.eq(is_last)]
        m.d.comb += [
            write.addr.eq(gate),
            write.data.eq(Cat(quotient, sign)),
            write.en.eq(delay(m, left == 1, 1, "divided", reset=True)),
            read.addr.eq(Mux(multiplies, owner, self.mean_at)),
            self.squares_at.eq(owner),
        ]
        magnitude = read.data[:QUOTIENT_BITS]
        m.d.comb += self.mean.eq(Mux(read.data[-1], -magnitude, magnitude))
        self._variance(m, magnitude, turn)
        done = multiplies & (turn == PRODUCTS - 1)
        m.d.comb += [
            self.valid.eq(delay(m, done, BEHIND, "done", reset=True)),
            self.gate.eq(delay(m, owner, BEHIND, "owner")),
            self.ends.eq(delay(m, closes, BEHIND, "closes")),
        ]
        return m

    def _divider(self, m: Module, load: Value, divides: Value) -> tuple[Signal, Signal]:
        """A mean: its sign and its magnitude, when all bits are through.

        Quotient bits take the places that the dividend leaves. Its highest ones begin as the rest.
        """
        sign = Signal(reset_less=True)
        quotient = Signal(QUOTIENT_BITS, reset_less=True)
        rest = Signal(UNIT_BITS + 1, reset_less=True)
        with m.If(load):
            total = self.total
            magnitude = Mux(total[-1], -total, total)[:TOTAL_BITS]
            low = QUOTIENT_BITS - FRACTION_BITS
            m.d.sync += [
                sign.eq(total[-1]),
                quotient.eq(Cat(Const(0, FRACTION_BITS), magnitude[:low])),
                rest.eq(magnitude[low:]),
            ]
        with m.If(divides):
            found: list[Value] = []
            left: Value = rest
            for n in range(BITS_A_CYCLE):
                more = Cat(quotient[-1 - n], left)
                less = Signal(signed(UNIT_BITS + 3), name=f"less_{n}")
                m.d.comb += less.eq(more - self.units)
                left = Mux(less[-1], more, less)[: UNIT_BITS + 1]
                found.append(~less[-1])
            m.d.sync += [rest.eq(left), quotient.eq(Cat(*reversed(found), quotient))]
        return sign, quotient

    def _variance(self, m: Module, mean: Value, turn: Signal) -> None:
        """A product a cycle, and the sum of them all."""
        parts = {
            **{f"S{n}": self.squares[n * PART : (n + 1) * PART] for n in range(3)},
            **{f"c{n}": self.reciprocal[n * PART : (n + 1) * PART] for n in range(2)},
            **{f"m{n}": mean[n * PART : (n + 1) * PART] for n in range(2)},
        }
        factors = [Signal(PART, name=f"factor_{n}", reset_less=True) for n in range(2)]
        product = Signal(2 * PART, reset_less=True)
        firsts, seconds, falling, taken = zip(*_PRODUCTS, strict=True)
        for factor, names in zip(factors, (firsts, seconds), strict=True):
            distinct = list(dict.fromkeys(names))
            which = Array(Const(distinct.index(name), 3) for name in names)[turn]
            m.d.sync += factor.eq(select([parts[name] for name in distinct], which))
        m.d.sync += product.eq(factors[0] * factors[1])
        late = delay(m, turn, 2, "turn")
        falls, takes = Array(falling)[late], Array(taken)[late]
        total = Signal(signed(SQUARES_BITS + 11), reset_less=True)
        before = Mux(late == 0, 0, Mux(falls, total << PART, total))
        m.d.sync += total.eq(before + Mux(takes, -product, product))
        small = total < (1 << 20)
        m.d.comb += self.variance.eq(Mux(small, self.guard, total >> 20))
