# SPDX-License-Identifier: Apache-2.0
"""Counts the transitions of each net in a value change dump, while it is written."""

from collections import Counter
from typing import IO

CHUNK = 1 << 20


def count_toggles(stream: IO[bytes], scope: str) -> dict[str, int]:
    """Changes to 0 or 1 of each one-bit variable below `scope`, after the dump's first values.

    Names are those of the scopes below `scope` and of the variable, joined by dots. Reads the
    stream to its end.
    """
    names = _declarations(stream, scope)
    while (line := stream.readline()) and line.strip() != b"$end":  # the first values
        pass
    counts: Counter[bytes] = Counter()
    rest = b""
    while chunk := stream.read(CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        counts.update(line[1:] for line in lines if line[:1] in (b"0", b"1"))
    if rest[:1] in (b"0", b"1"):
        counts[rest[1:].strip()] += 1
    return {name: counts[code] for name, code in names.items()}


def _declarations(stream: IO[bytes], scope: str) -> dict[str, bytes]:
    """The codes of the one-bit variables; afterwards the stream is at the first values."""
    names: dict[str, bytes] = {}
    place: list[str] = []
    while line := stream.readline():
        word = line.split()
        if line.startswith(b"$scope"):
            place.append(word[2].decode())
        elif line.startswith(b"$upscope"):
            place.pop()
        elif line.startswith(b"$var") and word[2] == b"1":
            name = ".".join((*place, word[4].decode()))
            if name.startswith(f"{scope}."):
                names[name.removeprefix(f"{scope}.")] = word[3]
        elif line.startswith(b"$dumpvars"):
            break
    return names
