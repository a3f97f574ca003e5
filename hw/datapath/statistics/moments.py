# SPDX-License-Identifier: Apache-2.0
"""Mean and variance of each gate, from its sums."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...parts.pipeline import delay, select
from ...words import SLOTS, UNIT_BITS
from .words import MEAN_BITS, RECIPROCAL_BITS, SQUARES_BITS, TOTAL_BITS, VARIANCE_BITS

FRACTION_BITS = 10
"""Of the mean."""
PART = 17
"""Bits of a factor that a multiplier takes."""
DIVISION = TOTAL_BITS + FRACTION_BITS
"""Cycles of the division: a bit each."""

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
"""Cycles of one gate's variance."""
BEHIND = 3
"""Cycles from a gate's last product to its variance."""


def moments_cycles(gates: int) -> int:
    """Cycles from `start` to the variance of the last of so many gates."""
    return SLOTS + DIVISION + gates * PRODUCTS + BEHIND


class Moments(wiring.Component):
    """Mean and variance as `golden.integer_lstm.layer_norm.normalized` has them.

        mean = divide(1024 total, units)
        variance = divide(squares reciprocal - mean**2, 2**20), or the guard where that is below 1

    Gates are divided side by side, a bit a cycle, which takes no multiplier; their variances are
    made one after the other with one multiplier, from parts of 17 bits.

    LATENCY: `moments_cycles`.

    Members
    -------
    start : in, 1 bit
        All values are in the sums.
    gates : in, range(SLOTS + 1)
        How many there are, held until the last variance.
    units, reciprocal : in, unsigned
        Of the layer, held likewise.
    at : out, range(SLOTS)
        Whose sums and guard are needed.
    total, squares : in
        Of gate `at`, in the same cycle.
    guard : in, unsigned(VARIANCE_BITS)
        Of gate `at`, a cycle later.
    valid : out, 1 bit
        There is a variance; those of the gates come one after the other, `PRODUCTS` cycles apart.
    gate : out, range(SLOTS)
    last : out, 1 bit
        With valid: whose it is, and that it is the last gate's.
    variance : out, unsigned(VARIANCE_BITS)
        At least 1.
    mean_at : in, range(SLOTS)
    mean : out, signed(MEAN_BITS)
        Of gate mean_at in the same cycle; from the last variance until the next start.
    """

    start: Signal
    gates: Signal
    units: Signal
    reciprocal: Signal
    at: Signal
    total: Signal
    squares: Signal
    guard: Signal
    valid: Signal
    gate: Signal
    last: Signal
    variance: Signal
    mean_at: Signal
    mean: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "gates": In(range(SLOTS + 1)),
                "units": In(unsigned(UNIT_BITS + 1)),
                "reciprocal": In(unsigned(RECIPROCAL_BITS)),
                "at": Out(range(SLOTS)),
                "total": In(signed(TOTAL_BITS)),
                "squares": In(unsigned(SQUARES_BITS)),
                "guard": In(unsigned(VARIANCE_BITS)),
                "valid": Out(1),
                "gate": Out(range(SLOTS)),
                "last": Out(1),
                "variance": Out(unsigned(VARIANCE_BITS)),
                "mean_at": In(range(SLOTS)),
                "mean": Out(signed(MEAN_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        loads, divides, multiplies = Signal(), Signal(), Signal()
        left = Signal(range(DIVISION))
        at, turn = Signal(range(SLOTS)), Signal(range(PRODUCTS))
        m.d.comb += self.at.eq(at)
        with m.If(self.start):
            m.d.sync += [loads.eq(1), at.eq(0)]
        with m.If(loads):
            m.d.sync += at.eq(at + 1)
            with m.If(at == SLOTS - 1):
                m.d.sync += [loads.eq(0), divides.eq(1), left.eq(DIVISION - 1)]
        with m.If(divides):
            m.d.sync += left.eq(left - 1)
            with m.If(left == 0):
                m.d.sync += [divides.eq(0), multiplies.eq(1), at.eq(0), turn.eq(0)]
        ends, last = Signal(), Signal()
        m.d.comb += [ends.eq(turn == PRODUCTS - 1), last.eq(at == self.gates - 1)]
        with m.If(multiplies):
            m.d.sync += turn.eq(turn + 1)
            with m.If(ends):
                m.d.sync += [turn.eq(0), at.eq(at + 1), multiplies.eq(~last)]
        means = [self._divider(m, n, loads & (at == n), divides) for n in range(SLOTS)]
        whose = Mux(multiplies, at, self.mean_at)
        sign, quotient = (select(each, whose) for each in zip(*means, strict=True))
        m.d.comb += self.mean.eq(Mux(sign, -quotient, quotient))
        self._variance(m, quotient, turn)
        done = multiplies & ends
        m.d.comb += [
            self.valid.eq(delay(m, done, BEHIND, "done", reset=True)),
            self.gate.eq(delay(m, at, BEHIND, "at")),
            self.last.eq(delay(m, last, BEHIND, "last")),
        ]
        return m

    def _divider(self, m: Module, n: int, load: Value, divides: Signal) -> tuple[Signal, Signal]:
        """Gate n's mean: its sign and its magnitude, when all bits are through.

        Quotient bits take the places that the dividend leaves; its highest ones, which are 0, go
        out in front.
        """
        sign = Signal(name=f"sign_{n}", reset_less=True)
        quotient = Signal(TOTAL_BITS, name=f"quotient_{n}", reset_less=True)
        rest = Signal(UNIT_BITS + 1, name=f"rest_{n}", reset_less=True)
        with m.If(load):
            total = self.total
            m.d.sync += [sign.eq(total[-1]), quotient.eq(Mux(total[-1], -total, total)), rest.eq(0)]
        with m.If(divides):
            more = Cat(quotient[-1], rest)
            less = Signal(signed(UNIT_BITS + 3), name=f"less_{n}")
            m.d.comb += less.eq(more - self.units)
            m.d.sync += [
                rest.eq(Mux(less[-1], more, less)),
                quotient.eq(Cat(~less[-1], quotient)),
            ]
        return sign, quotient

    def _variance(self, m: Module, mean: Value, turn: Signal) -> None:
        """A product a cycle, and the sum of them all."""
        parts = {
            **{f"S{n}": self.squares[n * PART : (n + 1) * PART] for n in range(3)},
            **{f"c{n}": self.reciprocal[n * PART : (n + 1) * PART] for n in range(2)},
            **{f"m{n}": mean[: MEAN_BITS - 1][n * PART : (n + 1) * PART] for n in range(2)},
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
        guard = delay(m, self.guard, BEHIND - 1, "guard")
        m.d.comb += self.variance.eq(Mux(small, guard, total >> 20))
