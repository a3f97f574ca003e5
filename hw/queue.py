# SPDX-License-Identifier: Apache-2.0
"""A first-in first-out queue between two streams that keeps the payload's shape."""

from amaranth.hdl import Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out


class Queue(wiring.Component):
    """`depth` words; a word leaves one cycle after it came at the soonest.

    lib.fifo drops the payload's shape, and with it the sign; this keeps both.

    Parameters
    ----------
    buffered: for deep queues: block RAM and an output register, one cycle more
    """

    def __init__(self, shape: ShapeLike, *, depth: int, buffered: bool = False) -> None:
        self._shape = shape
        self._depth = depth
        self._fifo = SyncFIFOBuffered if buffered else SyncFIFO
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    i: stream.Interface
    o: stream.Interface

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = Shape.cast(self._shape).width
        m.submodules.fifo = fifo = self._fifo(width=width, depth=self._depth)
        m.d.comb += [
            fifo.w_data.eq(Value.cast(self.i.payload)),
            fifo.w_en.eq(self.i.valid),
            self.i.ready.eq(fifo.w_rdy),
            Value.cast(self.o.payload).eq(fifo.r_data),
            self.o.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.o.ready),
        ]
        return m


class Credits(wiring.Component):
    """Room in a queue that is reserved before the words are on their way.

    Members
    -------
    take: reserve `amount` words this cycle (only while `room` is high)
    give: one word has left; it counts from the cycle after the next
    room: at least `need` words can be reserved
    """

    def __init__(self, *, total: int, need: int) -> None:
        self._total = total
        self._need = need
        super().__init__(
            {"take": In(1), "amount": In(range(total + 1)), "give": In(1), "room": Out(1)}
        )

    take: Signal
    amount: Signal
    give: Signal
    room: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left, given = Signal(range(self._total + 1), init=self._total), Signal()
        m.d.sync += [
            given.eq(self.give),
            left.eq(left + given - Mux(self.take, self.amount, 0)),
        ]
        m.d.comb += self.room.eq(left >= self._need)
        return m
