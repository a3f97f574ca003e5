# SPDX-License-Identifier: Apache-2.0
"""The change detector: quantizes a value, compares it with what was sent last, sends what changed.

q = sat(rshr(v * mult, shift) + zero, bits);  d = q - x̂;  fires iff |d| > threshold, and then x̂ = q;
or, in the mode `power_of_two`, x̂ goes one step of a power of two towards q. Where words are codes,
q is v.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ....golden.arithmetic import WIDTHS
from ....golden.delta import EXACT, POWER_OF_TWO
from ...parts.arithmetic import SMALL_STAGE_BITS, Rescale, add_halves, rescale_latency
from ...parts.memory import MemoryWrite, Table, block_ram
from ...parts.pipeline import delay
from ..events.words import ListWriter
from .nearest_power import NearestPower
from .words import Context, Element, ThresholdWrite

REFERENCE_CYCLES = 3
"""From an element to its reference: address, memory, register."""


def recovery(shifts: tuple[int, int] | None, modes: Sequence[str]) -> int:
    """As `DeltaEncoder.recovery`, from its parameters."""
    later = NearestPower.latency if POWER_OF_TWO in modes else 0
    return _scaled_after(shifts) + 4 + later


def _scaled_after(shifts: tuple[int, int] | None) -> int:
    """Cycles from an element to what the rescaler makes of it, and its reference's address."""
    if shifts is None:
        return REFERENCE_CYCLES
    rescale = rescale_latency(16, *shifts, stage_bits=SMALL_STAGE_BITS, rounds=False, plain=True)
    return max(rescale, REFERENCE_CYCLES)


