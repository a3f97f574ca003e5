# SPDX-License-Identifier: Apache-2.0
"""What the two streams of a link carry: commands to the board; replies and outputs to the host.

Numbers are little endian; docs/host.md has the same table for drivers in other languages.

Host to board, and the reply that it gets:

| letter, body                         | reply, body                         | does             |
|--------------------------------------|-------------------------------------|------------------|
| `W` address[3], count, data[4]*count | `w` response                        | writes registers |
| `R` address[3], count                | `r` count, data[4]*count, response  | reads registers  |
| `F` count, flags, word[2]*count      | none                                | feeds a frame    |
| `C`                                  | `c` sum[4]                          | sums up writes   |
| `N` number[4]                        | `w` response                        | names a network  |
| `P`                                  | `p` version, design[4], network[4]  | tells who it is  |

`W` and `R` are of `count` (1 to 255) registers at successive word addresses. `response` is AXI's:
0 is OK, 2 and 3 are errors of at least one of them. `count` of `F` is 1 to 255; a longer frame goes
in several `F`. Flags of `F`: bit 0, the first word starts a sequence (tuser[0]); bit 1, the last
word ends the frame (tlast); bit 2, the frame ends a sequence (tuser[1]).

Board to host, unasked: `O`, body count, flags, word[2]*count: outputs, flags bit 1 on a message
that ends a frame. Outputs come between replies, never inside one; replies come in the order of
their commands. A letter that is no command, or a count of 0, is answered with `n` (body: that
byte), and all that follows is ignored until the host opens the link again.

`P` tells the version of this protocol, the design's number and that of the network in its memories:
as they were built, until `N` tells another. A host that loads a network writes 0 before and the
network's own number after it; neither opening the link nor a reset changes it.

`C` gives the sum over all words written since the last `C`: `sum = rotate_left(sum, 1) + (data XOR
address)`, modulo 2**32, from 0; `address` is the word's own.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

VERSION = 2
MAX_WORDS = 16
"""Words of one `O` message, at most."""
MAX_COUNT = 255
"""Words of one `W`, `R` or `F`, at most."""
FLAG_FIRST = 1
FLAG_LAST = 2
FLAG_END = 4
_LENGTHS = {b"w": 1, b"c": 4, b"p": 9, b"n": 1}


@dataclass(frozen=True, slots=True)
class Message:
    """A message from the board: its letter and its body."""

    type: str
    body: bytes

    @property
    def words(self) -> tuple[int, ...]:
        """The signed words of an `O`; the registers of an `r`."""
        if self.type == "O":
            return struct.unpack(f"<{self.body[0]}h", self.body[2:])
        if self.type == "r":
            return struct.unpack(f"<{self.body[0]}I", self.body[1:-1])
        raise ValueError(f"only 'O' and 'r' have words, not {self.type!r}")

    @property
    def last(self) -> bool:
        """Whether an `O` ends a frame."""
        return self.type == "O" and bool(self.body[1] & FLAG_LAST)

    @property
    def response(self) -> int:
        """Of a `w` or an `r`."""
        return self.body[-1]


def write_command(address: int, data: Sequence[int]) -> bytes:
    """Write 32-bit words to registers from the 24-bit byte ``address`` on."""
    _check_count(len(data))
    head = b"W" + struct.pack("<I", address)[:3] + bytes([len(data)])
    return head + struct.pack(f"<{len(data)}I", *data)


def read_command(address: int, count: int = 1) -> bytes:
    """Read registers from the 24-bit byte ``address`` on."""
    _check_count(count)
    return b"R" + struct.pack("<I", address)[:3] + bytes([count])


def ping_command() -> bytes:
    """Ask for version, design and network."""
    return b"P"


def name_command(number: int) -> bytes:
    """Say which network is in the memories now; 0: none that is whole."""
    return b"N" + struct.pack("<I", number)


def sum_command() -> bytes:
    """Ask for the sum of the writes, and begin a new one."""
    return b"C"


def frame_command(words: Sequence[int], *, first: bool = False, end: bool = False) -> bytes:
    """One frame of int16 ``words``, which starts or ends a sequence."""
    if not len(words):
        raise ValueError("words must not be empty: a frame has at least one element")
    commands = bytearray()
    for start in range(0, len(words), MAX_COUNT):
        part = words[start : start + MAX_COUNT]
        flags = FLAG_FIRST * (first and start == 0)
        flags |= FLAG_END * end
        flags |= FLAG_LAST * (start + len(part) == len(words))
        commands += b"F" + bytes([len(part), flags]) + struct.pack(f"<{len(part)}h", *part)
    return bytes(commands)


def sum_of(writes: Iterable[tuple[int, int]], start: int = 0) -> int:
    """What `C` tells after these writes (address, data)."""
    total = start
    for address, data in writes:
        total = ((total << 1 | total >> 31) + (data ^ address)) & 0xFFFFFFFF
    return total


class MessageDecoder:
    """Cuts the board's stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that ``data`` completes.

        Raises ValueError for a letter that no message has.
        """
        self._buffer += data
        messages = []
        while (length := self._length()) is not None and len(self._buffer) > length:
            kind, body = self._buffer[:1], bytes(self._buffer[1 : length + 1])
            messages.append(Message(kind.decode("ascii"), body))
            del self._buffer[: length + 1]
        return messages

    def _length(self) -> int | None:
        """Length of the body at the front of the buffer; None: not known yet."""
        kind = bytes(self._buffer[:1])
        if kind in (b"O", b"r"):
            if len(self._buffer) < 2:
                return None
            count = self._buffer[1]
            return 2 + (2 if kind == b"O" else 4) * count
        if kind and kind not in _LENGTHS:
            raise ValueError(f"no message begins with {kind!r}")
        return _LENGTHS.get(kind)


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_COUNT:
        raise ValueError(f"count must be 1 to {MAX_COUNT}, not {count!r}")
