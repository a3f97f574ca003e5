# SPDX-License-Identifier: Apache-2.0
"""Memories whose word is not read in the cycle in which it is written, or does not matter then."""

from collections.abc import Iterable
from typing import Any

from amaranth.hdl import Elaboratable, Module, Shape, ShapeLike, Signal, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.memory import Memory, ReadPort, WritePort
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

BANK_BITS = 11
BANK_WORDS = 1 << BANK_BITS
"""2,048 is the deepest shape of an ECP5 block RAM that still uses all its bits."""

DEEP_BITS = 4
"""Bits of a slice of a deeper memory: 4,096 words of them are a block RAM of their own."""


def of_macros(platform: object) -> bool:
    """Whether memories are a chip's macros, and logic its gates: each access takes energy, depth
    costs no logic, and a multiplier is as large as its factors.

    In an FPGA an enable that could be left out costs logic and saves next to nothing.
    """
    return hasattr(platform, "get_memory")


def block_ram(
    shape: ShapeLike, *, depth: int, init: Iterable[Any] = (), force: bool = False
) -> Any:
    """A memory without the logic that would make such a collision read the old word.

    Synthesis may then use a block RAM as it is; with the collision defined, it adds a comparator
    and a multiplexer per bit behind each one. That the memory is never read where it is written is
    for each use to see to.

    A deep memory lies in slices, so that no multiplexer stands behind the memories' slow outputs.
    `force`: a block RAM even for few words.
    """
    if depth > BANK_WORDS and Shape.cast(shape).width > DEEP_BITS:
        return _Slices(shape, depth=depth, init=init)
    attributes: Any = {"no_rw_check": 1} | ({"ram_style": "block"} if force else {})
    return Memory(shape=shape, depth=depth, init=list(init), attrs=attributes)


class _Slices(Elaboratable):
    """A memory of memories of a few bits each, with the ports of `Memory` (init: integers)."""

    def __init__(self, shape: ShapeLike, *, depth: int, init: Iterable[int]) -> None:
        self._shape = shape
        self._depth = depth
        self._init = list(init)
        self._ports: list[Any] = []

    def write_port(self) -> Any:
        return self._port(WritePort)

    def read_port(self) -> Any:
        return self._port(ReadPort)

    def _port(self, kind: Any) -> Any:
        signature = kind.Signature(addr_width=ceil_log2(self._depth), shape=self._shape)
        self._ports.append(signature.create(path=(f"port_{len(self._ports)}",)))
        return self._ports[-1]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = Shape.cast(self._shape).width
        most = width if of_macros(platform) else DEEP_BITS
        for low in range(0, width, most):
            bits = min(most, width - low)
            mask = (1 << bits) - 1
            init = [word >> low & mask for word in self._init]
            attributes: Any = {"no_rw_check": 1}
            slice_: Any = Memory(shape=bits, depth=self._depth, init=init, attrs=attributes)
            m.submodules[f"bits_{low}"] = slice_
            for port in self._ports:
                whole = Value.cast(port.data)[low : low + bits]
                if isinstance(port.signature, WritePort.Signature):
                    part: Any = slice_.write_port()
                    m.d.comb += part.data.eq(whole)
                else:
                    part = slice_.read_port()
                    m.d.comb += whole.eq(part.data)
                m.d.comb += [part.addr.eq(port.addr), part.en.eq(port.en)]
        return m


class MemoryWrite(wiring.Signature):
    """Writes of whole words to a memory, seen from whoever writes.

    Parameters
    ----------
    depth, width : int
        Words of the memory, and the bits of one.

    Members
    -------
    en : out
        `data` goes to `addr` in each cycle with it.
    addr : out, range(depth), of at least one bit
    data : out, `width` bits
    """

    def __init__(self, depth: int, width: int) -> None:
        super().__init__({"en": Out(1), "addr": Out(range(max(depth, 2))), "data": Out(width)})


def load_ports(component: wiring.Component, names: Iterable[str]) -> dict[str, Any]:
    """The members load_NAME of a component that has one for each of several memories."""
    return {name: getattr(component, f"load_{name}") for name in names}


def connect_write(
    m: Module, load: Any, target: Any, *, where: ValueLike = 1, low_bits: int = 0
) -> None:
    """Pass the writes of `load` on to `target`: a memory's write port, or another `MemoryWrite`.

    Of memories that share their addresses, `where` says whether an address is of this one;
    low_bits: how many of its lowest bits tell which one it is.
    """
    m.d.comb += [
        target.en.eq(load.en & where),
        target.addr.eq(load.addr[low_bits:]),
        target.data.eq(load.data),
    ]


class Table(wiring.Component):
    """A memory that is only read, but for its loading.

    Parameters
    ----------
    shape : ShapeLike
        Of a word.
    depth : int
        Words.
    init : iterable of int
        Initial words, as bits.

    Members
    -------
    load : in, `MemoryWrite`
        Writes words, as bits.
    addr : in, range(depth)
    data : out, `shape`
        The word at `addr` a cycle before.
    """

    load: Any
    addr: Signal
    data: Any

    def __init__(self, shape: ShapeLike, *, depth: int, init: Iterable[int] = ()) -> None:
        width = Shape.cast(shape).width
        self._memory = block_ram(width, depth=depth, init=init)
        super().__init__(
            {
                "load": In(MemoryWrite(depth, width)),
                "addr": In(range(max(depth, 2))),
                "data": Out(shape),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = self._memory
        write, read = memory.write_port(), memory.read_port()
        connect_write(m, self.load, write)
        m.d.comb += [read.addr.eq(self.addr), Value.cast(self.data).eq(read.data)]
        return m
