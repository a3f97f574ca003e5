# SPDX-License-Identifier: Apache-2.0
"""A board at the end of a serial line that says what no board should, and the host's driver on it.

The link's frames are damaged on their way, or the link is right and what it carries is not.
"""

import random
import struct

import numpy as np

from deltaloom.boards.link.frames import FLAG, frame
from deltaloom.boards.uart.protocol import VERSION
from deltaloom.golden.errors import UserError
from deltaloom.host import device as host
from deltaloom.sim.testing.bad_line import BadLine
from deltaloom.sim.testing.board_link import BoardLink

PATIENCE = 0.05
LETTERS = b"wrcpnO"


class OddLine:
    """The line, and the board behind it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng, self._board = rng, BoardLink()
        chance = rng.choice((0.0, 0.0, 0.1, 0.9))
        self._there, self._back = BadLine(rng, chance), BadLine(rng, chance)
        self._odd = rng.choice((0.0, 0.02, 0.3, 1.0))
        self._noise = rng.choice((0.0, 0.0, 0.2))

    def write(self, data: bytes) -> None:
        self._board.receive(self._there.carry(data))
        commands = self._board.take(4096)
        if commands:
            for letter in commands[:1] if self._odd < 1 else commands[:20]:
                answer = self._answer(letter)
                if len(answer) <= self._board.room:
                    self._board.send(answer)

    def read(self, seconds: float) -> bytes:
        rng = self._rng
        if rng.random() < self._noise:
            content = rng.randbytes(rng.randrange(300))
            return rng.choice((content, frame(content), bytes([FLAG]) * 3 + content))
        return self._back.carry(self._board.poll())

    def close(self) -> None:
        pass

    def _answer(self, letter: int) -> bytes:
        """The reply to a command, by its letter, or another."""
        rng = self._rng
        right = {
            ord("P"): b"p" + struct.pack("<BII", VERSION, 1, 2),
            ord("W"): b"w\0",
            ord("N"): b"w\0",
            ord("C"): b"c" + rng.randbytes(4),
            ord("R"): b"r\x01" + rng.randbytes(4) + b"\0",
            ord("F"): b"O\x02\x02" + rng.randbytes(4),
        }
        if rng.random() >= self._odd:
            return right.get(letter, b"")
        kind = rng.choice(LETTERS)
        return bytes([kind]) + rng.randbytes(rng.choice((0, 1, 2, 4, 9, 40, 300)))


def drive(seed: int) -> None:
    """The driver does what it does on such a board; UserError where it gives up."""
    rng = random.Random(seed)
    host.OUTPUTS_WITHIN = 2 * PATIENCE
    device = host.LinkedDevice(OddLine(rng), patience=PATIENCE, baud=1_000_000)
    try:
        for _ in range(4):
            what = rng.randrange(5)
            if what == 0:
                device.write([(4 * rng.randrange(9), [rng.randrange(1 << 32)])])
            elif what == 1:
                words = device.read(4 * rng.randrange(9), count := rng.choice((1, 3, 300)))
                if len(words) != count:
                    raise AssertionError(f"{len(words)} registers for {count}")
            elif what == 2:
                device.name(rng.randrange(1 << 32))
            elif what == 3:
                device.feed(np.array([1, -2], np.int64), first=True, end=True)
                device.outputs(2)
            else:
                device.waiting()
    except ValueError as error:
        raise AssertionError(str(error)) from error
    finally:
        device.close()


def main(seed: int) -> int:
    """As the command line would end."""
    try:
        drive(seed)
    except UserError as error:
        import sys

        print("deltaloom:", error, file=sys.stderr)
        return 2
    return 0
