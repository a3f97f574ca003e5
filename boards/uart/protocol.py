# SPDX-License-Identifier: Apache-2.0
"""The byte protocol between a host and `bridge.UartBridge`: both directions as plain functions.

The host's half (commands and `Decoder`) waits for a host driver; tests use it until then.

A packet is `SYNC`, a type byte, a body whose length the type fixes (or its count byte), and a
CRC-16 (polynomial 0x1021, start 0xFFFF: "CRC-16/IBM-3740") over the type and the body. Numbers are
little endian. Bytes between packets that are not `SYNC` mean nothing.

Host to board (a command), and the reply that it gets:

| type | body                          | reply | body                      | does              |
|------|-------------------------------|-------|---------------------------|-------------------|
| `W`  | address[3], data[4]           | `w`   | response                  | writes a register |
| `R`  | address[3]                    | `r`   | response, data[4]         | reads a register  |
| `F`  | count, flags, word[2] * count | `f`   | response                  | feeds a frame     |
| `P`  | -                             | `p`   | version, words, window[2] | greets            |

`response` is AXI's: 0 is OK, 2 and 3 are errors. `count` is 1 to `words`; a longer frame goes in
several `F`. Flags of `F`: bit 0, the first word starts a sequence (tuser[0]); bit 1, the last word
ends the frame (tlast); bit 2, the frame ends a sequence (tuser[1]). The reply to `F` says that the
core has taken every word.

Board to host, unasked: `O`, body count, flags, word[2] * count: outputs, flags bit 1 on a message
that ends a frame. Outputs come between replies, never inside one.

Nothing is lost without handshake wires: the board's receive buffer holds `window` bytes, and the
host never has more bytes than that under way, counting each command until its reply. Replies come
in the order of their commands. The board always sends; the host must always read.

A packet with a wrong CRC, an unknown type or a count out of range, and a byte lost on the way in,
is answered with `n` (body: reason, see `Fault`); the board then ignores every packet but `P`, so
that commands sent behind the broken one do not take effect out of order. The host sends `RESYNC`
(its zeros complete whatever packet is under way) and `P`, and goes on after the `p`.
"""

import binascii
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

SYNC = 0xD7
VERSION = 1
MAX_WORDS = 64
"""Words of one `F` or `O` packet, at most."""
FLAG_FIRST = 1
FLAG_LAST = 2
FLAG_END = 4
RESYNC = bytes(2 * MAX_WORDS + 16)
"""Ends any packet that is under way on the board's side."""
BODY_OF_REPLY = {b"w": 1, b"r": 5, b"f": 1, b"p": 4, b"n": 1}


class Fault(IntEnum):
    """Why the board refused a packet."""

    CRC = 1
    TYPE = 2
    COUNT = 3
    LOST = 4  # a byte without a stop bit, or more than a window under way


@dataclass(frozen=True, slots=True)
class Message:
    """A packet from the board.

    Parameters
    ----------
    type
        Its type letter.
    body
        What is between the type and the CRC.
    """

    type: str
    body: bytes

    @property
    def words(self) -> tuple[int, ...]:
        """The signed words of an `O`."""
        if self.type != "O":
            raise ValueError(f"only an 'O' message has words, not {self.type!r}")
        return struct.unpack(f"<{self.body[0]}h", self.body[2:])

    @property
    def last(self) -> bool:
        """Whether an `O` ends a frame."""
        return self.type == "O" and bool(self.body[1] & FLAG_LAST)


def crc(data: bytes) -> int:
    """The CRC of a packet's type and body."""
    return binascii.crc_hqx(data, 0xFFFF)


def packet(kind: str, body: bytes = b"") -> bytes:
    """A whole packet of type ``kind``."""
    inner = kind.encode("ascii") + body
    return bytes([SYNC]) + inner + struct.pack("<H", crc(inner))


def write_command(address: int, data: int) -> bytes:
    """Write the 32-bit ``data`` to a register at the 24-bit byte ``address``."""
    return packet("W", struct.pack("<II", address, data)[:3] + struct.pack("<I", data))


def read_command(address: int) -> bytes:
    """Read the register at the 24-bit byte ``address``."""
    return packet("R", struct.pack("<I", address)[:3])


def ping_command() -> bytes:
    """Ask for version, packet size and window; clears a fault."""
    return packet("P")


def frame_commands(words: Sequence[int], *, first: bool = False, end: bool = False) -> list[bytes]:
    """The packets that carry one frame of int16 ``words``, which starts or ends a sequence."""
    if not words:
        raise ValueError("words must not be empty: a frame has at least one element")
    commands = []
    for start in range(0, len(words), MAX_WORDS):
        part = words[start : start + MAX_WORDS]
        flags = FLAG_FIRST * (first and start == 0)
        flags |= FLAG_END * end
        flags |= FLAG_LAST * (start + len(part) == len(words))
        commands.append(
            packet("F", bytes([len(part), flags]) + struct.pack(f"<{len(part)}h", *part))
        )
    return commands


class Decoder:
    """Cuts the bytes from the board into messages.

    Attributes
    ----------
    skipped
        How many bytes fitted no packet.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that ``data`` completes."""
        self._buffer += data
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _length(self) -> int | None:
        """Length of the body at the front of the buffer; None: not known yet; -1: no packet."""
        kind = bytes(self._buffer[1:2])
        if kind == b"O":
            return 2 + 2 * self._buffer[2] if len(self._buffer) > 2 else None
        return BODY_OF_REPLY.get(kind, -1)

    def _next(self) -> Message | None:
        while len(self._buffer) >= 2:
            length = self._length() if self._buffer[0] == SYNC else -1
            if length is None or (length >= 0 and len(self._buffer) < length + 4):
                return None
            inner = bytes(self._buffer[1 : length + 2])
            if (
                length >= 0
                and struct.pack("<H", crc(inner)) == self._buffer[length + 2 : length + 4]
            ):
                del self._buffer[: length + 4]
                return Message(chr(inner[0]), inner[1:])
            del self._buffer[0]
            self.skipped += 1
        return None
