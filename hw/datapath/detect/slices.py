# SPDX-License-Identifier: Apache-2.0
"""Several change detectors side by side, for sources that give several elements a cycle.

Element j belongs to slice j mod S. What the slices find waits in their queues and is merged into
the one list, an event a cycle: any order is exact. A dense step thus fills the queues, and `room`
holds its source back; but whoever replays such a list takes no more than an event a cycle either.
"""

from typing import Any

from amaranth.hdl import Array, Cat, Module, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ....golden.delta import EXACT
from ...parts.memory import MemoryWrite, connect_write
from ...parts.queue import Queue
from ...words import EVENT_BITS, UNIT_BITS
from ..events.event_lists import BankKey, event_layout
from .encoder import Context, DeltaEncoder, ThresholdWrite

OPENINGS = 4
"""Lists that may be begun while an earlier one is still being merged."""


def elements(slices: int) -> data.StructLayout:
    """Up to `slices` neighbouring elements of a source.

    valid: the first one is there; mask: which are. j: index of the first, a multiple of `slices`.
    end: they hold the source's last element of the step.
    """
    return data.StructLayout(
        {
            "valid": unsigned(1),
            "mask": unsigned(slices),
            "j": unsigned(UNIT_BITS),
            "values": data.ArrayLayout(signed(16), slices),
            "end": unsigned(1),
        }
    )


class Encoders(wiring.Component):
    """`DeltaEncoder` for `slices` elements a cycle; a power of two.

    Parameters
    ----------
    in_flight: most elements of a slice that still come after `room` has fallen
    The rest are the encoder's; `references` counts those of all slices.

    Members
    -------
    room: more elements may be sent on their way
    taken: from the lists: the bank that `key` names is not free yet, and is not opened
    The rest are the encoder's, `i` being several elements.
    """

    def __init__(
        self,
        *,
        slices: int,
        in_flight: int,
        references: int,
        code_bits: int,
        shifts: tuple[int, int],
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
                "i": In(elements(slices)),
                "open": Out(1),
                "key": Out(BankKey),
                "base": Out(EVENT_BITS),
                "taken": In(1),
                "push": Out(1),
                "event": Out(self._event),
                "close": Out(1),
                "set_threshold": In(ThresholdWrite),
                "busy": Out(1),
                "room": Out(1),
                **({} if initial is None else {"load": In(MemoryWrite(references, code_bits))}),
            }
        )

    start: Signal
    context: data.View
    i: data.View
    open: Signal
    key: data.View
    base: Signal
    taken: Signal
    push: Signal
    event: data.View
    close: Signal
    set_threshold: data.View
    busy: Signal
    room: Signal
    load: Any

    @property
    def recovery(self) -> int:
        """As the encoder's."""
        return self._slices[0].recovery

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first = self._slices[0]
        found_layout = data.StructLayout({"event": self._event, "end": unsigned(1)})
        opening = data.StructLayout({"key": BankKey, "base": EVENT_BITS})
        m.submodules.openings = openings = Queue(opening, depth=OPENINGS)
        m.d.comb += [
            openings.i.valid.eq(first.open),
            openings.i.payload.key.eq(first.key),
            openings.i.payload.base.eq(first.base),
            self.busy.eq(first.busy | ~openings.i.ready),
        ]

        # Each slice's events, and a mark behind the last; the first slice has the last element's.
        queues, room = [], []
        ended = Signal()
        m.d.sync += ended.eq(first.close)
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
                queue.i.valid.eq(encoder.push | ended),
                queue.i.payload.event.eq(encoder.event),
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
        events = Array(queue.o.payload.event.as_value() for queue in queues)
        m.d.comb += [
            self.key.eq(openings.o.payload.key),
            self.base.eq(openings.o.payload.base),
            self.open.eq(~is_open & ~opened & openings.o.valid & ~self.taken),
            openings.o.ready.eq(self.open),
            self.push.eq(is_open & has.any()),
            self.event.as_value().eq(events[chosen]),
            self.close.eq(is_open & all_ended),
        ]
        m.d.sync += [opened.eq(self.open), is_open.eq((is_open | opened) & ~self.close)]
        with m.If(self.push):
            m.d.sync += turn.eq(chosen + 1)
        for n, queue in enumerate(queues):
            m.d.comb += queue.o.ready.eq((self.push & (chosen == n)) | self.close)
        return m
