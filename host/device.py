# SPDX-License-Identifier: Apache-2.0
"""An accelerator's registers and streams at the other end of a line."""

import struct
import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from ..boards.uart.protocol import (
    MAX_COUNT,
    VERSION,
    Message,
    MessageDecoder,
    frame_command,
    name_command,
    ping_command,
    read_command,
    sum_command,
    sum_of,
    write_command,
)
from ..golden.arithmetic import Ints
from .lines import Line
from .link import HostLink, LinkError

LONGEST_READ = 0.05
"""Seconds that a line is waited for, so that Ctrl-C and timers are noticed."""
OUTPUTS_WITHIN = 10.0
"""Seconds until outputs count as missing though the board answers; a frame takes milliseconds."""


class LinkedDevice:
    """A device at the other end of a line.

    Parameters
    ----------
    line: to the board.
    patience: seconds of silence until the board counts as gone.
    baud: bits a second of the line, for its waiting times.

    Attributes
    ----------
    design, network: the numbers that the board tells.

    All of it raises LinkError where nobody answers; after that nothing works but `close`.
    """

    def __init__(self, line: Line, *, patience: float, baud: int) -> None:
        self._line = line
        # Twice what both buffers take on the line, and what an USB bridge waits.
        self._link = HostLink(patience=patience, wait=0.1 + 2 * 4096 * 10 / baud)
        self._patience = patience
        self._decoder = MessageDecoder()
        self._replies: deque[Message] = deque()
        self._words: list[int] = []
        self._frames: deque[list[int]] = deque()
        self._awaited = 0  # frames that were fed and whose outputs have not come
        self._failure: LinkError | None = None
        self.design = self.network = 0
        (hello,) = self._call(ping_command(), "p")
        version, self.design, self.network = struct.unpack("<BII", hello.body)
        if version != VERSION:
            raise self._fail(
                f"the board speaks version {version} of the commands, this driver {VERSION}: "
                "build the bitstream again"
            )

    @property
    def figures(self) -> dict[str, int]:
        """Of the link: right frames from the board, damaged ones, segments sent again."""
        link = self._link
        return {"frames": link.frames, "damaged": link.damaged, "resent": link.resent}

    def write(self, runs: Sequence[tuple[int, Sequence[int]]]) -> None:
        """Write 32-bit words to successive registers from each byte address on, and check it."""
        parts = [
            (address + 4 * start, values[start : start + MAX_COUNT])
            for address, values in runs
            for start in range(0, len(values), MAX_COUNT)
        ]
        commands = b"".join(write_command(address, values) for address, values in parts)
        total = sum_of((a + 4 * n, v) for a, values in parts for n, v in enumerate(values))
        kinds = f"c{'w' * len(parts)}c"
        replies = self._call(sum_command() + commands + sum_command(), kinds)
        for (address, values), reply in zip(parts, replies[1:-1], strict=True):
            if reply.response:
                raise LinkError(
                    f"write of {len(values)} words from {address:#08x} on: refused; the accelerator"
                    " is another one than the build's, or a frame is under way"
                )
        if int.from_bytes(replies[-1].body, "little") != total:
            raise LinkError("the board's sum of what was written is wrong; write it again")

    def name(self, number: int) -> None:
        """Say which network is in the memories."""
        self._call(name_command(number), "w")
        self.network = number

    def read(self, address: int, count: int = 1) -> list[int]:
        """Successive registers."""
        words: list[int] = []
        for start in range(0, count, MAX_COUNT):
            some = min(MAX_COUNT, count - start)
            (reply,) = self._call(read_command(address + 4 * start, some), "r")
            if reply.response:
                raise LinkError(
                    f"read of {some} words from {address + 4 * start:#08x} on: refused; the "
                    "accelerator is another one than the build's"
                )
            if len(reply.words) != some:
                raise self._fail(
                    f"{len(reply.words)} registers came, {some} were asked for: is this board's "
                    "bitstream one of deltaloom's?"
                )
            words += reply.words
        return words

    def feed(self, frame: Ints, *, first: bool, end: bool) -> None:
        """A frame of int16 words; first, end: it begins a sequence, it ends one."""
        self._send(frame_command(frame.tolist(), first=first, end=end))
        self._awaited += 1

    def outputs(self, count: int) -> Ints:
        """The next frame of so many int16 words, as soon as it is there."""
        self._wait(lambda: bool(self._frames))
        self._awaited -= 1
        words = self._frames.popleft()
        if len(words) != count:
            raise self._fail(f"a frame of {len(words)} outputs came, {count} are wanted")
        return np.array(words, np.int64)

    def waiting(self) -> int:
        """Frames whose outputs are there; looks at the line without waiting."""
        self._check()
        self._pump(0.0)
        return len(self._frames)

    def close(self) -> None:
        """Let go of the line."""
        if self._failure is None:
            self._failure = LinkError("the accelerator is closed; open it again")
        self._line.close()

    def _call(self, command: bytes, kinds: str) -> list[Message]:
        """Send commands; their replies, whose letters must be these."""
        self._send(command)
        self._wait(lambda: len(self._replies) >= len(kinds))
        replies = [self._replies.popleft() for _ in kinds]
        came = "".join(reply.type for reply in replies)
        if came != kinds:
            raise self._fail(
                f"the board answered {came!r} where {kinds!r} is right: is its bitstream one of "
                "deltaloom's?"
            )
        return replies

    def _send(self, data: bytes) -> None:
        self._check()
        self._link.send(data)
        self._pump(0.0)
        while self._link.pending > 1 << 16:  # more would wait here instead of there
            self._pump(LONGEST_READ)

    def _wait(self, there: Callable[[], bool]) -> None:
        """Until it is there, or nothing new has come for too long."""
        self._check()
        self._link.expecting = True
        within = max(OUTPUTS_WITHIN, 2 * self._patience)
        pending, since = self._link.pending, time.monotonic()
        while not there():
            if self._pump(LONGEST_READ) or self._link.pending != pending:
                pending, since = self._link.pending, time.monotonic()
            elif time.monotonic() - since > within:
                raise self._fail(
                    f"the board answers, but no output came for {within:g} s: the network and the "
                    "build may not belong together; load the network again"
                )
        self._link.expecting = self._awaited > len(self._frames)

    def _pump(self, seconds: float) -> bool:
        """Move bytes; whether messages came."""
        try:
            return self._moved(seconds)
        except LinkError as error:
            self._failure = error
            self._line.close()
            raise

    def _moved(self, seconds: float) -> bool:
        now = time.monotonic()
        data = self._link.poll(now)
        if data:
            self._line.write(data)
        wake = self._link.wake()
        if wake is not None:
            seconds = max(0.0, min(seconds, wake - now))
        self._link.receive(self._line.read(seconds), time.monotonic())
        try:
            messages = self._decoder.feed(self._link.take())
        except ValueError as error:
            raise self._fail(f"the board's stream makes no sense ({error})") from error
        for message in messages:
            if message.type == "n":
                raise self._fail("the board does not know a command; build the bitstream again")
            if message.type != "O":
                self._replies.append(message)
                continue
            self._words += message.words
            if message.last:
                self._frames.append(self._words)
                self._words = []
        return bool(messages)

    def _check(self) -> None:
        if self._failure is not None:
            raise LinkError(str(self._failure))

    def _fail(self, text: str) -> LinkError:
        self._failure = LinkError(text)
        return self._failure
