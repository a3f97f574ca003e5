# SPDX-License-Identifier: Apache-2.0
"""The primitives of the integer contract (docs/arithmetic.md) as hardware.

`rshr`, `sat` and `sat16` are combinational and bear the names and the meaning of those in
`deltaloom.golden.arithmetic`; their results are as wide as they need to be, so nothing wraps.
`Rescale` is the pipelined rshr(value * mult, shift).
"""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, ValueLike, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from .pipeline import delay

__all__ = ["Rescale", "add_halves", "rescale_latency", "rshr", "sat", "sat16"]

LOW_BITS = 17
"""Bits of a wide factor's unsigned low part: with a zero sign bit it fills an 18-bit multiplier."""

FACTOR_BITS = 18
"""Widest signed factor of one hardware multiplier (ECP5 MULT18X18D)."""

MAX_VALUE_BITS = 2 * LOW_BITS + FACTOR_BITS
"""Widest value that `Rescale` takes, in three parts."""

SHIFT_STAGE_BITS = 3
"""Bits of the shift amount that one pipeline stage resolves: an 8-to-1 multiplexer."""

SMALL_STAGE_BITS = 2
"""The same where area counts for more than a cycle."""


def rshr(value: ValueLike, n: int | Value, *, low: int | None = None, high: int = 0) -> Value:
    """Shift right by `n`, half rounded toward plus infinity; negative `n` shifts left.

    rshr(v, n) = (v + 2**(n-1)) >> n for n > 0, v for n = 0, v << -n for n < 0, exactly. A value
    `n` must lie within low..high, by default all that its shape can hold.
    """
    value = Value.cast(value)
    if isinstance(n, int):
        if n <= 0:
            shifted: Value = value.shift_left(-n)
            return shifted
        return _half_up(_scaled(value, n))
    if low is None:
        shape = n.shape()
        low = -(1 << (shape.width - 1)) if shape.signed else 0
        high = (1 << (shape.width - shape.signed)) - 1
    if low > high:
        raise ValueError(f"rshr: low must not exceed high, got {low}..{high}")
    return _half_up(_scaled(value, low) >> _offset(n, low, high))


def add_halves(base: Value, halves: Value) -> Value:
    """base + rshr(halves, 1) in one adder: the half set in base, which is signed, rounds up."""
    total: Value = (Cat(1, base).as_signed() + halves).shift_right(1)
    return total


def sat(value: ValueLike, bits: int) -> Value:
    """Saturate to a signed integer of `bits` bits."""
    value = Value.cast(value)
    if not value.shape().signed:
        value = Cat(value, 0).as_signed()
    if len(value) <= bits:
        return Cat(value, value[-1].replicate(bits - len(value))).as_signed()
    sign, top = value[-1], value[bits - 1 :]
    fits = top.all() | ~top.any()
    return Cat(Mux(fits, value[: bits - 1], (~sign).replicate(bits - 1)), sign).as_signed()


def sat16(value: ValueLike) -> Value:
    """`sat` to 16 bits, the width of states, pre-activations and outputs."""
    return sat(value, 16)


def _scaled(value: Value, n: int) -> Value:
    """2 * value / 2**n, rounded down: the lowest bit left is the half that decides on rounding."""
    doubled: Value = value.shift_left(1 - n) if n <= 1 else value.shift_right(n - 1)
    return doubled


def _half_up(doubled: Value) -> Value:
    rounded: Value = (doubled + 1).shift_right(1)
    return rounded


def _offset(n: Value, low: int, high: int) -> Value:
    """n - low, unsigned, for n in low..high."""
    offset: Value = (n - low)[: bits_for(high - low)]
    return offset


def rescale_latency(
    value_bits: int,
    shift_min: int,
    shift_max: int,
    *,
    stage_bits: int = SHIFT_STAGE_BITS,
    rounds: bool = True,
    plain: bool = False,
) -> int:
    """Cycles of a `Rescale` with these parameters."""
    stages = len(_shift_stages(shift_min, shift_max, stage_bits))
    return (not plain) + 1 + _low_parts(value_bits) + stages + rounds


