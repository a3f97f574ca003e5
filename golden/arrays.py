# SPDX-License-Identifier: Apache-2.0
"""NumPy's files from anywhere: nothing is made room for that they only claim to hold."""

import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from .errors import UserError

DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    AttributeError,
    KeyError,
    MemoryError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What a file that is no array, or no archive of them, raises here, in zipfile or in NumPy."""

MOST_AXES = 16
MOST_ALONG_AN_AXIS = 1 << 31
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def reason(error: Exception) -> str:
    """What is wrong, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def check_shape(what: str, shape: Sequence[int]) -> None:
    """Raise UserError for a shape that no array has."""
    bad = next((n for n in shape if not 0 <= n < MOST_ALONG_AN_AXIS), None)
    if bad is not None or len(shape) > MOST_AXES:
        rule = f"{bad} along an axis" if bad is not None else f"{len(shape)} axes"
        raise UserError(f"{what}: {rule} is not possible; save the file anew")


def read_array(file: Path) -> np.ndarray:
    """A .npy file's array. Raises UserError or one of `DAMAGED`."""
    return _read(lambda: file.open("rb"), "the file", file.stat().st_size)


def is_archive(file: Path) -> bool:
    """Whether it begins as a zip file does."""
    with file.open("rb") as stream:
        return stream.read(2) == b"PK"


def members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Of a .npz file by the array's name, in its order. Raises ValueError where one is twice."""
    found = {one.filename.removesuffix(".npy"): one for one in archive.infolist()}
    if len(found) < len(archive.infolist()):
        raise ValueError("two members have one name")
    return found


def read_members(
    archive: zipfile.ZipFile, chosen: Iterable[tuple[str, zipfile.ZipInfo]]
) -> dict[str, np.ndarray]:
    """The arrays of these members, by name. Raises UserError or one of `DAMAGED`."""

    def opener(member: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
        return lambda: archive.open(member)

    return {name: _read(opener(one), one.filename, one.file_size) for name, one in chosen}


def _read(opened: Callable[[], IO[bytes]], what: str, size: int) -> np.ndarray:
    with opened() as stream:
        _check_header(stream, what, size)
    with opened() as stream:
        array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
        if stream.read(1):
            raise ValueError(f"{what} goes on behind its array")
    return array


def _check_header(stream: IO[bytes], what: str, size: int) -> None:
    """Raise before NumPy makes room for an array that these bytes cannot hold."""
    try:
        read_header = _HEADERS.get(np.lib.format.read_magic(stream))
    except ValueError as error:
        raise ValueError(f"{what} is no array") from error
    if read_header is None:
        raise ValueError(f"{what} is no plain array")
    shape, _, dtype = read_header(stream)
    check_shape(what, shape)
    needed = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
    if not dtype.hasobject and needed > size:
        raise ValueError(f"{what} declares {needed:,} bytes, which it does not hold")
