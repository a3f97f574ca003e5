# SPDX-License-Identifier: Apache-2.0
"""Weights in the four SPRAMs of an iCE40 UltraPlus: 256 kbit each, one port, empty at the start."""

from math import ceil
from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory

from ...hw.datapath.fetch.words import store_members
from ...hw.parts.pipeline import delay, select

SPRAM_WORDS, SPRAM_BITS, NIBBLE = 1 << 14, 16, 4
DEVICE = "iCE40UP5K"


def words_together(word_bits: int) -> int:
    """Weight words side by side in a word of an SPRAM: 4 of 4 bits, 2 of 8, otherwise 1."""
    return SPRAM_BITS // word_bits if word_bits in (4, 8) else 1


def sprams(depth: int, word_bits: int) -> int:
    """SPRAMs that so many weight words take."""
    rows = ceil(depth / words_together(word_bits))
    return ceil(rows / SPRAM_WORDS) * ceil(word_bits / SPRAM_BITS)


class SpramStore(wiring.Component):
    """Weights in SPRAM, as `hw`'s `BlockRamStore` has them in block RAM.

    Where the platform has no SPRAM (a simulation), memories of the same behaviour stand for them.

    LATENCY: 2 cycles from a request to its answer. THROUGHPUT: a request a cycle.

    Parameters
    ----------
    depth, word_bits : int
        Words, and bits of a word.

    Members
    -------
    store : in, the requests, and out, the answers, of `weight_store_signature`
    load : in, `MemoryWrite(depth, word_bits)`
        Writes words while no request is open. Nothing is there before.
    load_ready : out, 1 bit
        Always.
    """

    STEADY = True
    """Answers keep the requests' spacing."""

    spacing = 1
    """Cycles between two answers, at the least."""

    latency = 2
    """Cycles from a request to its answer: the memory, and a register behind it."""

    outstanding = latency + 2
    """Requests that may be open."""

    store: Any
    load: Any
    load_ready: Signal

    def __init__(self, *, depth: int, word_bits: int) -> None:
        self._depth, self._word_bits = depth, word_bits
        self.address_bits = max(1, (depth - 1).bit_length())
        super().__init__(store_members(depth=depth, word_bits=word_bits))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        together = words_together(self._word_bits)
        place_bits = together.bit_length() - 1
        rows = ceil(self._depth / together)
        request, response = self.store.request, self.store.response
        address = Signal(self.address_bits)
        m.d.comb += address.eq(Mux(self.load.en, self.load.addr, request.payload))
        place, row = address[:place_bits], address[place_bits:]
        columns = ceil(self._word_bits / SPRAM_BITS)
        data = Cat(*[self.load.data] * together, Const(0, SPRAM_BITS - 1))
        nibbles = SPRAM_BITS // NIBBLE
        each = nibbles // together
        mask = Cat(*((place == n // each if together > 1 else Const(1)) for n in range(nibbles)))

        banks = []
        for bank, low in enumerate(range(0, rows, SPRAM_WORDS)):
            here = row[14:] == bank if rows > SPRAM_WORDS else Const(1)
            words = []
            for column in range(columns):
                word = Signal(SPRAM_BITS, name=f"word_{bank}_{column}")
                words.append(word)
                self._spram(
                    m,
                    platform,
                    f"spram_{bank}_{column}",
                    depth=min(SPRAM_WORDS, rows - low),
                    address=row[:14],
                    data=data[column * SPRAM_BITS :][:SPRAM_BITS],
                    mask=mask & (self.load.en & here).replicate(nibbles),
                    out=word,
                )
            banks.append(Cat(*words))
        # What was read is chosen from in the cycle after the request, and then waits.
        late = delay(m, address, 1, "address")
        chosen = select(banks, late[place_bits + 14 :]) if len(banks) > 1 else banks[0]
        if together > 1:
            chosen = chosen.word_select(late[:place_bits], self._word_bits)
        answer = Signal(self._word_bits, reset_less=True)
        m.d.sync += answer.eq(chosen)
        m.d.comb += [
            self.load_ready.eq(1),
            request.ready.eq(1),
            response.valid.eq(delay(m, request.valid, self.latency, "valid", reset=True)),
            response.payload.eq(answer),
        ]
        return m

    def _spram(
        self,
        m: Module,
        platform: Any,
        name: str,
        *,
        depth: int,
        address: Value,
        data: Value,
        mask: Value,
        out: Signal,
    ) -> None:
        """One SPRAM: `mask` has a bit for each nibble that is written."""
        if getattr(platform, "device", None) == DEVICE:
            m.submodules[name] = Instance(
                "SB_SPRAM256KA",
                i_CLOCK=ClockSignal(),
                i_ADDRESS=Cat(address, Const(0, 14 - len(address))),
                i_DATAIN=data,
                i_MASKWREN=mask,
                i_WREN=mask.any(),
                i_CHIPSELECT=1,
                i_STANDBY=0,
                i_SLEEP=0,
                i_POWEROFF=1,
                o_DATAOUT=out,
            )
            return
        memory: Any = Memory(shape=SPRAM_BITS, depth=depth, init=[])
        m.submodules[name] = memory
        write, read = memory.write_port(granularity=NIBBLE), memory.read_port()
        m.d.comb += [
            write.addr.eq(address),
            write.data.eq(data),
            write.en.eq(mask),
            read.addr.eq(address),
            out.eq(read.data),
        ]
