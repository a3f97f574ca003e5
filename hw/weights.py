# SPDX-License-Identifier: Apache-2.0
"""Where weights live: the store interface, and the store in on-chip block RAM.

A store answers requests in order, with any latency. Whoever asks may have no more requests open
than the store allows (`WeightStore.OUTSTANDING`), and takes every answer at once.
"""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


def weight_store_signature(*, address_bits: int, word_bits: int) -> wiring.Signature:
    """As the store sees it: `request` carries a word's address, `response` the word."""
    return wiring.Signature(
        {
            "request": In(stream.Signature(address_bits)),
            "response": Out(stream.Signature(word_bits, always_ready=True)),
        }
    )


class BlockRamStore(wiring.Component):
    """Weights in block RAM: takes a request every cycle and answers it LATENCY cycles later.

    Parameters
    ----------
    depth: words
    word_bits: bits of a word
    init: initial words, or empty

    Members
    -------
    store: the store interface
    w_en, w_addr, w_data: loading, while no request is open
    """

    LATENCY = 2
    STEADY = True
    """Answers keep the requests' spacing."""

    def __init__(self, *, depth: int, word_bits: int, init: list[int]) -> None:
        self._depth = depth
        self._word_bits = word_bits
        self._init = init
        self.address_bits = max(1, (depth - 1).bit_length())
        super().__init__(
            {
                "store": Out(
                    weight_store_signature(address_bits=self.address_bits, word_bits=word_bits)
                ),
                "w_en": In(1),
                "w_addr": In(self.address_bits),
                "w_data": In(word_bits),
            }
        )

    store: Any
    w_en: Signal
    w_addr: Signal
    w_data: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Any = Memory(shape=self._word_bits, depth=self._depth, init=self._init)
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()
        request, response = self.store.request, self.store.response
        asked = Signal()
        m.d.comb += [
            request.ready.eq(1),
            read.addr.eq(request.payload),
            write.en.eq(self.w_en),
            write.addr.eq(self.w_addr),
            write.data.eq(self.w_data),
        ]
        # The second register keeps the memory's slow output out of the multipliers' path.
        m.d.sync += [
            asked.eq(request.valid),
            response.valid.eq(asked),
            response.payload.eq(read.data),
        ]
        return m
