# SPDX-License-Identifier: Apache-2.0
"""FlatBuffers, read with every offset checked, and written.

A table is a position whose first int32 leads back to its vtable: uint16 sizes, then for each field
the place in the table, 0 where it is absent. Strings, vectors and other tables are referred to by
uint32 offsets from where the offset stands. All is little-endian. The format is FlatBuffers'
(google.github.io/flatbuffers, "FlatBuffer Internals").
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import UserError

MOST_TABLES = 100_000
"""That are read of one file: offsets can make a small file say the same again and again."""
_FORMATS = {"u8": "<B", "i8": "<b", "bool": "<?", "u16": "<H", "i32": "<i", "u32": "<I"}
_FORMATS |= {"f32": "<f", "u64": "<Q"}


class Reader:
    """The bytes of a file, and how many of its tables were read."""

    def __init__(self, content: bytes, identifier: bytes) -> None:
        """Raises UserError where the content does not say that it is of this kind."""
        self.content = content
        self._tables = 0
        if content[4:8] != identifier:
            raise UserError(f"does not say that it is {identifier.decode()}; export it anew")

    def root(self) -> "Table":
        return self.table(self.number("u32", 0))

    def number(self, kind: str, at: int) -> Any:
        """Raises UserError where it would lie outside the file."""
        form = _FORMATS[kind]
        self.check(at, struct.calcsize(form))
        return struct.unpack_from(form, self.content, at)[0]

    def check(self, at: int, size: int) -> None:
        """Raise UserError unless these bytes are in the file."""
        if at < 0 or size < 0 or at + size > len(self.content):
            raise UserError("damaged or cut off, an offset leads out of it; export it anew")

    def table(self, at: int) -> "Table":
        """Raises UserError where tables are more than a sound file has."""
        self._tables += 1
        if self._tables > MOST_TABLES:
            raise UserError(f"more than {MOST_TABLES:,} tables; export a smaller part")
        back: int = self.number("i32", at)
        return Table(self, at, at - back, self.number("u16", at - back))


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a file; fields are by their numbers, and absent ones have defaults."""

    reader: Reader
    at: int
    vtable: int
    size: int

    def _place(self, n: int) -> int | None:
        """Where field n is, None where it is absent."""
        entry = 4 + 2 * n
        if entry + 2 > self.size:
            return None
        offset: int = self.reader.number("u16", self.vtable + entry)
        return self.at + offset if offset else None

    def number(self, n: int, kind: str, default: Any = 0) -> Any:
        at = self._place(n)
        return default if at is None else self.reader.number(kind, at)

    def table(self, n: int) -> "Table | None":
        at = self._place(n)
        return None if at is None else self.reader.table(at + self.reader.number("u32", at))

    def _vector(self, n: int, itemsize: int) -> tuple[int, int] | None:
        """Where field n's elements begin, and how many they are."""
        at = self._place(n)
        if at is None:
            return None
        start = at + self.reader.number("u32", at)
        count: int = self.reader.number("u32", start)
        self.reader.check(start + 4, count * itemsize)
        return start + 4, count

    def array(self, n: int, dtype: str) -> np.ndarray:
        """A vector of numbers, without a copy; empty where it is absent."""
        kind = np.dtype(dtype).newbyteorder("<")
        found = self._vector(n, kind.itemsize)
        if found is None:
            return np.zeros(0, kind)
        return np.frombuffer(self.reader.content, kind, found[1], found[0])

    def has(self, n: int) -> bool:
        return self._place(n) is not None

    def text(self, n: int) -> str:
        return self.array(n, "u1").tobytes().decode(errors="replace")

    def tables(self, n: int) -> "list[Table]":
        found = self._vector(n, 4)
        if found is None:
            return []
        start, count = found
        places = range(start, start + 4 * count, 4)
        return [self.reader.table(p + self.reader.number("u32", p)) for p in places]


@dataclass(frozen=True, slots=True)
class Number:
    """A scalar field to write; kind: as for `Reader.number`."""

    kind: str
    value: float


@dataclass(frozen=True, slots=True)
class Vector:
    """Numbers to write, aligned to so many bytes."""

    values: np.ndarray
    align: int = 4


Content = Mapping[int, Any]
"""A table to write: by field number a `Number`, a `Vector`, a str, a table or a list of tables."""


@dataclass
class _Writer:
    """Writes front to back: whatever is referred to stands behind what refers to it."""

    out: bytearray = field(default_factory=bytearray)

    def pad(self, align: int, before: int = 0) -> None:
        """Zeros, so that what follows `before` more bytes is aligned."""
        self.out += bytes(-(len(self.out) + before) % align)

    def refer(self, at: int) -> None:
        """Make the offset at `at` lead to the end of what is written."""
        struct.pack_into("<I", self.out, at, len(self.out) - at)

    def table(self, content: Content, refer: int) -> None:
        forms = {n: _FORMATS[v.kind] if isinstance(v, Number) else "<I" for n, v in content.items()}
        places, size = {}, 4
        for n, form in sorted(forms.items(), key=lambda item: -struct.calcsize(item[1])):
            width = struct.calcsize(form)
            size += -size % width
            places[n] = size
            size += width
        count = max(content, default=-1) + 1
        vtable = [4 + 2 * count, size, *(places.get(n, 0) for n in range(count))]
        self.pad(8, 2 * len(vtable))
        self.out += struct.pack(f"<{len(vtable)}H", *vtable)
        at = len(self.out)
        self.refer(refer)
        self.out += struct.pack("<i", 2 * len(vtable)) + bytes(size - 4)
        for n, value in content.items():
            if isinstance(value, Number):
                struct.pack_into(forms[n], self.out, at + places[n], value.value)
            else:
                self.value(value, at + places[n])

    def value(self, value: Any, refer: int) -> None:
        if isinstance(value, Mapping):
            self.table(value, refer)
        elif isinstance(value, list):
            self.pad(4)
            self.refer(refer)
            start = len(self.out) + 4
            self.out += struct.pack("<I", len(value)) + bytes(4 * len(value))
            for k, each in enumerate(value):
                self.table(each, start + 4 * k)
        else:
            text = isinstance(value, str)
            vector = Vector(np.frombuffer(value.encode(), np.uint8)) if text else value
            self.pad(max(4, vector.align), 4)
            self.refer(refer)
            values = np.ascontiguousarray(vector.values)
            little = values.astype(values.dtype.newbyteorder("<"))
            self.out += struct.pack("<I", values.size) + little.tobytes() + bytes(text)


def write(root: Content, identifier: bytes) -> bytes:
    """The file whose root is this table."""
    writer = _Writer(bytearray(4) + bytearray(identifier))
    writer.table(root, 0)
    return bytes(writer.out)
