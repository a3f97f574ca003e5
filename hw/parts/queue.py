# SPDX-License-Identifier: Apache-2.0
"""A first-in first-out queue between two streams that keeps the payload's shape."""

from amaranth.hdl import Const, Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .memory import block_ram, of_macros

BUFFERED_CYCLES = 3
"""Through a queue in block RAM: written, read, registered."""


class Queue(wiring.Component):
    """A queue of `depth` words.

    lib.fifo drops the payload's shape, and with it the sign; this keeps both.

    LATENCY: 1 cycle, `BUFFERED_CYCLES` where `buffered`, none for a word that is passed through.
    THROUGHPUT: a word a cycle.

    Parameters
    ----------
    shape : ShapeLike
        Of a word.
    depth : int
        Words; at least 3 where `buffered`.
    buffered : bool
        In block RAM, for deep or wide queues.
    pass_through : bool
        Forward a word combinationally while the queue is empty. Where it is `buffered`, too, a word
        that is offered so and not taken is offered again `BUFFERED_CYCLES` later, not meanwhile:
        its reader must not rely on a word that stays.

    Members
    -------
    i : in, stream of `shape`
    o : out, stream of `shape`
    """

    def __init__(
        self, shape: ShapeLike, *, depth: int, buffered: bool = False, pass_through: bool = False
    ) -> None:
        self._shape = shape
        self._depth = depth
        self._buffered = buffered
        self._pass_through = pass_through
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    i: stream.Interface
    o: stream.Interface

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self._buffered:
            self._block_ram(m, every_cycle=not of_macros(platform))
            return m
        width = Shape.cast(self._shape).width
        m.submodules.fifo = fifo = SyncFIFO(width=width, depth=self._depth)
        passes = self._output(m, ~fifo.r_rdy, fifo.r_rdy, fifo.r_data)
        m.d.comb += [
            fifo.w_data.eq(Value.cast(self.i.payload)),
            fifo.w_en.eq(self.i.valid & ~passes),
            self.i.ready.eq(fifo.w_rdy),
            fifo.r_en.eq(self.o.ready),
        ]
        return m

    def _output(self, m: Module, empty: Value, valid: Value, word: Value) -> Value:
        """The queue's word, or where it is empty the one that comes; whether that is taken."""
        if not self._pass_through:
            m.d.comb += [self.o.valid.eq(valid), Value.cast(self.o.payload).eq(word)]
            return Const(0)
        m.d.comb += [
            self.o.valid.eq(valid | (empty & self.i.valid)),
            Value.cast(self.o.payload).eq(Mux(empty, Value.cast(self.i.payload), word)),
        ]
        return empty & self.o.ready

    def _block_ram(self, m: Module, *, every_cycle: bool) -> None:
        """As lib.fifo does it, but in block RAM however few words there are: a wide queue in LUTs
        costs one and a half for each bit.

        every_cycle: write whatever comes to the place behind the last word, which is always free.
        """
        words = 1 << ceil_log2(max(self._depth, 2))
        memory = block_ram(Shape.cast(self._shape).width, depth=words, force=True)
        m.submodules.memory = memory
        write, read = memory.write_port(), memory.read_port()
        head, tail = Signal(range(words)), Signal(range(words))
        level = Signal(range(self._depth))  # words that are in the memory only
        # Whether there are any, and room, is decided a cycle ahead.
        some = Signal()
        full = self._depth - 2  # and the two words that are on their way
        space = Signal(init=1)
        held, empty = Signal(), Signal(init=1)
        out = Signal(Shape.cast(self._shape).width, reset_less=True)
        passes = self._output(m, empty, held, out)
        fetched, push, pull, move = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(space),
            push.eq(self.i.valid & space & ~passes),
            move.eq(~held | self.o.ready),
            pull.eq(some & (~fetched | move)),
            write.addr.eq(tail),
            write.data.eq(Value.cast(self.i.payload)),
            write.en.eq(Const(1) if every_cycle else push),
            read.addr.eq(head),
            read.en.eq(pull),
        ]
        with m.If(push & ~pull):
            m.d.sync += [level.eq(level + 1), some.eq(1), space.eq(level != full - 1)]
        with m.If(pull & ~push):
            m.d.sync += [level.eq(level - 1), some.eq(level != 1), space.eq(1)]
        m.d.sync += [tail.eq(tail + push), head.eq(head + pull)]
        m.d.sync += empty.eq(~push & ~some & ~fetched & (~held | self.o.ready))
        with m.If(move):
            m.d.sync += [held.eq(fetched), out.eq(read.data)]
        with m.If(pull | move):
            m.d.sync += fetched.eq(pull)


class Credits(wiring.Component):
    """Room in a queue that is reserved before the words are on their way.

    Parameters
    ----------
    total : int
        Words that the queue holds.
    need : int
        Words that `room` stands for.

    Members
    -------
    take : in, 1 bit
        Reserve `amount` words; only while `room` is high.
    amount : in, range(total + 1)
    give : in, 1 bit
        One word has left; it counts from the cycle after the next.
    room : out, 1 bit
        At least `need` words can be reserved.
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
