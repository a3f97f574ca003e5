# SPDX-License-Identifier: Apache-2.0
"""The change detector: quantizes a value, compares it with what was sent last, sends what changed.

q = sat(rshr(v * mult, shift) + zero, bits);  d = q - x̂;  fires iff |d| > threshold, and then x̂ = q.
"""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..golden.arithmetic import WIDTHS, code_range
from .arithmetic import Rescale
from .events import BankKey, event_layout
from .layouts import EVENT_BITS, LIST_BITS, UNIT_BITS, EncoderRecord
from .ram import block_ram

Element = data.StructLayout(
    {
        "valid": unsigned(1),
        "j": unsigned(UNIT_BITS),  # index of the element in its source
        "value": signed(16),
        "end": unsigned(1),  # the source's last element of the step
    }
)
"""One int16 element of a frame or of a layer's output."""

Context = data.StructLayout({"record": EncoderRecord, "first": unsigned(1), "parity": unsigned(1)})
"""What stays the same while a source's elements of one step pass through an encoder."""

ThresholdWrite = data.StructLayout(
    {"en": unsigned(1), "list": unsigned(LIST_BITS), "value": unsigned(17)}
)
"""A threshold that the host sets."""


RECOVERY = 7
"""`DeltaEncoder.recovery` beside its rescaler's latency."""


