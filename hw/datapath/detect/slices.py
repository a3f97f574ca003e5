# SPDX-License-Identifier: Apache-2.0
"""Several change detectors side by side, for sources that give several elements a cycle.

Element j belongs to slice j mod S. What the slices find waits in their queues and is merged into
the one list, an event a cycle: any order is exact. A dense step thus fills the queues, and `room`
holds its source back; but whoever replays such a list takes no more than an event a cycle either.
"""

from typing import Any

from amaranth.hdl import Array, Cat, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ....golden.delta import EXACT
from ...parts.memory import MemoryWrite, connect_write
from ...parts.queue import Queue
from ...words import EVENT_BITS
from ..events.words import BankKey, ListWriter, event_layout
from .encoder import DeltaEncoder
from .words import Context, ThresholdWrite, element_word

OPENINGS = 4
"""Lists that may be begun while an earlier one is still being merged."""


class SlicedEncoder(wiring.Component):
    """Several `DeltaEncoder`s, one for each element of a beat, that write one list.

    LATENCY: as one encoder, and until what the slices found is merged, an event a cycle.
    THROUGHPUT: `slices` elements a cycle while there is `room`.

    Parameters
    ----------
    slices : int
        Encoders, a power of two.
    in_flight : int
        Most beats that still come after `room` has fallen.
    references : int
        Words of x̂ of all slices together.
    code_bits, shifts, thresholds, modes
        As of `DeltaEncoder`.
    initial : list of int, optional
        The references of all slices before a sequence's first step.

    Members
    -------
    start : in, 1 bit
        Begins a source's step.
    context : in, `Context`
        With start: of the step.
    i : in, `element_word(slices)`
        The source's elements.
    events : out, `ListWriter(code_bits + 1)`
        What changed; a list is opened only when its bank is not `taken`.
    set_threshold : in, `ThresholdWrite`
        From the host; taken over at the next start.
    busy : out, 1 bit
        No other step may start yet.
    room : out, 1 bit
        More elements may be sent on their way.
    load : in, `MemoryWrite(references, code_bits)`
        Writes the initial references; only where there are any.
    """

    def __init__(
        self,
        *,
        slices: int,
        in_flight: int,
        references: int,
        code_bits: int,
        shifts: tuple[int, int] | None,
        thresholds: list[int],
        modes: tuple[str, ...] = (EXACT,),
        initial: list[int] | None = None,
    ) -> None:
        self._initial = initial
        self._slices = [
            DeltaEncoder(
                references=max(-(-references // slices), 2),
                code_bits=code_bits,
                shifts=shifts,
                thresholds=thresholds,
                modes=modes,
                initial=None if initial is None else initial[n::slices],
                slice_bits=ceil_log2(slices),
            )
            for n in range(slices)
        ]
        self._event = event_layout(code_bits + 1)
        # What is under way once room has fallen, what the encoder holds, and some to merge.
        self._reserve = in_flight + self._slices[0].recovery + 2
        self._depth = 1 << ceil_log2(self._reserve + 8)
        super().__init__(
            {
                "start": In(1),
                "context": In(Context),
                "i": In(element_word(slices)),
                "events": Out(ListWriter(code_bits + 1)),
                "set_threshold": In(ThresholdWrite),
                "busy": Out(1),
                "room": Out(1),
                **({} if initial is None else {"load": In(MemoryWrite(references, code_bits))}),
            }
        )

    start: Signal
    context: data.View
    i: data.View
    events: Any
    set_threshold: data.View
    busy: Signal
    room: Signal
    load: Any

    @property
    def recovery(self) -> int:
        """Least cycles from a source's last elements to the first after the next start."""
        return self._slices[0].recovery

    def elaborate(self, platform: object) -> Module:
        m = Module()
        events, first = self.events, self._slices[0]
        found_layout = data.StructLayout({"event": self._event, "end": unsigned(1)})
        opening = data.StructLayout({"key": BankKey, "base": EVENT_BITS})
        m.submodules.openings = openings = Queue(opening, depth=OPENINGS)
        m.d.comb += [
            openings.i.valid.eq(first.events.open),
            openings.i.payload.key.eq(first.events.key),
            openings.i.payload.base.eq(first.events.base),
            self.busy.eq(first.busy | ~openings.i.ready),
        ]

        # Each slice's events, and a mark behind the last; the first slice has the last element's.
        queues, room = [], []
        ended = Signal()
        m.d.sync += ended.eq(first.events.close)
        for n, encoder in enumerate(self._slices):
            m.submodules[f"slice_{n}"] = encoder
            m.submodules[f"found_{n}"] = queue = Queue(found_layout, depth=self._depth)
            queues.append(queue)
            m.d.comb += [
                encoder.start.eq(self.start),
                encoder.context.eq(self.context),
                encoder.set_threshold.eq(self.set_threshold),
                encoder.i.valid.eq(self.i.valid & self.i.mask[n]),
                encoder.i.j.eq(self.i.j | n),
                encoder.i.value.eq(self.i.values[n]),
                encoder.i.end.eq(self.i.end),
                queue.i.valid.eq(encoder.events.push | ended),
                queue.i.payload.event.eq(encoder.events.event),
                queue.i.payload.end.eq(ended),
            ]
            if self._initial is not None:
                bits = ceil_log2(len(self._slices))
                here = self.load.addr[:bits] == n
                connect_write(m, self.load, encoder.load, where=here, low_bits=bits)
            level = Signal(range(self._depth + 1), name=f"level_{n}")
            m.d.sync += level.eq(level + queue.i.valid - (queue.o.valid & queue.o.ready))
            room.append(level <= self._depth - self._reserve)
        m.d.sync += self.room.eq(Cat(*room).all())

        # One after the other into the list, the one that was not served last first.
        opened, is_open, turn = Signal(), Signal(), Signal(range(len(queues)))
        has = Cat(*(queue.o.valid & ~queue.o.payload.end for queue in queues))
        all_ended = Cat(*(queue.o.valid & queue.o.payload.end for queue in queues)).all()
        chosen: Any = Signal(range(len(queues)))
        for k in reversed(range(len(queues))):
            at = (turn + k)[: len(turn)]
            with m.If(has.bit_select(at, 1)):
                m.d.comb += chosen.eq(at)
        found = Array(queue.o.payload.event.as_value() for queue in queues)
        m.d.comb += [
            events.key.eq(openings.o.payload.key),
            events.base.eq(openings.o.payload.base),
            events.open.eq(~is_open & ~opened & openings.o.valid & ~events.taken),
            openings.o.ready.eq(events.open),
            events.push.eq(is_open & has.any()),
            events.event.as_value().eq(found[chosen]),
            events.close.eq(is_open & all_ended),
        ]
        m.d.sync += [opened.eq(events.open), is_open.eq((is_open | opened) & ~events.close)]
        with m.If(events.push):
            m.d.sync += turn.eq(chosen + 1)
        for n, queue in enumerate(queues):
            m.d.comb += queue.o.ready.eq((events.push & (chosen == n)) | events.close)
        return m