class DeltaEncoder(wiring.Component):
    """Finds the elements that changed and appends them to an event list.

    `start` loads a context and opens its list; the elements follow from the next cycle on. The
    element marked `end` closes the list with it. A source's elements must be through (`busy`
    low) before the next start.

    LATENCY: `recovery` cycles from a source's last element to the first of the next start.
    THROUGHPUT: an element a cycle.

    Parameters
    ----------
    references : int
        Depth of the memory of the references x̂.
    code_bits : int
        The largest code width.
    shifts : pair of int, optional
        Lowest and highest shift of the quantizers; None: elements are codes.
    thresholds : list of int
        Initial threshold of each list.
    modes : sequence of str
        What it can send; where it can do both, the context's record says which.
    initial : list of int, optional
        The references before a sequence's first step; None: the code of zero, for all.
    slice_bits : int
        This is one of 2**slice_bits encoders that share a source: element j is at address
        j >> slice_bits.

    Members
    -------
    start : in, 1 bit
        Begins a source's step.
    context : in, `Context`
        With start: of the step.
    i : in, `Element`
        The source's elements, in any order, `end` with the last.
    events : out, `ListWriter(code_bits + 1)`
        What changed. `taken` is not looked at: a start waits until the bank is free.
    set_threshold : in, `ThresholdWrite`
        From the host; taken over at the next start.
    busy : out, 1 bit
        Elements are on their way.
    load : in, `MemoryWrite(references, code_bits)`
        Writes the initial references; only where there are any.
    """

    def __init__(
        self,
        *,
        references: int,
        code_bits: int,
        shifts: tuple[int, int] | None,
        thresholds: list[int],
        modes: tuple[str, ...] = (EXACT,),
        initial: list[int] | None = None,
        slice_bits: int = 0,
    ) -> None:
        self._initial = initial
        self._slice_bits = slice_bits
        self._references = references
        self._code_bits = code_bits
        self._thresholds = thresholds
        self._modes = modes
        self._shifts = shifts
        super().__init__(
            {
                "start": In(1),
                "context": In(Context),
                "i": In(Element),
                "events": Out(ListWriter(code_bits + 1)),
                "set_threshold": In(ThresholdWrite),
                "busy": Out(1),
                **({} if initial is None else {"load": In(MemoryWrite(references, code_bits))}),
            }
        )

    @property
    def recovery(self) -> int:
        """Least cycles from a source's last element to the first after the next start, which comes
        as soon as `busy` is low.
        """
        return recovery(self._shifts, self._modes)

    start: Signal
    context: data.View
    i: data.View
    events: Any
    set_threshold: data.View
    busy: Signal
    load: Any

    def elaborate(self, platform: object) -> Module:
        m = Module()
        references = block_ram(signed(self._code_bits), depth=self._references)
        m.submodules.references = references
        context, threshold = self._begin(m)
        record = context.record

        # Quantize: rescale; round, add the zero point, saturate to the code's width.
        cycles = _scaled_after(self._shifts)
        scaled = delay(m, self.i, cycles, "scaled", reset=True)
        shifted = scaled.value
        if self._shifts is not None:
            shifted = add_halves(record.zero, self._product(m, record, self._shifts))
        q = Signal(signed(self._code_bits))
        m.d.sync += q.eq(_saturated(shifted, record.width, self._code_bits))
        quantized = delay(m, scaled, 1, "quantized", reset=True)

        # The reference arrives together with the code; at a sequence's start it is the code of 0.
        # Its address is there early, so that registers stand on both sides of the memory.
        read = references.read_port()
        place = Signal.like(read.addr)
        early = delay(m, self.i, cycles - REFERENCE_CYCLES, "early", reset=True)
        m.d.sync += place.eq(self._address(record, early))
        m.d.comb += read.addr.eq(place)
        kept_code = delay(m, read.data, 1, "kept_code")
        start = delay(m, self._start(m, read.addr, record.zero), 1, "start_code")
        known = Mux(context.first, start, kept_code)
        reference = Signal(signed(self._code_bits))
        high, low = Signal((known + threshold).shape()), Signal((known - threshold).shape())
        m.d.sync += [
            reference.eq(known),
            high.eq(known + threshold),
            low.eq(known - threshold),
        ]

        # Compare and send: |q - reference| > threshold.
        d = Signal(signed(self._code_bits + 1))
        fires: Value = Signal()
        m.d.sync += [
            d.eq(q - reference),
            fires.eq(((q > high) | (q < low)) & quantized.valid & record.enable),
        ]
        fired = delay(m, quantized, 1, "fired", reset=True)
        written = REFERENCE_CYCLES + 1
        code = delay(m, q, 1, "code", reset=True)
        kept = delay(m, reference, 1, "kept", reset=True)
        step = Value.cast(d)
        if POWER_OF_TWO in self._modes:
            nearest = self._nearest(m, step, kept, record.width)
            late = nearest.latency
            written += late
            fired = delay(m, fired, late, "fired_late", reset=True)
            fires = delay(m, fires, late, "fires_late", reset=True)
            code = delay(m, code, late, "code_late", reset=True)
            kept = delay(m, kept, late, "kept_late", reset=True)
            step = delay(m, step, late, "step_late", reset=True)
            power = record.power_of_two if EXACT in self._modes else Const(1)
            step, code = Mux(power, nearest.step, step), Mux(power, nearest.reached, code)
        write = references.write_port()
        m.d.comb += [
            self.events.push.eq(fires),
            self.events.event.j.eq(fired.j),
            self.events.event.d.eq(step),
            write.addr.eq(delay(m, place, written, "written")),
            write.data.eq(Mux(fires, code, kept)),
            write.en.eq(fires | (fired.valid & context.first & record.enable)),
        ]
        ends = fired.valid & fired.end
        m.d.comb += self.events.close.eq(ends & record.enable)

        with m.If(self.start):
            m.d.sync += self.busy.eq(1)
        with m.Elif(ends):
            m.d.sync += self.busy.eq(0)
        return m

    def _begin(self, m: Module) -> tuple[Any, Signal]:
        """A start opens the list and loads the context; its threshold is there a cycle later.

        No change is above a threshold of all ones.
        """
        depth = 1 << max(1, (len(self._thresholds) - 1).bit_length())
        thresholds: Any = Memory(shape=17, depth=depth, init=self._thresholds)
        m.submodules.thresholds = thresholds
        context: Any = Signal(Context)

        started = Signal()
        threshold = Signal(self._code_bits)
        threshold_write = thresholds.write_port()
        threshold_read = thresholds.read_port(domain="comb")
        m.d.comb += [
            threshold_write.addr.eq(self.set_threshold.list),
            threshold_write.data.eq(self.set_threshold.value),
            threshold_write.en.eq(self.set_threshold.en),
            threshold_read.addr.eq(context.record.list),
            self.events.open.eq(self.start & self.context.record.enable),
            self.events.key.list.eq(self.context.record.list),
            self.events.key.bank.eq(self.context.parity),
            self.events.base.eq(
                self.context.record.event_base
                + Mux(self.context.parity, self.context.record.columns, 0)
            ),
        ]
        m.d.sync += started.eq(self.start)
        with m.If(self.start):
            m.d.sync += context.eq(self.context)
        with m.If(started):
            m.d.sync += threshold.eq(threshold_read.data[: len(threshold)])
            with m.If(threshold_read.data[len(threshold) :].any()):
                m.d.sync += threshold.eq(-1)
        return context, threshold

    def _product(self, m: Module, record: Any, shifts: tuple[int, int]) -> Value:
        """The element times the quantizer's factor, its rounding left."""
        m.submodules.rescale = rescale = Rescale(
            value_bits=16,
            mult_bits=16,
            shift_min=shifts[0],
            shift_max=shifts[1],
            out_bits=max(31 - shifts[0] + 1, 2),
            stage_bits=SMALL_STAGE_BITS,
            rounds=False,
            plain=True,
        )
        m.d.comb += [
            rescale.value.eq(self.i.value),
            rescale.mult.eq(record.mult),
            rescale.shift.eq(record.shift),
        ]
        return delay(m, rescale.o, _scaled_after(shifts) - rescale.latency, "product")

    def _nearest(self, m: Module, d: Value, reference: Value, width: Value) -> NearestPower:
        m.submodules.nearest = nearest = NearestPower(code_bits=self._code_bits)
        m.d.comb += [
            nearest.d.eq(d),
            nearest.reference.eq(reference),
            nearest.width.eq(width),
        ]
        return nearest

    def _start(self, m: Module, address: Value, zero: Value) -> Value:
        """The reference before a sequence's first step, a cycle after its address."""
        if self._initial is None:
            return zero
        table = Table(signed(self._code_bits), depth=self._references, init=self._initial)
        m.submodules.initial = table
        wiring.connect(m, wiring.flipped(self.load), table.load)
        m.d.comb += table.addr.eq(address)
        reference: Value = table.data
        return reference

    def _address(self, record: Any, element: data.View) -> Value:
        """Where an element's reference is; a source's first is at a multiple of the slices."""
        address: Value = record.reference_base[self._slice_bits :] + element.j[self._slice_bits :]
        return address


def _saturated(value: Value, width: Value, code_bits: int) -> Value:
    """`value` saturated to WIDTHS[width] bits, of which code_bits is the most."""
    widths = [bits for bits in WIDTHS if bits <= code_bits]
    sign, top = value[-1], value[code_bits - 1 :]
    fits = top.all() | ~top.any()
    for n, (bits, more) in enumerate(pairwise(widths)):
        fits &= (width > n) | (value[bits - 1 : more - 1] == sign.replicate(more - bits))
    # Beyond the range: the code's sign bits, and below them their inverse.
    narrower = [sum(bits <= at + 1 for bits in widths) for at in range(code_bits)]
    largest = [~sign ^ (width < count) if count else ~sign for count in narrower]
    return Cat(Mux(fits, value[at], each) for at, each in enumerate(largest)).as_signed()
