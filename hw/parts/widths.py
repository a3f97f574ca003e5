# SPDX-License-Identifier: Apache-2.0
"""Between streams of narrow and of wide words, without losing a cycle."""

from typing import Any

from amaranth.hdl import Cat, Module, ShapeLike, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


class Widen(wiring.Component):
    """Puts words together, the first at the bottom; the last one is not held back.

    LATENCY: none from the last word. THROUGHPUT: a narrow word a cycle.

    Parameters
    ----------
    shape, wide : ShapeLike
        Of a narrow word, and of `count` of them.
    count : int
        Narrow words of a wide one.

    Members
    -------
    i : in, stream of `shape`
    o : out, stream of `wide`
    """

    def __init__(self, shape: ShapeLike, wide: ShapeLike, *, count: int) -> None:
        self._count = count
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(wide))})

    i: stream.Interface
    o: stream.Interface

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = Value.cast(self.i.payload)
        held = [Signal(len(word), name=f"held_{n}") for n in range(self._count - 1)]
        index = Signal(range(self._count))
        last = index == self._count - 1
        m.d.comb += [
            Value.cast(self.o.payload).eq(Cat(*held, word)),
            self.o.valid.eq(self.i.valid & last),
            self.i.ready.eq(self.o.ready | ~last),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += index.eq(index + 1)
            with m.If(last):
                m.d.sync += index.eq(0)
            for n, one in enumerate(held):
                with m.If(index == n):
                    m.d.sync += one.eq(word)
        return m


def parts(width: int, count: int) -> data.StructLayout:
    """`count` parts, of which the first `used` + 1 are there; `last` belongs to the last one."""
    return data.StructLayout(
        {"parts": data.ArrayLayout(width, count), "used": range(max(count, 2)), "last": 1}
    )


class Narrow(wiring.Component):
    """Gives a word's parts one after the other, with `last` on the last one.

    LATENCY: none. THROUGHPUT: a part a cycle.

    Parameters
    ----------
    shape : ShapeLike
        Of a part and, above it, `last`.
    width, count : int
        Bits of a part, and the most of them that a word has.

    Members
    -------
    i : in, stream of `parts(width, count)`
    o : out, stream of `shape`
    """

    def __init__(self, shape: ShapeLike, *, width: int, count: int) -> None:
        self._count = count
        super().__init__(
            {
                "i": In(stream.Signature(parts(width, count))),
                "o": Out(stream.Signature(shape)),
            }
        )

    i: stream.Interface
    o: stream.Interface

    def elaborate(self, platform: object) -> Module:
        m = Module()
        index = Signal(range(max(self._count, 2)))
        done = index == self.i.payload.used
        part: Any = self.i.payload.parts[index]
        m.d.comb += [
            Value.cast(self.o.payload).eq(Cat(Value.cast(part), self.i.payload.last & done)),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready & done),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += index.eq(index + 1)
            with m.If(done):
                m.d.sync += index.eq(0)
        return m
