# SPDX-License-Identifier: Apache-2.0
"""Where weights live: the store in an SDRAM beside the chip, with the ports of `BlockRamStore`."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from ...parts.queue import Queue
from ...sdram_chips import SdramChip
from .sdram_controller import SdramController, access_cycles, queue_words
from .sdram_words import SdramPins, word_beats
from .words import store_members

LOAD_WORDS = 8
"""Words that wait to be written."""

LOAD_ROOM = 4
"""Words that may still come after `load_ready` has fallen."""

REQUEST_WORDS = 2
"""Requests that wait in front of the controller."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreFigures:
    """What a store is to those who ask it.

    Members
    -------
    latency: cycles from a request to its answer, at the least
    spacing: cycles between two answers, at the least
    waiting: requests that wait for their turn
    """

    latency: int
    spacing: int
    waiting: int

    @property
    def outstanding(self) -> int:
        """Requests that it takes before it has answered the first."""
        return self.waiting + -(-self.latency // self.spacing) + 1


class SdramStore(wiring.Component):
    """Weights in an SDRAM.

    Weight words lie one after the other: first the words of a row, then the rows of all banks, so
    that the next row is in another bank. Words that are loaded go before requests, so that a
    request reads what was loaded before it.

    LATENCY: `latency` cycles from a request to its answer, at the least. THROUGHPUT: a request in
    `spacing` cycles, but for refreshes.

    Parameters
    ----------
    chip : SdramChip
    clock_mhz : float
        Of this domain.
    depth : int
        Words.
    word_bits : int
        Bits of a word: the chip's data lines times a power of two.

    Members
    -------
    store : in, the requests, and out, the answers, of `weight_store_signature`
    load : in, `MemoryWrite(depth, word_bits)`
        Writes words while no request is open.
    load_ready : out, 1 bit
        There is room for words; `LOAD_ROOM` may still come when it has fallen.
    pins : out, `SdramPins(chip)`
    """

    STEADY = False
    """Answers keep the requests' spacing."""

    @staticmethod
    def figures(chip: SdramChip, clock_mhz: float, word_bits: int) -> StoreFigures:
        """What a store of words of `word_bits` bits in `chip` is."""
        beats = word_beats(chip, word_bits)
        return StoreFigures(
            latency=1 + access_cycles(beats, chip.at(clock_mhz).cl),
            spacing=beats,
            waiting=REQUEST_WORDS + queue_words(beats),
        )

    def __init__(self, chip: SdramChip, *, clock_mhz: float, depth: int, word_bits: int) -> None:
        self._depth = depth
        self._word_bits = word_bits
        self.address_bits = max(1, (depth - 1).bit_length())
        figures = self.figures(chip, clock_mhz, word_bits)
        self.latency, self.spacing = figures.latency, figures.spacing
        self.outstanding = figures.outstanding
        self._controller = SdramController(
            chip, clock_mhz=clock_mhz, word_bits=word_bits, address_bits=self.address_bits
        )
        if depth * word_bits > chip.bits:
            raise ValueError(
                f"depth must be at most {chip.bits // word_bits} words of {word_bits} bits in "
                f"{chip.title}, not {depth!r}"
            )
        super().__init__(
            {
                **store_members(depth=depth, word_bits=word_bits),
                "pins": Out(SdramPins(chip)),
            }
        )

    store: Any
    load: Any
    load_ready: Signal
    pins: Any

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.controller = controller = self._controller
        wiring.connect(m, controller.pins, wiring.flipped(self.pins))
        wiring.connect(m, controller.response, wiring.flipped(self.store.response))

        m.submodules.requests = requests = Queue(self.address_bits, depth=REQUEST_WORDS)
        wiring.connect(m, wiring.flipped(self.store.request), requests.i)
        m.submodules.loads = loads = Queue(self.address_bits + self._word_bits, depth=LOAD_WORDS)
        level = Signal(range(LOAD_WORDS + 1))
        m.d.sync += level.eq(level + self.load.en - controller.written)
        m.d.comb += [
            loads.i.valid.eq(self.load.en),
            loads.i.payload.eq(Cat(self.load.data, self.load.addr)),
            self.load_ready.eq(level <= LOAD_WORDS - LOAD_ROOM),
            controller.word.eq(loads.o.payload),
            loads.o.ready.eq(controller.written),
        ]
        # A word stays where it is until it is written; it is asked for once.
        asked = Signal()
        with m.If(loads.o.valid & controller.i.ready):
            m.d.sync += asked.eq(1)
        with m.If(controller.written):
            m.d.sync += asked.eq(0)
        writes = loads.o.valid & ~asked
        m.d.comb += [
            controller.i.valid.eq(Mux(loads.o.valid, writes, requests.o.valid)),
            controller.i.payload.write.eq(loads.o.valid),
            controller.i.payload.address.eq(
                Mux(loads.o.valid, loads.o.payload[self._word_bits :], requests.o.payload)
            ),
            requests.o.ready.eq(controller.i.ready & ~loads.o.valid),
        ]
        return m
