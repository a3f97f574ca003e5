# SPDX-License-Identifier: Apache-2.0
"""NumPy's .npz archives, of which no member makes more than it holds."""

import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from ...errors import UserError
from ..limits import Budget, check_shape

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npz(file: Path, budget: Budget) -> dict[str, np.ndarray]:
    """All arrays of `file`, in its order. Raises UserError for anything else."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if len({member.filename for member in members}) < len(members):
                raise ValueError("two members have one name")
            for member in members:
                budget.take(member.filename, member.file_size)
            return {
                member.filename.removesuffix(".npy"): _read(archive, member) for member in members
            }
    except (OSError, ValueError, EOFError, AttributeError, TypeError, RuntimeError) as error:
        problem: Exception = error
    except (zipfile.BadZipFile, zlib.error, KeyError, MemoryError) as error:
        problem = error
    line = next(iter(str(problem).splitlines()), "") or type(problem).__name__
    raise UserError(
        f"not a whole .npz file of plain arrays ({line}); "
        "save it anew with numpy.savez(FILE, **tensors)"
    ) from problem


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as stream:
        _check_header(member, stream)
    with archive.open(member) as stream:
        array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
        if stream.read(1):
            raise ValueError(f"{member.filename} goes on behind its array")
    return array


def _check_header(member: zipfile.ZipInfo, stream: IO[bytes]) -> None:
    """Raise before NumPy makes room for an array that the member cannot hold."""
    try:
        read_header = _HEADERS.get(np.lib.format.read_magic(stream))
    except ValueError as error:
        raise ValueError(f"{member.filename} is no array") from error
    if read_header is None:
        raise ValueError(f"{member.filename} is no plain array")
    shape, _, dtype = read_header(stream)
    check_shape(member.filename, shape)
    size = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
    if not dtype.hasobject and size > member.file_size:
        raise ValueError(f"{member.filename} declares {size:,} bytes, which it does not hold")
