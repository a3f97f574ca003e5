# SPDX-License-Identifier: Apache-2.0
"""The board's end of a link: receiver, sender and framing around two byte streams."""

from typing import Any

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .framer import Framer
from .receiver import LinkReceiver
from .sender import LinkSender


class Link(wiring.Component):
    """Two streams without loss over a line that drops, doubles, swaps or changes bytes.

    The host opens it, numbers the bytes and asks again for what it misses; `frames` and
    docs/host.md describe how. Whatever happens on the line, the board only answers.

    Parameters
    ----------
    window: bytes of each of the two buffers, a power of two.

    Members
    -------
    byte: in, 8 bits: what the line brought
    valid: in, 1 bit, pulse: with each byte
    line: out, stream of 8 bits: what goes on the line
    o: out, stream of 8 bits: the host's stream
    i: in, stream of 8 bits: the board's stream
    restart: out, 1 bit, pulse: a new session begins; what was in the streams is gone
    """

    byte: Signal
    valid: Signal
    line: stream.Interface
    o: stream.Interface
    i: stream.Interface
    restart: Signal

    def __init__(self, *, window: int = 2048) -> None:
        self._window = window
        super().__init__(
            {
                "byte": In(8),
                "valid": In(1),
                "line": Out(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "i": In(stream.Signature(8)),
                "restart": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.receiver = receiver = LinkReceiver(window=self._window)
        sender = LinkSender(window=self._window, peer_window=self._window)
        framer = Framer()
        # A frame that is cut here ends with the next one's flag.
        m.submodules.sender = ResetInserter(receiver.restart)(sender)
        m.submodules.framer = ResetInserter(receiver.restart)(framer)
        m.d.comb += [
            receiver.byte.eq(self.byte),
            receiver.valid.eq(self.valid),
            self.restart.eq(receiver.restart),
        ]
        for name in ("session", "expected", "limit", "acked", "heard", "resend"):
            m.d.comb += getattr(sender, name).eq(getattr(receiver, name))
        for name in ("answer", "gap", "syn"):  # behind the restart, which would forget it
            late = Signal(name=f"late_{name}")
            m.d.sync += late.eq(getattr(receiver, name))
            m.d.comb += getattr(sender, name).eq(late)
        wiring.connect(m, wiring.flipped(self.o), receiver.o)
        wiring.connect(m, wiring.flipped(self.i), sender.i)
        wiring.connect(m, sender.o, framer.i)
        wiring.connect(m, framer.o, wiring.flipped(self.line))
        return m
