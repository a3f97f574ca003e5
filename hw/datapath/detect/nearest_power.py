# SPDX-License-Identifier: Apache-2.0
"""The signed power of two nearest to a delta: the delta mode `power_of_two` of the encoders."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ....golden.arithmetic import WIDTHS


class NearestPower(wiring.Component):
    """step = the signed power of two nearest to d, reached = reference + step.

    Ties, and steps that would carry the reference out of its code's range, take the next smaller
    one (docs/arithmetic.md). What comes out for d = 0 means nothing.

    LATENCY: `latency` cycles. THROUGHPUT: one a cycle.

    Parameters
    ----------
    code_bits : int
        The largest code width.

    Members
    -------
    d : in, signed(code_bits + 1)
        The code less the reference.
    reference : in, signed(code_bits)
    width : in, 2 bits
        Of the codes, as an index into `WIDTHS`; it stays the same until the results are there.
    step : out, signed(code_bits + 1)
        What is sent.
    reached : out, signed(code_bits)
        The reference from then on.
    """

    latency = 3

    def __init__(self, *, code_bits: int) -> None:
        self._bits = code_bits
        super().__init__(
            {
                "d": In(signed(code_bits + 1)),
                "reference": In(signed(code_bits)),
                "width": In(2),
                "step": Out(signed(code_bits + 1)),
                "reached": Out(signed(code_bits)),
            }
        )

    d: Signal
    reference: Signal
    width: Signal
    step: Signal
    reached: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self._bits
        # |d| and its sign.
        size = Signal(bits)
        negative = Signal(2)
        references = [Signal(signed(bits), name=f"reference_{n}") for n in range(2)]
        m.d.sync += [
            size.eq(abs(self.d)),
            negative.eq(Cat(self.d < 0, negative[0])),
            references[0].eq(self.reference),
            references[1].eq(references[0]),
        ]
        # The leading one; the nearest power is one higher where 1.5 times that is exceeded.
        small, more = Signal(bits), Signal()
        for k in range(bits):
            with m.If(size[k]):  # a later one, which is higher, wins
                m.d.sync += [
                    small.eq(1 << k),
                    more.eq((size[k - 1] & size[: k - 1].any()) if k > 1 else 0),
                ]
        # Both ways, and whether the larger one ends in the code's range.
        down: Any = Signal(signed(bits + 1))
        up: Any = Signal(signed(bits + 2))
        nearer, farther = Signal(signed(bits + 2)), Signal(signed(bits + 2))
        fits = Signal()
        m.d.comb += [
            down.eq(Mux(negative[1], -small, small)),
            up.eq(down << 1),
            nearer.eq(references[1] + down),
            farther.eq(references[1] + up),
        ]
        with m.Switch(self.width):
            for n, width in enumerate(WIDTHS):
                if width <= bits:
                    top = farther[width - 1 :]
                    with m.Case(n):
                        m.d.comb += fits.eq(~top.any() | top.all())
        m.d.sync += [
            self.step.eq(Mux(more & fits, up, down)),
            self.reached.eq(Mux(more & fits, farther, nearer)),
        ]
        return m
