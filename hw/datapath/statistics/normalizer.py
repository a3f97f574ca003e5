# SPDX-License-Identifier: Apache-2.0
"""From a gate's value, with mean and deviation, to its normalised, weighted and rescaled value."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...parts.arithmetic import LOW_BITS
from ...parts.pipeline import delay
from ...parts.rescale_twice import (
    MULT_BITS,
    RescaleTwice,
    high_product_cycles,
    rescale_twice_latency,
)
from .inverse_root import MOST_SHIFT, VALUE_BITS
from .moments import FRACTION_BITS
from .words import MEAN_BITS

SCALED_BITS = 23
"""Of the weighted value, without the mean's fraction."""
MOST_SPARE_SHIFT = 31


def unit_shifts(peephole: bool) -> tuple[int, int]:
    """The lowest and the highest shift of the first rescaler."""
    return 0, MOST_SPARE_SHIFT if peephole else MOST_SHIFT


def unit_cycles(peephole: bool) -> int:
    """Cycles from the value to its distance from the mean in deviations; those of the rescaler."""
    return 1 + rescale_twice_latency(VALUE_BITS, unit_shifts(peephole))


PRODUCT_CYCLES = 1 + high_product_cycles(VALUE_BITS)
"""Cycles from a spare value to its product with the spare multiplier."""


def weight_cycle(peephole: bool) -> int:
    """The cycle in which gain and bias are taken."""
    return unit_cycles(peephole)


def scale_cycle(peephole: bool) -> int:
    """The cycle in which the last multiplier and shift are taken."""
    return unit_cycles(peephole) + 4


def normalizer_latency(peephole: bool, shifts: tuple[int, int]) -> int:
    """Cycles from the value to the result."""
    return scale_cycle(peephole) + rescale_twice_latency(SCALED_BITS, shifts)


class Normalizer(wiring.Component):
    """`golden.integer_lstm.layer_norm.normalized` from the mean and the inverse root on.

        u = rescale(1024 value - mean, mult, -shift)
        t = divide(wrap32(u * gain + bias) +- 512, 1024)
        o = sat16(rescale(t, scale_mult, -scale_shift))

    Its first rescaler may be used by others while no value comes.

    LATENCY: `normalizer_latency`. THROUGHPUT: a value a cycle. Ten multipliers of 18 x 18 bits.

    Parameters
    ----------
    peephole : bool
        The spare shift reaches to 31; otherwise it is that of a value.
    shifts : pair of int
        Lowest and highest scale_shift; negative ones go left.

    Members
    -------
    value, mean : in, signed(16), signed(MEAN_BITS)
    mult, shift : in, unsigned(31), range
        Of the inverse root; with the value.
    spare : in, 1 bit
        The rescaler takes these instead: spare_value, spare_mult and shift.
    spare_value, spare_mult : in, signed(32), unsigned(31)
    unit : out, signed(32)
        What the rescaler gives, `unit_cycles` later.
    product : out, signed(32)
        The same for a shift of 0, `PRODUCT_CYCLES` later.
    gain, bias : in, signed(16), signed(32)
        In cycle `weight_cycle`, the value's being 0.
    scale_mult, scale_shift : in, unsigned(31), range of shifts
        In cycle `scale_cycle`; from registers.
    o : out, signed(16)
    """

    value: Signal
    mean: Signal
    mult: Signal
    shift: Signal
    spare: Signal
    spare_value: Signal
    spare_mult: Signal
    unit: Signal
    product: Signal
    gain: Signal
    bias: Signal
    scale_mult: Signal
    scale_shift: Signal
    o: Signal

    def __init__(self, *, peephole: bool, shifts: tuple[int, int]) -> None:
        self.peephole = peephole
        self.shifts = shifts
        super().__init__(
            {
                "value": In(signed(16)),
                "mean": In(signed(MEAN_BITS)),
                "mult": In(unsigned(MULT_BITS)),
                "shift": In(range(unit_shifts(peephole)[1] + 1)),
                "spare": In(1),
                "spare_value": In(signed(VALUE_BITS)),
                "spare_mult": In(unsigned(MULT_BITS)),
                "unit": Out(signed(VALUE_BITS)),
                "product": Out(signed(VALUE_BITS)),
                "gain": In(signed(16)),
                "bias": In(signed(32)),
                "scale_mult": In(unsigned(MULT_BITS)),
                "scale_shift": In(Shape.cast(range(shifts[0], shifts[1] + 1))),
                "o": Out(signed(16)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unit = unit = RescaleTwice(
            value_bits=VALUE_BITS, shifts=unit_shifts(self.peephole), out_bits=VALUE_BITS
        )
        value = Signal(signed(VALUE_BITS), reset_less=True)
        mult = Signal(MULT_BITS, reset_less=True)
        distance = Cat((0,) * FRACTION_BITS, self.value).as_signed() - self.mean
        m.d.sync += [
            value.eq(Mux(self.spare, self.spare_value, distance)),
            mult.eq(Mux(self.spare, self.spare_mult, self.mult)),
        ]
        m.d.comb += [
            unit.value.eq(value),
            unit.mult.eq(mult),
            unit.shift.eq(delay(m, self.shift, 1, "shift")),
            self.unit.eq(unit.o),
            self.product.eq(unit.high),
        ]

        # Weighted: the low 32 bits of two products and the bias; then rounded, halves away from 0.
        low = Cat(unit.o[:LOW_BITS], 0).as_signed()
        parts = [
            delay(m, (part * self.gain)[:VALUE_BITS], 1, f"part_{n}")
            for n, part in enumerate((low, unit.o[LOW_BITS:].as_signed()))
        ]
        product = delay(m, (parts[0] + (parts[1] << LOW_BITS))[:VALUE_BITS], 1, "product")
        weighted = (product + delay(m, self.bias, 2, "bias"))[:VALUE_BITS].as_signed()
        weighted = delay(m, weighted, 1, "weighted")
        scaled = (weighted + 511 + ~weighted[-1]).shift_right(FRACTION_BITS)

        m.submodules.scale = scale = RescaleTwice(
            value_bits=SCALED_BITS, shifts=self.shifts, out_bits=16
        )
        m.d.comb += [
            scale.value.eq(delay(m, scaled[:SCALED_BITS].as_signed(), 1, "scaled")),
            scale.mult.eq(self.scale_mult),
            scale.shift.eq(self.scale_shift),
            self.o.eq(scale.o),
        ]
        return m
