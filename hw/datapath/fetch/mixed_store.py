# SPDX-License-Identifier: Apache-2.0
"""Where weights live: some in block RAM and the rest in an SDRAM, with the ports of either."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring

from .weight_store import BlockRamStore
from .words import store_members

__all__ = ["MixedStore"]


class MixedStore(wiring.Component):
    """Words up to the depth of `near` are there, all others are in `far`.

    Answers come in the order of the requests. A request of `near` waits until `far` has answered
    all that is open; those of `far` follow at once, as its answers take longer.

    LATENCY: that of the store that has the word. THROUGHPUT: likewise; from `far` to `near` the
    latency of `far` is lost.

    Parameters
    ----------
    near : BlockRamStore
    far : SdramStore
        Of all words, or a component with its ports and attributes: the first ones are never used.
    depth : int
        Words.
    word_bits : int
        Bits of a word.

    Members
    -------
    store : in, the requests, and out, the answers, of `weight_store_signature`
    load : in, `MemoryWrite(depth, word_bits)`
        Writes words while no request is open.
    load_ready : out, 1 bit
        As that of `far`.
    pins : out, those of `far`, where it has any
    """

    STEADY = False
    """Answers keep the requests' spacing."""

    spacing = 1
    """Cycles between two answers, at the least."""

    def __init__(self, *, near: BlockRamStore, far: Any, depth: int, word_bits: int) -> None:
        self._near, self._far = near, far
        self.address_bits = far.address_bits
        self.outstanding = near.outstanding + far.outstanding
        members = dict(far.signature.members.items())
        super().__init__(
            {
                **store_members(depth=depth, word_bits=word_bits),
                **({"pins": members["pins"]} if "pins" in members else {}),
            }
        )

    store: Any
    load: Any
    load_ready: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.near, m.submodules.far = near, far = self._near, self._far
        if hasattr(self, "pins"):
            wiring.connect(m, far.pins, wiring.flipped(self.pins))
        request, response = self.store.request, self.store.response
        near_request, far_request = near.store.request, far.store.request

        is_near = request.payload < self._near.depth
        open_far = Signal(range(far.outstanding + 1))
        asked = far_request.valid & far_request.ready
        answered = far.store.response.valid
        free = Signal(init=1)  # nothing of `far` is open
        m.d.sync += [
            open_far.eq(open_far + asked - answered),
            free.eq(~asked & ((open_far == 0) | ((open_far == 1) & answered))),
        ]
        m.d.comb += [
            near_request.payload.eq(request.payload),
            near_request.valid.eq(request.valid & is_near & free),
            far_request.payload.eq(request.payload),
            far_request.valid.eq(request.valid & ~is_near),
            request.ready.eq(Mux(is_near, free, far_request.ready)),
            response.valid.eq(near.store.response.valid | answered),
            response.payload.eq(
                Mux(answered, far.store.response.payload, near.store.response.payload)
            ),
        ]

        loads_near = self.load.addr < self._near.depth
        for one, here in ((near, loads_near), (far, ~loads_near)):
            m.d.comb += [
                one.load.addr.eq(self.load.addr),
                one.load.data.eq(self.load.data),
                one.load.en.eq(self.load.en & here),
            ]
        m.d.comb += self.load_ready.eq(far.load_ready)
        return m
