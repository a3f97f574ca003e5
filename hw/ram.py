# SPDX-License-Identifier: Apache-2.0
"""Memories whose word is not read in the cycle in which it is written, or does not matter then."""

from collections.abc import Iterable
from typing import Any

from amaranth.hdl import Module, Shape, ShapeLike, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


def block_ram(shape: ShapeLike, *, depth: int, init: Any = ()) -> Any:
    """A memory without the logic that would make such a collision read the old word.

    Synthesis may then use a block RAM as it is; with the collision defined, it adds a comparator
    and a multiplexer per bit behind each one. That the memory is never read where it is written is
    for each use to see to.
    """
    attributes: Any = {"no_rw_check": 1}
    return Memory(shape=shape, depth=depth, init=list(init), attrs=attributes)


def memory_write(depth: int, width: int) -> wiring.Signature:
    """A loader's port to one memory, seen from the memory."""
    return wiring.Signature({"en": In(1), "addr": In(range(max(depth, 2))), "data": In(width)})


class Table(wiring.Component):
    """A memory that is only read, but for its loading.

    Members
    -------
    load: the loader's port, for words as bits; addr -> data: a word, one cycle later
    """

    load: Any
    addr: Signal
    data: Any

    def __init__(self, shape: ShapeLike, *, depth: int, init: Iterable[int] = ()) -> None:
        width = Shape.cast(shape).width
        self._memory = block_ram(width, depth=depth, init=init)
        super().__init__(
            {
                "load": Out(memory_write(depth, width)),
                "addr": In(range(max(depth, 2))),
                "data": Out(shape),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = self._memory
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.en.eq(self.load.en),
            write.addr.eq(self.load.addr),
            write.data.eq(self.load.data),
            read.addr.eq(self.addr),
            Value.cast(self.data).eq(read.data),
        ]
        return m
