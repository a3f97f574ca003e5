# SPDX-License-Identifier: Apache-2.0
"""The board's end of a link in Python: what `boards.link.link` is to do, for tests of hosts."""

from ...boards.link.frames import (
    ASK,
    CRC_BYTES,
    GAP,
    MAX_DATA,
    POSITIONS,
    RESEND,
    SYN,
    Deframer,
    Segment,
    frame,
)


class BoardLink:
    """Answers a host as the hardware does, frame by frame.

    Parameters
    ----------
    window: bytes of the two buffers.

    Attributes
    ----------
    opened: sessions so far.
    """

    def __init__(self, *, window: int = 2048) -> None:
        self.opened = 0
        self._window = window
        self._deframer = Deframer()
        self._session = 0
        self._begin(0)

    def _begin(self, session: int) -> None:
        self._session = session
        self._received = bytearray()
        self._expected = self._taken = 0
        self._kept = bytearray()
        self._base = self._next = 0
        self._told = self._limit
        self._due, self._control = False, 0

    @property
    def _limit(self) -> int:
        return (self._taken + self._window - CRC_BYTES) % POSITIONS

    @property
    def room(self) -> int:
        """Bytes that `send` takes."""
        return self._window - len(self._kept)

    def send(self, data: bytes) -> None:
        """Append to the board's stream, at most `room` bytes."""
        if len(data) > self.room:
            raise ValueError(f"{len(data)} bytes, there is room for {self.room}")
        self._kept += data

    def take(self, most: int) -> bytes:
        """The next bytes of the host's stream."""
        data = bytes(self._received[:most])
        del self._received[:most]
        self._taken = (self._taken + len(data)) % POSITIONS
        return data

    def receive(self, data: bytes) -> None:
        """Bytes from the line."""
        for content in self._deframer.feed(data):
            segment = Segment.unpack(content, from_board=False)
            if segment is not None:
                self._hear(segment)

    def _hear(self, segment: Segment) -> None:
        if segment.control & SYN and segment.session != self._session:
            self.opened += 1
            self._begin(segment.session)
            self._due, self._control = True, SYN
            return
        if segment.session != self._session:
            self._due = True
            return
        self._control |= segment.control & SYN
        self._due |= bool(segment.data) or bool(segment.control & (ASK | SYN))
        ahead = (segment.seq - self._expected) % POSITIONS
        if segment.data and not segment.control & SYN:
            if ahead == 0 and len(self._received) + len(segment.data) <= self._window - CRC_BYTES:
                self._received += segment.data
                self._expected = (self._expected + len(segment.data)) % POSITIONS
            elif 0 < ahead < POSITIONS // 2:
                self._control |= GAP
        self._acknowledge(segment)

    def _acknowledge(self, segment: Segment) -> None:
        behind = (segment.ack - self._base) % POSITIONS
        beyond = (self._next - self._base) % POSITIONS
        known = behind <= len(self._kept)
        if known:
            del self._kept[:behind]
            self._base = segment.ack
        if segment.control & RESEND or (known and behind > beyond):
            self._next = self._base

    def poll(self) -> bytes:
        """The next frame, if one is to be sent."""
        start = (self._next - self._base) % POSITIONS
        data = bytes(self._kept[start : start + MAX_DATA])
        half = self._window // 2
        if not (self._due or data or self._limit // half != self._told // half):
            return b""
        segment = Segment(
            session=self._session,
            control=self._control,
            seq=self._next,
            ack=self._expected,
            limit=self._limit,
            data=data,
        )
        self._next = (self._next + len(data)) % POSITIONS
        self._told = self._limit
        self._due, self._control = False, 0
        return frame(segment.pack())
