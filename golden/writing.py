# SPDX-License-Identifier: Apache-2.0
"""How deltaloom writes: whole or not at all, where the user said, and over nothing else.

A file or a folder is made beside its place under a hidden name and takes its place at the end, so
that a failure, an interrupt or a full disk leaves what was there before. A link stays a link: what
it points to is written. Into a device or a pipe the finished bytes are copied. What a killed run
left under a hidden name is removed by the next one that writes to the same place.
"""

import ctypes
import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from .errors import UserError
from .processes import undisturbed

NAME_KEPT = 60
"""Characters of a file's name in its hidden name; a file system takes 255 bytes in all."""

_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux
_HERE = -100  # AT_FDCWD


@dataclass(frozen=True, slots=True)
class _Batch:
    """What takes its place together: how, in this order, and what is done in any case after it."""

    commits: list[Callable[[], None]] = field(default_factory=list)
    cleanup: ExitStack = field(default_factory=ExitStack)


_batch: ContextVar[_Batch | None] = ContextVar("_batch", default=None)


@contextmanager
def together() -> Iterator[None]:
    """All that is written inside takes its place at the end of the block, or nothing does."""
    if _batch.get() is not None:
        yield
        return
    with _own_batch() as batch:
        token = _batch.set(batch)
        try:
            yield
        finally:
            _batch.reset(token)


@contextmanager
def _own_batch() -> Iterator[_Batch]:
    """One whose commits are done at the end of the block."""
    batch = _Batch()
    with batch.cleanup:
        yield batch
        with undisturbed():
            for commit in batch.commits:
                commit()


@contextmanager
def _any_batch() -> Iterator[_Batch]:
    """That of `together` where there is one, else an own."""
    outer = _batch.get()
    with nullcontext(outer) if outer is not None else _own_batch() as batch:
        yield batch


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A temporary path that takes the place of `file` only if the block succeeds.

    Inside `together` it does at the end of that block. Raises UserError, which names `file`, where
    it cannot be written.
    """
    with _any_batch() as batch, _naming(file):
        place = _place(file)
        _check_kind(file, place)
        temporary = _temporary_file(file, place, batch)
        yield temporary
        if is_stream(file):
            batch.commits.append(lambda: _copy(temporary, file, place))
        else:
            temporary.chmod(0o666 & ~_umask())
            batch.commits.append(lambda: _rename(temporary, file, place))


@contextmanager
def replacing_folder(folder: Path, former: Collection[str] = ()) -> Iterator[Path]:
    """A temporary folder whose files take their place in `folder` only if the block succeeds.

    It is renamed to `folder`, at once, where that is new or holds nothing but what a former run
    wrote; otherwise its files are moved one by one into the folder, in which others' files stay.

    former: names of what a former run wrote, which is removed.

    Raises UserError, which names the folder, where it cannot be written.
    """
    with _any_batch() as batch, _naming(folder):
        place = _place(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        clean_leftovers(place)
        temporary = Path(tempfile.mkdtemp(prefix=_prefix(place), dir=place.parent))
        batch.cleanup.callback(shutil.rmtree, temporary, ignore_errors=True)
        batch.cleanup.enter_context(claimed(temporary))
        yield temporary
        temporary.chmod(place.stat().st_mode if place.is_dir() else 0o777 & ~_umask())
        for file in temporary.iterdir():
            if file.is_file():
                file.chmod(0o666 & ~_umask())

        def commit() -> None:
            with _naming(folder):
                _swap(temporary, place, former)

        batch.commits.append(commit)


def write_text(text: str, file: Path) -> None:
    """Write a text file, whole or not at all; what UTF-8 has no code for is written as \\udcff."""
    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


# Before the work


def check_file(option: str, file: Path, *inputs: Path) -> None:
    """Raise UserError where the file that an option names cannot become an output.

    inputs: files of the same run that it must not be.
    """
    place = _place(file)
    if any(same(file, other) for other in inputs):
        raise UserError(f"{option} {file}: is an input itself; name another file")
    _check_kind(file, place, option)
    if not is_stream(file):
        _check_room(file, place.parent, option)


def check_folder(option: str, folder: Path) -> None:
    """Raise UserError where the folder that an option names cannot become one, or take files."""
    place = _place(folder)
    if place.exists() and not place.is_dir():
        raise UserError(f"{option} {folder}: is a file; name a folder")
    _check_room(folder, place, option)


def same(one: Path, other: Path) -> bool:
    """Whether both name the same place, through links, too."""
    a, b = _place(one), _place(other)
    return a == b or (a.exists() and b.exists() and a.samefile(b))


def is_stream(file: Path) -> bool:
    """Whether this is a device or a pipe, or one of this process's open files by its number."""
    if _descriptor(file) is not None:
        return True
    with suppress(OSError):
        mode = file.stat().st_mode
        return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)
    return False


