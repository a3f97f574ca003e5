# SPDX-License-Identifier: Apache-2.0
"""The rescaling of integer-only LSTMs: a 31-bit multiplier, and two roundings."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import LOW_BITS, SMALL_STAGE_BITS, sat
from .pipeline import delay
from .round_float import RoundFloat, round_float_latency

__all__ = [
    "MULT_BITS",
    "RescaleTwice",
    "high_product_cycles",
    "rescale_multipliers",
    "rescale_twice_latency",
]

MULT_BITS = 31
"""Of a multiplier, which is never negative: Q0.31."""
_TOP_BITS = 18
"""Of the signed part of a value, or of a multiplier's part with its sign bit."""


def rescale_twice_latency(
    value_bits: int, shifts: tuple[int, int], float_shifts: tuple[int, int] | None = None
) -> int:
    """Cycles of a `RescaleTwice` with these parameters."""
    behind = [_twice_cycles(shifts)]
    if float_shifts is not None:
        behind.append(round_float_latency(float_shifts) + 1)
    return 1 + len(_parts(value_bits)) + max(behind)


def _twice_cycles(shifts: tuple[int, int]) -> int:
    """Behind the product."""
    return (shifts[0] < 0) + 1 + len(_stages(*shifts)) + 1


def high_product_cycles(value_bits: int) -> int:
    """Cycles to `RescaleTwice.high`, where no shift goes left."""
    return 1 + len(_parts(value_bits)) + 1


def rescale_multipliers(value_bits: int) -> int:
    """Multipliers of 18 x 18 bits of a `RescaleTwice` of such values."""
    return 2 * len(_parts(value_bits))


def _parts(value_bits: int) -> list[int]:
    """The lowest bit of each part of a value that a multiplier takes."""
    return [0, *range(LOW_BITS, value_bits - _TOP_BITS + LOW_BITS, LOW_BITS)]


def _stages(low: int, high: int) -> list[tuple[int, int]]:
    """(lowest bit, bits) of the shift to the right that each stage resolves, coarsest first."""
    bits = (max(high, 0) - max(low, 0)).bit_length()
    starts = range(0, bits, SMALL_STAGE_BITS)
    return [(at, min(SMALL_STAGE_BITS, bits - at)) for at in reversed(starts)]


