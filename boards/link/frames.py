# SPDX-License-Identifier: Apache-2.0
"""The frames on the line between a host and a board, as docs/host.md describes them.

A frame is `FLAG`, a segment with its CRC-32, `FLAG`; in between, `FLAG` and `ESCAPE` are sent as
`ESCAPE` and the byte XOR 0x20. What is damaged has a wrong CRC, and the next `FLAG` ends it.
"""

import struct
import zlib
from dataclasses import dataclass

FLAG, ESCAPE, FLIP = 0x7E, 0x7D, 0x20
VERSION = 2
"""Of the link, in the upper half of every control byte."""

MAX_DATA = 256
"""Data bytes of a segment, at most."""
CRC_BYTES = 4
HOST_HEADER, BOARD_HEADER = 6, 8
"""Bytes of a segment's header, from the host and from the board."""
POSITIONS = 1 << 16
"""Positions in a stream are byte counts modulo this."""

SYN = 1
"""From the host: begin the session. From the board: that was asked for."""
ASK = 2
"""From the host: answer, even where there is nothing new."""
RESEND = 4
"""From the host: what is behind `ack` did not come."""
GAP = 2
"""From the board: data before this came, but what is at `ack` did not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """What a frame carries.

    Members
    -------
    session: 1 to 255, the host's choice; 0: the board has none.
    control: of SYN, ASK, RESEND from a host; of SYN, GAP from a board.
    seq: position of the first data byte, or of the next where there is none.
    ack: position of the byte that the sender waits for.
    limit: from a board, the position up to which there is room; None: from a host.
    data: up to `MAX_DATA` bytes.
    version: the sender's.
    """

    session: int
    control: int = 0
    seq: int = 0
    ack: int = 0
    limit: int | None = None
    data: bytes = b""
    version: int = VERSION

    def pack(self) -> bytes:
        """The segment without its CRC."""
        tail = b"" if self.limit is None else struct.pack("<H", self.limit)
        control = self.version << 4 | self.control
        return struct.pack("<BBHH", self.session, control, self.seq, self.ack) + tail + self.data

    @classmethod
    def unpack(cls, content: bytes, *, from_board: bool) -> "Segment | None":
        """The segment in a frame's content; None where it is too short for one."""
        header = BOARD_HEADER if from_board else HOST_HEADER
        if len(content) < header:
            return None
        session, control, seq, ack = struct.unpack_from("<BBHH", content)
        return cls(
            session=session,
            control=control & 15,
            seq=seq,
            ack=ack,
            limit=struct.unpack_from("<H", content, 6)[0] if from_board else None,
            data=content[header:],
            version=control >> 4,
        )


def crc(content: bytes) -> bytes:
    """CRC-32 (that of Ethernet and zip) of a segment, as it follows it."""
    return struct.pack("<I", zlib.crc32(content))


def escaped(data: bytes) -> bytes:
    """`data` without `FLAG`."""
    return (
        data.replace(bytes([ESCAPE]), bytes([ESCAPE, ESCAPE ^ FLIP]))
        # after that: what it puts in is no FLAG
        .replace(bytes([FLAG]), bytes([ESCAPE, FLAG ^ FLIP]))
    )


def frame(content: bytes) -> bytes:
    """The frame of a segment: what is sent."""
    return bytes([FLAG]) + escaped(content + crc(content)) + bytes([FLAG])


class Deframer:
    """Finds the frames in received bytes.

    Attributes
    ----------
    damaged: frames with a wrong CRC, or longer than any.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self._content = bytearray()
        self._escaped = False

    def feed(self, data: bytes) -> list[bytes]:
        """The contents of the frames, without their CRC, that `data` completes."""
        found = []
        most = BOARD_HEADER + MAX_DATA + CRC_BYTES
        for byte in data:
            if byte == FLAG:
                content, check = self._content[:-CRC_BYTES], self._content[-CRC_BYTES:]
                if content and len(self._content) <= most and crc(bytes(content)) == check:
                    found.append(bytes(content))
                else:
                    self.damaged += bool(self._content)
                self._content.clear()
                self._escaped = False
            elif byte == ESCAPE:
                self._escaped = True
            else:
                if len(self._content) <= most:
                    self._content.append(byte ^ FLIP if self._escaped else byte)
                self._escaped = False
        return found