def _check_kind(file: Path, place: Path, option: str = "") -> None:
    name = f"{option} {file}".strip()
    if place.is_symlink():
        raise UserError(f"{name}: is a link in a circle; name a file")
    with suppress(OSError):
        mode = place.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UserError(f"{name}: cannot be written (is a folder); name a file")
        if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
            kind = "a disk" if stat.S_ISBLK(mode) else "a socket"
            raise UserError(f"{name}: is {kind}; name a file")


def _check_room(file: Path, folder: Path, option: str) -> None:
    """The nearest folder that is there must be one, and take files."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise UserError(f"{option} {file}: {folder} is no folder; name another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{option} {file}: {folder} cannot be written to; name another place")


# Hidden names, and what killed runs left


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Tells other processes, in other containers too, that a hidden file or folder is in use."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def clean_leftovers(place: Path) -> None:
    """Remove what killed runs left of this file or folder under hidden names."""
    prefix = f".{place.name[:NAME_KEPT]}.part-"
    with suppress(OSError):
        for left in place.parent.iterdir():
            pid = left.name.removeprefix(prefix).partition("-")[0]
            if left.name.startswith(prefix) and pid.isdecimal() and _abandoned(int(pid), left):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)


def hidden(place: Path) -> Path:
    """A hidden name beside `place` that `clean_leftovers` knows, one for each process."""
    return place.with_name(f"{_prefix(place)}0")


def _prefix(place: Path) -> str:
    return f".{place.name[:NAME_KEPT]}.part-{os.getpid()}-"


def _abandoned(pid: int, path: Path) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        pass
    except OSError:
        return False
    else:
        return False
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


# Taking the place


def _place(file: Path) -> Path:
    """Where the links of a path lead to."""
    return Path(os.path.realpath(file))


def _temporary_file(file: Path, place: Path, batch: _Batch) -> Path:
    if is_stream(file):
        folder = batch.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="deltaloom-"))
        return Path(folder) / (file.name or "file")
    place.parent.mkdir(parents=True, exist_ok=True)
    clean_leftovers(place)
    handle, name = tempfile.mkstemp(prefix=_prefix(place), dir=place.parent)
    os.close(handle)
    temporary = Path(name)
    batch.cleanup.callback(temporary.unlink, missing_ok=True)
    batch.cleanup.enter_context(claimed(temporary))
    return temporary


def _rename(temporary: Path, file: Path, place: Path) -> None:
    with _naming(file):
        temporary.replace(place)


def _copy(temporary: Path, file: Path, place: Path) -> None:
    """Into an open file, a device or a pipe; a pipe that nobody reads is refused."""
    with _naming(file):
        number = _descriptor(file)
        if number is None:
            handle = os.open(place, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            os.set_blocking(handle, True)
        else:
            handle = os.dup(number)
        with temporary.open("rb") as source, os.fdopen(handle, "wb") as target:
            shutil.copyfileobj(source, target)


def _descriptor(file: Path) -> int | None:
    """The number of an open file, as in /dev/stdout."""
    match = _DESCRIPTOR.fullmatch(str(file))
    return int(match[1]) if match else _STANDARD.get(str(file))


def _swap(temporary: Path, place: Path, former: Collection[str]) -> None:
    """The files of one folder into the other's place; of that only what is not `former` stays."""
    if not place.exists():
        with suppress(OSError):  # somebody made it just now
            temporary.rename(place)
            return
    there = {entry.name for entry in place.iterdir()}
    in_use = place.is_mount() or Path.cwd().is_relative_to(place)
    if not there - {*former} and not in_use and _exchange(temporary, place):
        return
    new = {entry.name for entry in temporary.iterdir()}
    for name in sorted(new):
        (temporary / name).replace(place / name)
    for name in {*former} & there - new:
        if not (place / name).is_dir():
            (place / name).unlink()


def _exchange(one: Path, other: Path) -> bool:
    """Two names for each other, at once; False where the system or the file system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    return bool(rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0)


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """What the system says about a hidden name is said about the file that the user named."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        if error.errno == errno.ENXIO:
            reason = "a pipe that nobody reads"
        raise UserError(f"{file}: cannot be written ({reason}); name another place") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
