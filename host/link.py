# SPDX-License-Identifier: Apache-2.0
"""The host's end of a link: numbers what it sends, asks again for what it misses.

It does no input and output and has no clock: bytes and times are given to it, so that it runs on
any line and can be tested to the byte. docs/host.md describes the protocol.
"""

import random

from ..boards.link.frames import (
    ASK,
    GAP,
    MAX_DATA,
    POSITIONS,
    RESEND,
    SYN,
    VERSION,
    Deframer,
    Segment,
    frame,
)
from ..golden.errors import UserError

MOST_WAIT = 2.0
"""Seconds: on a bad line most questions are lost, and the next one must not be long in coming."""


class LinkError(UserError):
    """The board does not answer, or not as it should."""


class HostLink:
    """One session with a board.

    Parameters
    ----------
    patience: seconds without a right frame from a board that was asked, until it counts as gone.
    wait: seconds until the board is asked where it is, at first; it doubles, up to a quarter of
        the patience and to `MOST_WAIT`, and begins anew when something comes.
    session: the session's number, 1 to 255; None: any.

    Attributes
    ----------
    expecting: something from the board is awaited, so silence is not accepted. Whoever waits for
        an answer sets it.
    frames, damaged, resent: right frames; frames with a wrong CRC; segments that were sent again
        and requests to send again.
    """

    def __init__(
        self, *, patience: float = 5.0, wait: float = 0.25, session: int | None = None
    ) -> None:
        self.expecting = False
        self.frames = self.resent = 0
        self._deframer = Deframer()
        self._session = session or random.randrange(1, 256)
        self._patience, self._first_wait = patience, wait
        self._open = False
        # Positions count on beyond 16 bits; what is on the line is modulo POSITIONS.
        self._base = self._next = self._end = 0  # acknowledged; to be sent; of what was given
        self._limit = 0
        self._unacknowledged = bytearray()  # from base to end
        self._expected = 0
        self._received = bytearray()
        self._owed = False  # an acknowledgement
        self._ask_again = False  # for what the board sent
        self._wait = wait
        self._heard: float | None = None  # when the last right frame came, or waiting began
        self._timer: float | None = None  # when to send again
        self._gap: tuple[int, float] | None = None  # where the last one was mended, and when
        self._hole: tuple[int, float] | None = None
        self._probed = False  # the timer asked where the board is
        self._strangers = 0

    @property
    def is_open(self) -> bool:
        """Whether the board has answered."""
        return self._open

    @property
    def damaged(self) -> int:
        """Frames with a wrong CRC."""
        return self._deframer.damaged

    @property
    def pending(self) -> int:
        """Bytes given to `send` that the board has not acknowledged."""
        return self._end - self._base

    def send(self, data: bytes) -> None:
        """Append to the host's stream; `poll` sends it."""
        self._unacknowledged += data
        self._end += len(data)

    def take(self) -> bytes:
        """What has come of the board's stream since the last call."""
        data = bytes(self._received)
        self._received.clear()
        return data

    def receive(self, data: bytes, now: float) -> None:
        """Bytes from the line.

        Raises LinkError where the board is in another session: it was reset, or someone else
        talks to it.
        """
        for content in self._deframer.feed(data):
            segment = Segment.unpack(content, from_board=True)
            if segment is not None:
                self._hear(segment, now)

    def poll(self, now: float) -> bytes:
        """What is to be sent now.

        Raises LinkError where the board has been silent for too long.
        """
        waiting = not self._open or self.pending > 0 or self.expecting
        if not waiting:
            self._timer = self._heard = None
        elif self._heard is None:
            self._heard = now
        if self._heard is not None and now - self._heard > self._patience:
            raise LinkError(self._silence())
        out = bytearray()
        if waiting and (self._timer is None or now >= self._timer):
            again = self._timer is not None
            self._timer = now + self._wait
            if again:
                most = max(min(self._patience / 4, MOST_WAIT), self._first_wait)
                self._wait = min(2 * self._wait, most)
                self.resent += 1
            if not self._open:
                return self._segment(SYN | ASK)
            if again:  # what is lost on the way there goes again when the answer says so
                self._probed = True
                out += self._segment(ASK | RESEND)
        if self._open:
            out += self._data()
            if self._ask_again:
                out += self._segment(RESEND)
            elif self._owed:
                out += self._segment(0)
        return bytes(out)

    def wake(self) -> float | None:
        """When `poll` has something to do next, if nothing comes before; None: never."""
        return self._timer

    def _silence(self) -> str:
        for_long = f"for {self._patience:g} s"
        if self.frames:
            return (
                f"no answer from the board {for_long}: look at cable and power, then open it again"
            )
        if self.damaged:
            return (
                f"only damaged frames from the board {for_long}: the baud rate may be another one "
                "than the board was built for"
            )
        return (
            f"no answer from the board {for_long}: is it on, is the bitstream loaded, are port and "
            "baud rate right?"
        )

    def _hear(self, segment: Segment, now: float) -> None:
        """A right frame."""
        if segment.version != VERSION:
            raise LinkError(
                f"the board speaks version {segment.version} of the link, this driver {VERSION}: "
                "build the bitstream again"
            )
        if segment.session != self._session:
            self._strangers += 1
            if self._open and self._strangers >= 3:  # one or two may be late ones
                raise LinkError(
                    "the board is in another session: it was reset, or another program opened it; "
                    "open it again"
                )
            return
        self._strangers = 0
        self.frames += 1
        self._heard = now
        if not self._open:
            if not segment.control & SYN:
                return
            if segment.seq or segment.ack:  # an old session had this number
                self._session = self._session % 255 + 1
                self._timer = None
                return
            self._open = True
            self._timer = None
        self._acknowledged(segment, now)
        if segment.data:
            self._owed = True
            ahead = self._ahead(segment.seq, self._expected)
            if ahead == 0:
                self._received += segment.data
                self._expected += len(segment.data)
                self._wait, self._timer = self._first_wait, None
            elif ahead > 0:
                self._miss(now)
        elif self._ahead(segment.seq, self._expected) > 0:
            self._miss(now)

    def _acknowledged(self, segment: Segment, now: float) -> None:
        ack = self._base + self._ahead(segment.ack, self._base)
        if self._base < ack <= self._end:
            del self._unacknowledged[: ack - self._base]
            self._base = ack
            self._next = max(self._next, ack)
            self._wait, self._timer = self._first_wait, None
        if self._base == ack:
            limit = ack + (((segment.limit or 0) - segment.ack) % POSITIONS)
            self._limit = max(self._limit, limit)
            lost = bool(segment.control & GAP) and self._next > ack
            fresh = self._gap is None or self._gap[0] != ack or now >= self._gap[1]
            if (lost and fresh) or (self._probed and self._next > ack):
                self._probed = False
                self._gap = ack, now + self._first_wait
                self._next = ack
                self.resent += 1

    def _miss(self, now: float) -> None:
        """Something of the board's stream did not come."""
        if self._hole is None or self._hole[0] != self._expected or now >= self._hole[1]:
            self._hole = self._expected, now + self._first_wait
            self._ask_again = True
            self.resent += 1

    @staticmethod
    def _ahead(position: int, of: int) -> int:
        """How far a 16-bit position is ahead, -POSITIONS / 2 or more."""
        return (position - of + POSITIONS // 2) % POSITIONS - POSITIONS // 2

    def _data(self) -> bytes:
        """Segments with all data that has room."""
        out = bytearray()
        while (count := min(self._end, self._limit, self._next + MAX_DATA) - self._next) > 0:
            start = self._next - self._base
            out += self._segment(0, bytes(self._unacknowledged[start : start + count]))
            self._next += count
        return bytes(out)

    def _segment(self, control: int, data: bytes = b"") -> bytes:
        if self._ask_again:
            control |= RESEND
        self._ask_again = self._owed = False
        segment = Segment(
            session=self._session,
            control=control,
            seq=self._next % POSITIONS,
            ack=self._expected % POSITIONS,
            data=data,
        )
        return frame(segment.pack())
