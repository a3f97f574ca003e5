# SPDX-License-Identifier: Apache-2.0
"""A product rounded to float32, and then to an integer."""

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import sat
from .pipeline import delay

__all__ = ["RoundFloat", "round_float_latency"]

SIGNIFICANT = 24
"""Bits of a float32 value."""
FRACTION = SIGNIFICANT + 1
"""Of a fraction: half of a unit in the last place of the least value that is not rounded to 0."""
REACH = 9
"""Bits of an integer part; what is beyond is saturated."""


def round_float_latency(shifts: tuple[int, int]) -> int:
    """Cycles of a `RoundFloat` with these parameters."""
    return 3 + (shifts[0] < shifts[1])


class RoundFloat(wiring.Component):
    """o = rint(float32(product / 2**(31 + shift))), halves to even both times.

    A value that float32 makes a half is one that is within half a unit in the last place of it, and
    so it goes to the even neighbour; all others go to the nearest. The unit in the last place of
    n + 1/2 follows from n. Results beyond +-2**9 are any that are no nearer to 0.

    LATENCY: `round_float_latency` cycles. THROUGHPUT: one result a cycle.

    Parameters
    ----------
    bits : int
        Width of product.
    shifts : pair of int
        Lowest and highest shift, from -6 on.
    out_bits : int
        Width of the result.

    Members
    -------
    product : in, signed(bits)
    shift : in, signed
        Within shifts.
    o : out, signed(out_bits)
    """

    product: Signal
    shift: Signal
    o: Signal

    def __init__(self, *, bits: int, shifts: tuple[int, int], out_bits: int) -> None:
        least = FRACTION - 31
        if not least <= shifts[0] <= shifts[1] <= 31:
            raise ValueError(f"shifts must be within {least}..31 and in order, got {shifts!r}")
        if out_bits < REACH + 2:
            raise ValueError(f"out_bits must be at least {REACH + 2}, got {out_bits!r}")
        self.bits = bits
        self.shifts = shifts
        self.out_bits = out_bits
        super().__init__(
            {
                "product": In(signed(bits)),
                "shift": In(Shape.cast(range(shifts[0], shifts[1] + 1))),
                "o": Out(signed(out_bits)),
            }
        )

    @property
    def latency(self) -> int:
        """`round_float_latency` of its parameters."""
        return round_float_latency(self.shifts)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        low, high = self.shifts
        product: Value = self.product
        if low < high:  # all of them as with the highest shift
            left = Signal(range(high - low + 1))
            m.d.comb += left.eq(high - self.shift)
            product = delay(m, product << left, 1, "aligned")
        below = 31 + high - FRACTION
        sticky, fraction = product[:below].any(), product[below : below + FRACTION]
        whole = product[below + FRACTION :].as_signed()

        # How far it is from a half: `apart` above it, or `apart` + 1 below it.
        upper = fraction[-1]
        apart = fraction[:-1] ^ (~upper).replicate(FRACTION - 1)
        n = delay(m, sat(whole, REACH + 1), 1, "n")
        upper = delay(m, upper, 1, "upper")
        exact = delay(m, ~sticky, 1, "exact")
        far = delay(m, apart[REACH + 1 :].any(), 1, "far")
        near = delay(m, apart[: REACH + 1], 1, "near")

        # Half a unit in the last place is 2**(E - 24), E the exponent of the half: all bits up to
        # the highest one of n, and 1.
        magnitude = n[:REACH] ^ n[-1].replicate(REACH)
        within = Cat(*(magnitude[k:].any() for k in range(REACH)), Const(0, 1))
        limit = Cat(1, within[:-1]) & ~within
        is_half = ~far & (~(near & ~within).any() | (upper & exact & (near == limit)))
        up = delay(m, Mux(is_half, n[0], upper), 1, "up")
        n = delay(m, n, 1, "n_late")
        result = delay(m, n + Cat(up, 0).as_signed(), 1, "result")
        m.d.comb += self.o.eq(result)
        return m