class DeltaEncoder(wiring.Component):
    """Finds the elements that changed and appends them to an event list; one element a cycle.

    `start` loads a context and opens its list; the elements follow from the next cycle on. The
    element marked `end` closes the list behind it. A source's elements must be through (`busy`
    low) before the next start.

    Parameters
    ----------
    references: depth of the reference memory x̂
    code_bits: the largest code width
    shifts: lowest and highest shift of the quantizers
    thresholds: initial threshold of each list
    slice_bits: this is one of 2**slice_bits encoders that share a source: element j is at address
        j >> slice_bits

    Members
    -------
    start, context: begin a source's step; i: its elements
    open, key, base, push, event, close: to `EventLists`
    set_threshold: from the host; taken over at the next start
    busy: elements are on their way
    """

    def __init__(
        self,
        *,
        references: int,
        code_bits: int,
        shifts: tuple[int, int],
        thresholds: list[int],
        slice_bits: int = 0,
    ) -> None:
        self._slice_bits = slice_bits
        self._references = references
        self._code_bits = code_bits
        self._thresholds = thresholds
        self._rescale = Rescale(
            value_bits=16,
            mult_bits=16,
            shift_min=shifts[0],
            shift_max=shifts[1],
            out_bits=max(31 - shifts[0] + 1, 2),
        )
        super().__init__(
            {
                "start": In(1),
                "context": In(Context),
                "i": In(Element),
                "open": Out(1),
                "key": Out(BankKey),
                "base": Out(EVENT_BITS),
                "push": Out(1),
                "event": Out(event_layout(code_bits + 1)),
                "close": Out(1),
                "set_threshold": In(ThresholdWrite),
                "busy": Out(1),
            }
        )

    @property
    def recovery(self) -> int:
        """Least cycles from a source's last element to the first after the next start, which comes
        as soon as `busy` is low.
        """
        return self._rescale.latency + RECOVERY

    start: Signal
    context: data.View
    i: data.View
    open: Signal
    key: data.View
    base: Signal
    push: Signal
    event: data.View
    close: Signal
    set_threshold: data.View
    busy: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.rescale = rescale = self._rescale
        depth = 1 << max(1, (len(self._thresholds) - 1).bit_length())
        thresholds: Any = Memory(shape=17, depth=depth, init=self._thresholds)
        m.submodules.thresholds = thresholds
        references = block_ram(signed(self._code_bits), depth=self._references)
        m.submodules.references = references
        context: Any = Signal(Context)
        record = context.record

        # A start opens the list; the threshold is looked up once a step.
        threshold = Signal(17)
        threshold_write = thresholds.write_port()
        threshold_read = thresholds.read_port(domain="comb")
        m.d.comb += [
            threshold_write.addr.eq(self.set_threshold.list),
            threshold_write.data.eq(self.set_threshold.value),
            threshold_write.en.eq(self.set_threshold.en),
            threshold_read.addr.eq(self.context.record.list),
            self.open.eq(self.start & self.context.record.enable),
            self.key.list.eq(self.context.record.list),
            self.key.bank.eq(self.context.parity),
            self.base.eq(
                self.context.record.event_base
                + Mux(self.context.parity, self.context.record.columns, 0)
            ),
        ]
        with m.If(self.start):
            m.d.sync += [context.eq(self.context), threshold.eq(threshold_read.data)]

        # Quantize: rescale, add the zero point, saturate to the code's width.
        m.d.comb += [
            rescale.value.eq(self.i.value),
            rescale.mult.eq(record.mult),
            rescale.shift.eq(record.shift),
        ]
        scaled = _delayed(m, self.i, rescale.latency, "scaled")
        shifted = Signal(signed(max(len(rescale.o), 16) + 1))
        m.d.sync += shifted.eq(rescale.o + record.zero)
        added = _delayed(m, scaled, 1, "added")
        q = Signal(signed(self._code_bits))
        with m.Switch(record.width):
            for n, bits in enumerate(WIDTHS):
                if bits <= self._code_bits:
                    with m.Case(n):
                        low, high = code_range(bits)
                        with m.If(shifted > high):
                            m.d.sync += q.eq(high)
                        with m.Elif(shifted < low):
                            m.d.sync += q.eq(low)
                        with m.Else():
                            m.d.sync += q.eq(shifted)
        quantized = _delayed(m, added, 1, "quantized")

        # The reference arrives together with the code; at a sequence's start it is the code of 0.
        read = references.read_port()
        m.d.comb += read.addr.eq(self._address(record, scaled))
        reference = Signal(signed(self._code_bits))
        m.d.sync += reference.eq(Mux(context.first, record.zero, read.data))

        # Compare and send. Both bounds are one addition: |d| > threshold without an absolute value.
        d = Signal(signed(self._code_bits + 1))
        m.d.sync += d.eq(q - reference)
        code, kept = _pipe(m, q, 1), _pipe(m, reference, 1)
        compared = _delayed(m, quantized, 1, "compared")
        above, below = (threshold - d) < 0, (threshold + d) < 0
        fires = Signal()
        m.d.sync += fires.eq((above | below) & compared.valid & record.enable)
        fired = _delayed(m, compared, 1, "fired")
        code, kept, d_sent = _pipe(m, code, 1), _pipe(m, kept, 1), _pipe(m, d, 1)
        write = references.write_port()
        m.d.comb += [
            self.push.eq(fires),
            self.event.j.eq(fired.j),
            self.event.d.eq(d_sent),
            write.addr.eq(self._address(record, fired)),
            write.data.eq(Mux(fires, code, kept)),
            write.en.eq(fires | (fired.valid & context.first & record.enable)),
        ]
        ended = _delayed(m, fired, 1, "ended")
        m.d.comb += self.close.eq(ended.valid & ended.end & record.enable)

        with m.If(self.start):
            m.d.sync += self.busy.eq(1)
        with m.Elif(ended.valid & ended.end):
            m.d.sync += self.busy.eq(0)
        return m

    def _address(self, record: Any, element: data.View) -> Value:
        """Where an element's reference is; a source's first is at a multiple of the slices."""
        address: Value = record.reference_base[self._slice_bits :] + element.j[self._slice_bits :]
        return address


def _delayed(m: Module, element: data.View, cycles: int, name: str) -> data.View:
    """`element` some cycles later."""
    for n in range(cycles):
        later: Any = Signal(Element, name=f"{name}_{n}")
        m.d.sync += later.eq(element)
        element = later
    return element


def _pipe(m: Module, value: Value, cycles: int) -> Value:
    """`value` some cycles later."""
    for _ in range(cycles):
        later = Signal.like(value)
        m.d.sync += later.eq(value)
        value = later
    return value
