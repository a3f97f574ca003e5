# SPDX-License-Identifier: Apache-2.0
"""A line that damages frames, for tests of links."""

import random
from collections.abc import Callable, Iterator
from typing import Any

from ...boards.link.frames import FLAG


class BadLine:
    """Carries bytes one way and damages some of the frames in them, each in one way.

    Parameters
    ----------
    rng: what happens.
    chance: of a frame to be damaged, 0 to 1.

    Attributes
    ----------
    carried, damaged: frames so far.
    """

    def __init__(self, rng: random.Random, chance: float) -> None:
        self.carried = self.damaged = 0
        self._rng, self._chance = rng, chance
        self._late = b""
        self._faults: tuple[Callable[[bytearray], bytes], ...] = (
            self._lose,
            self._double,
            self._swap,
            self._move,
            self._flip,
            self._insert,
            self._cut,
            self._end_early,
            lambda data: b"",
            lambda data: bytes(data) * 2,
            self._delay,
        )

    def heal(self) -> None:
        """Damage nothing from now on."""
        self._chance = 0.0

    def carry(self, data: bytes) -> bytes:
        """What comes out at the other end."""
        out = b""
        for frame in _frames(data):
            self.carried += 1
            late, self._late = self._late, b""
            if self._rng.random() < self._chance:
                self.damaged += 1
                out += self._rng.choice(self._faults)(bytearray(frame))
            else:
                out += frame
            out += late
        return out

    def _place(self, data: bytearray) -> int:
        return self._rng.randrange(len(data))

    def _lose(self, data: bytearray) -> bytes:
        del data[self._place(data)]
        return bytes(data)

    def _double(self, data: bytearray) -> bytes:
        at = self._place(data)
        data.insert(at, data[at])
        return bytes(data)

    def _swap(self, data: bytearray) -> bytes:
        at = self._place(data)
        data[at - 1], data[at] = data[at], data[at - 1]
        return bytes(data)

    def _move(self, data: bytearray) -> bytes:
        data.insert(self._place(data), data.pop(self._place(data)))
        return bytes(data)

    def _flip(self, data: bytearray) -> bytes:
        for _ in range(self._rng.choice((1, 1, 2, 5))):
            data[self._place(data)] ^= 1 << self._rng.randrange(8)
        return bytes(data)

    def _insert(self, data: bytearray) -> bytes:
        at = self._place(data)
        data[at:at] = self._rng.randbytes(self._rng.randrange(1, 30))
        return bytes(data)

    def _cut(self, data: bytearray) -> bytes:
        at = self._place(data)
        del data[at : at + self._rng.randrange(1, 60)]
        return bytes(data)

    def _end_early(self, data: bytearray) -> bytes:
        return bytes(data[: self._place(data)])

    def _delay(self, data: bytearray) -> bytes:
        self._late = bytes(data)
        return b""


class DamagedLine:
    """A line of whole frames, as the host driver's, that damages some of them both ways.

    Parameters
    ----------
    line: what carries the bytes on; it has `read`, `write` and `close`.
    rng, chance: as of `BadLine`.

    Attributes
    ----------
    there, back: the `BadLine` of each way.
    """

    def __init__(self, line: Any, rng: random.Random, chance: float) -> None:
        self.there, self.back = BadLine(rng, chance), BadLine(rng, chance)
        self._line = line
        self._begun = b""  # a frame whose end has not come

    @property
    def damaged(self) -> int:
        """Frames, both ways."""
        return self.there.damaged + self.back.damaged

    def read(self, seconds: float) -> bytes:
        """What has come within so many seconds, but a frame that has only begun."""
        data = self._begun + self._line.read(seconds)
        whole = 0
        while (end := data.find(FLAG, whole + 1)) >= 0:
            whole = end + 1
        self._begun = data[whole:]
        return self.back.carry(data[:whole])

    def write(self, data: bytes) -> None:
        """Send it."""
        self._line.write(self.there.carry(data))

    def close(self) -> None:
        """Let go of the line."""
        self._line.close()


def _frames(data: bytes) -> Iterator[bytes]:
    """Whole frames, as far as they are whole, and what is not."""
    flag = bytes([FLAG])
    while data:
        end = data.find(flag, 1) + 1 or len(data)
        yield data[:end]
        data = data[end:]
