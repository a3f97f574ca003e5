# SPDX-License-Identifier: Apache-2.0
"""Loads the image memories, 32 bits at a time."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..parts.memory import MemoryWrite, load_ports
from .register_map import Window, place_windows
from .registers import ImageWriteSignature


class ImageLoader(wiring.Component):
    """Collects 32-bit writes into words of the image memories.

    Word n of a memory is at `base + n * stride`, its slices low first (`place_windows`). The slices
    collect in one staging register; the write of a word's last slice commits the word, so a host
    writes the slices of one word in order. An address between the slices of one word and the next,
    or of no memory, gives `image.error` and does nothing.

    LATENCY: 2 cycles from the last slice to the memory's write. THROUGHPUT: 1 slice per cycle.

    Parameters
    ----------
    windows : sequence of Window
        The memories.

    Members
    -------
    image : in, `ImageWriteSignature`
        Ready unless `hold`.
    hold : in, 1 bit
        A memory takes no more; the words that are on their way, up to two, still come.
    load_NAME : out, `MemoryWrite`, for each window
        `loads` has them by the windows' names.
    """

    image: Any
    hold: Signal
    loads: dict[str, Any]

    def __init__(self, windows: Sequence[Window]) -> None:
        if not windows:
            raise ValueError("windows must not be empty")
        self.windows = tuple(windows)
        self.places = place_windows(self.windows)
        super().__init__(
            {
                "image": In(ImageWriteSignature()),
                "hold": In(1),
                **{f"load_{w.name}": Out(MemoryWrite(w.depth, w.width)) for w in self.windows},
            }
        )
        self.loads = load_ports(self, [window.name for window in self.windows])

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        image = self.image
        # Where a slice goes is decided in one cycle and done in the next.
        widest = max(w.width for w in self.windows)
        staging, data = Signal(widest), Signal(32)
        depth = max(w.depth for w in self.windows)
        row, row_taken = Signal(range(depth)), Signal(range(depth))
        m.d.comb += [image.ready.eq(~self.hold), image.error.eq(1)]
        m.d.sync += [data.eq(image.data), row.eq(row_taken)]
        for place in self.places:
            window = place.window
            port = self.loads[window.name]
            span_bits, slice_bits = ceil_log2(window.span), ceil_log2(window.stride)
            # A reset does not restore memories: whatever the registers hold before it, they must
            # not write while it lasts.
            complete = Signal(name=f"{window.name}_complete")
            m.d.sync += complete.eq(0)
            m.d.comb += [
                port.addr.eq(row),
                port.data.eq(staging),
                port.en.eq(complete & ~ResetSignal(allow_reset_less=True)),
            ]
            word = image.addr[slice_bits:span_bits]
            here = image.addr[span_bits:] == place.base >> span_bits
            for s in range(window.slices):
                taken = Signal(name=f"{window.name}_{s}")
                m.d.sync += taken.eq(0)
                with m.If(here & (image.addr[:slice_bits] == s) & (word < window.depth)):
                    m.d.comb += image.error.eq(0)
                    m.d.sync += [taken.eq(image.valid & image.ready), row_taken.eq(word)]
                with m.If(taken):
                    low, high = 32 * s, min(32 * s + 32, window.width)
                    m.d.sync += staging[low:high].eq(data)
                    if s == window.slices - 1:
                        m.d.sync += complete.eq(1)
        return m