def _low_parts(value_bits: int) -> int:
    """How many unsigned parts of LOW_BITS a value has below its signed top."""
    return max(0, -(-(value_bits - FACTOR_BITS) // LOW_BITS))


def _shift_stages(shift_min: int, shift_max: int, stage_bits: int) -> list[tuple[int, int]]:
    """(lowest bit, bits) of the shift amount that each stage resolves, coarsest first."""
    bits = (shift_max - shift_min).bit_length()
    starts = range(0, bits, stage_bits)
    return [(at, min(stage_bits, bits - at)) for at in reversed(starts)]


class Rescale(wiring.Component):
    """Multiply by a 16-bit mantissa and shift right with rounding: o = rshr(value * mult, shift).

    LATENCY: `latency` cycles; there is no valid and no stall. THROUGHPUT: one result a cycle.

    The result must fit `out_bits`: the bits above are dropped, as whoever sets mult and shift
    proves that they only repeat the sign.

    Parameters
    ----------
    value_bits : int
        Width of value, 2..52; above 18, every 17 bits more take another multiplier and a cycle.
    shift_min, shift_max : int
        Range of shift, both ends included; negative shifts go left.
    out_bits : int
        Width of the result.
    mult_bits : int
        Width of mult, 2..18.
    stage_bits : int
        Bits of the shift amount that one cycle resolves. 2 takes more cycles than 3, and less
        area: a 4-to-1 multiplexer is two LUT4s, an 8-to-1 four and more.
    rounds : bool
        False leaves the rounding to an adder that comes anyway, and saves its cycle: o is then one
        bit wider, for `add_halves`.
    plain : bool
        True for operands that come from registers: there are none in front of the multiplier.

    Members
    -------
    value : in, signed(value_bits)
    mult : in, signed(mult_bits)
    shift : in, range(shift_min, shift_max + 1)
    o : out, signed(out_bits), or without `rounds` signed(out_bits + 1)
    """

    value: Signal
    mult: Signal
    shift: Signal
    o: Signal

    def __init__(
        self,
        *,
        value_bits: int,
        shift_min: int,
        shift_max: int,
        out_bits: int,
        mult_bits: int = 16,
        stage_bits: int = SHIFT_STAGE_BITS,
        rounds: bool = True,
        plain: bool = False,
    ) -> None:
        if not 2 <= value_bits <= MAX_VALUE_BITS:
            raise ValueError(f"value_bits must be 2..{MAX_VALUE_BITS}, got {value_bits!r}")
        if not 2 <= mult_bits <= FACTOR_BITS:
            raise ValueError(f"mult_bits must be 2..{FACTOR_BITS}, got {mult_bits!r}")
        if out_bits < 1:
            raise ValueError(f"out_bits must be positive, got {out_bits!r}")
        if shift_min > shift_max:
            raise ValueError(
                f"shift_min must not exceed shift_max, got {shift_min!r} and {shift_max!r}"
            )
        self.value_bits = value_bits
        self.shift_min = shift_min
        self.shift_max = shift_max
        self.out_bits = out_bits
        self.mult_bits = mult_bits
        self.stage_bits = stage_bits
        self.rounds = rounds
        self.plain = plain
        super().__init__(
            {
                "value": In(signed(value_bits)),
                "mult": In(signed(mult_bits)),
                "shift": In(Shape.cast(range(shift_min, shift_max + 1))),
                "o": Out(signed(out_bits + (not rounds))),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from operands to result."""
        return rescale_latency(
            self.value_bits,
            self.shift_min,
            self.shift_max,
            stage_bits=self.stage_bits,
            rounds=self.rounds,
            plain=self.plain,
        )

    @property
    def _low_parts(self) -> int:
        return _low_parts(self.value_bits)

    @property
    def _shift_stages(self) -> list[tuple[int, int]]:
        return _shift_stages(self.shift_min, self.shift_max, self.stage_bits)

    def elaborate(self, platform: object) -> Module:
        m = Module()

        def register(value: Value, name: str) -> Value:
            return delay(m, value, 1, name)

        before = 0 if self.plain else 1
        mult = delay(m, self.mult, before, "mult")
        lows, cut = self._low_parts, self._low_parts * LOW_BITS
        parts = [Cat(self.value[n * LOW_BITS :][:LOW_BITS], 0).as_signed() for n in range(lows)]
        parts.append(self.value[cut:].as_signed())
        products = [
            register(delay(m, part, before, f"value_{n}") * mult, f"product_{n}")
            for n, part in enumerate(parts)
        ]
        # Each sum settles LOW_BITS more of the product.
        product, cycle = products[0], before + 1
        for n, part in enumerate(products[1:], 1):
            settled = n * LOW_BITS
            top = delay(m, part, n - 1, f"product_{n}_late") + product.shift_right(settled)
            product = register(Cat(product[:settled], top).as_signed(), f"product_sum_{n}")
            cycle += 1
        # The true product needs no more than this; the sum's shape does not know.
        product = product[: self.value_bits + self.mult_bits].as_signed()

        shifted = _scaled(product, self.shift_min)
        stages = self._shift_stages
        if stages:
            amount = delay(m, _offset(self.shift, self.shift_min, self.shift_max), cycle, "amount")
        for index, (at, bits) in enumerate(stages):
            # Later stages shift by less than 2**at, so higher bits never reach the result.
            width = min(self.out_bits + (1 << at), len(shifted))
            part = Signal(unsigned(bits), name=f"part_{at}")
            m.d.comb += part.eq(amount[at:])
            shifted = register((shifted >> Cat((0,) * at, part))[:width].as_signed(), f"s_{index}")
            if index + 1 < len(stages):
                amount = register(amount, f"amount_s{index}")

        if not self.rounds:
            m.d.comb += self.o.eq(shifted)
            return m
        rounded = Signal(signed(self.out_bits), name="rounded", reset_less=True)
        m.d.sync += rounded.eq(_half_up(shifted))
        m.d.comb += self.o.eq(rounded)
        return m