class RescaleTwice(wiring.Component):
    """o = `golden.integer_lstm.arithmetic.rescale(value, mult, -shift)`, saturated.

    The product with mult / 2**31 is rounded half up; what is then shifted to the right is rounded
    once more, halves away from zero. What is shifted to the left is so before the product, and
    must fit 32 bits then.

    LATENCY: `rescale_twice_latency` cycles; there is no valid and no stall. THROUGHPUT: one result
    a cycle. Two multipliers of 18 x 18 bits for a value of 18 bits, two more for every 17 bits.

    Parameters
    ----------
    value_bits : int
        Width of value.
    shifts : pair of int
        Lowest and highest shift, -30..31; negative ones go left.
    out_bits : int
        Width of the result, which is saturated to it.

    float_shifts : pair of int, optional
        Lowest and highest shift of what is rounded as float32; None: there is no `floats`.

    Members
    -------
    value : in, signed(value_bits)
    mult : in, unsigned(31)
        Q0.31. Both come from registers.
    shift : in, range of shifts
    floats : in, 1 bit
        Only with float_shifts: o is the float32 product of value and mult / 2**(31 + shift),
        rounded to an integer, halves to even, and saturated (`RoundFloat`).
    high : out, signed(value_bits)
        The product, rounded half up, `high_product_cycles` after value; for a shift of 0, and only
        where no shift goes left.
    o : out, signed(out_bits)
    """

    value: Signal
    mult: Signal
    shift: Signal
    floats: Signal
    high: Signal
    o: Signal

    def __init__(
        self,
        *,
        value_bits: int,
        shifts: tuple[int, int],
        out_bits: int,
        float_shifts: tuple[int, int] | None = None,
    ) -> None:
        if not -MULT_BITS < shifts[0] <= shifts[1] <= MULT_BITS:
            raise ValueError(f"shifts must be within -30..31 and in order, got {shifts!r}")
        if value_bits < 2 or out_bits < 2:
            raise ValueError(
                f"value_bits and out_bits must be at least 2, got {value_bits!r} and {out_bits!r}"
            )
        lows, highs = zip(shifts, float_shifts or shifts, strict=True)
        self.value_bits = value_bits
        self.shifts = shifts
        self.out_bits = out_bits
        self.float_shifts = float_shifts
        super().__init__(
            {
                "value": In(signed(value_bits)),
                "mult": In(unsigned(MULT_BITS)),
                "shift": In(Shape.cast(range(min(lows), max(highs) + 1))),
                **({"floats": In(1)} if float_shifts else {}),
                **({"high": Out(signed(value_bits))} if shifts[0] >= 0 else {}),
                "o": Out(signed(out_bits)),
            }
        )

    @property
    def latency(self) -> int:
        """`rescale_twice_latency` of its parameters."""
        return rescale_twice_latency(self.value_bits, self.shifts, self.float_shifts)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        product, cycles = self._product(m), 1 + len(_parts(self.value_bits))
        shift = delay(m, self.shift, cycles, "shift")
        twice = self._twice(m, product, shift)
        left = self.latency - cycles - _twice_cycles(self.shifts)
        found = delay(m, sat(twice, self.out_bits), left, "twice_late")
        if self.float_shifts is not None:
            m.submodules.float = rounds = RoundFloat(
                bits=self.value_bits + MULT_BITS, shifts=self.float_shifts, out_bits=self.out_bits
            )
            m.d.comb += [rounds.product.eq(product), rounds.shift.eq(shift)]
            left = self.latency - cycles - rounds.latency - 1
            floats = delay(m, self.floats, self.latency - 1, "floats")
            found = Mux(floats, delay(m, rounds.o, left, "float_late"), found)
        m.d.comb += self.o.eq(delay(m, found, 1, "o"))
        return m

    def _twice(self, m: Module, product: Value, shift: Value) -> Value:
        """The product over 2**31, rounded, shifted and rounded again; no register behind that."""
        # Twice the product over 2**31, rounded down: its lowest bit decides on rounding.
        low, high = self.shifts
        left = max(0, -low)
        doubled: Value = product >> (30 - left)
        if left:
            back = Mux(shift < 0, left + shift, left)[: left.bit_length()]
            doubled = delay(m, doubled >> back, 1, "doubled")
            shift = delay(m, shift, 1, "shift_late")
        doubled = doubled[: self.value_bits + 1 + left].as_signed()

        # Rounded; and 1 less where it is negative and to be rounded again, away from zero.
        down = doubled[-1] & (shift > 0)
        rounded = (doubled + Cat(1, down).as_signed()).shift_right(1)
        rounded = delay(m, rounded[: self.value_bits + 1 + left].as_signed(), 1, "rounded")
        if not left:
            m.d.comb += self.high.eq(rounded)
        right = Mux(shift > 0, shift, 0) - max(low, 0)

        # Twice that, shifted to the right and rounded down; then half of it, rounded.
        twice = Cat(0, rounded).as_signed().shift_right(max(low, 0))
        stages = _stages(low, high)
        amount = delay(m, right[: max(sum(bits for _, bits in stages), 1)], 1, "amount")
        for n, (at, bits) in enumerate(stages):
            part = Signal(unsigned(bits), name=f"part_{at}")
            m.d.comb += part.eq(amount[at:])
            twice = delay(m, twice >> Cat((0,) * at, part), 1, f"shifted_{n}")
            amount = delay(m, amount, 1, f"amount_{n}")
        return (twice + 1).shift_right(1)[: len(twice)].as_signed()

    def _product(self, m: Module) -> Value:
        """value * mult, in as many cycles as value has parts, and one."""
        starts = _parts(self.value_bits)
        parts = [Cat(self.value[at : at + LOW_BITS], 0).as_signed() for at in starts[:-1]]
        parts.append(self.value[starts[-1] :].as_signed())
        factors = [Cat(self.mult[:LOW_BITS], 0).as_signed(), Cat(self.mult[LOW_BITS:], 0)]
        total: Value | None = None
        for n, part in enumerate(parts):
            products = [
                delay(m, part * factor.as_signed(), 1, f"product_{n}_{k}")
                for k, factor in enumerate(factors)
            ]
            whole = delay(m, products[0] + (products[1] << LOW_BITS), 1, f"product_{n}")
            if total is None:
                total = whole
                continue
            # Each sum settles LOW_BITS more of the product.
            settled = starts[n]
            top = delay(m, whole, n - 1, f"product_{n}_late") + total.shift_right(settled)
            total = delay(m, Cat(total[:settled], top).as_signed(), 1, f"total_{n}")
        assert total is not None
        return total[: self.value_bits + MULT_BITS].as_signed()
