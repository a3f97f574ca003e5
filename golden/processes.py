# SPDX-License-Identifier: Apache-2.0
"""Other programs as children that end with this one, however it ends; and where they may cache."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

SUPERVISOR = Path(__file__).parent / "supervisor.py"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those that end a program, and that it can put off."""
GONE = 2.0
"""Seconds to wait for a killed group; in a container there may be nobody who reaps its members."""


def start(command: Sequence[str], **options: Any) -> "subprocess.Popen[Any]":
    """Start a program in a group of its own, which ends when this process does, even by SIGKILL.

    options: as for `subprocess.Popen`. `end` ends it before.
    """
    supervised = [sys.executable, "-I", "-S", str(SUPERVISOR), str(os.getpid()), *command]
    return subprocess.Popen(supervised, start_new_session=True, **options)


def end(child: "subprocess.Popen[Any]") -> None:
    """End what `start` started, with all that it started itself, and wait until that is gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    until = time.monotonic() + GONE
    while time.monotonic() < until:
        try:
            os.killpg(child.pid, 0)
        except OSError:
            return
        time.sleep(0.01)


def run(command: Sequence[str], text: str) -> "subprocess.CompletedProcess[str]":
    """Run a program that reads `text`, to its end; what it printed."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with start(command, encoding="utf-8", errors="replace", **pipes) as child:
        try:
            out, err = child.communicate(text)
        except BaseException:
            end(child)
            raise
    return subprocess.CompletedProcess(command, child.returncode, out, err)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Signals that end the program wait for the end of the block; only the main thread gets any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def keep(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = {int(number): signal.signal(number, keep) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for number in came:
            signal.raise_signal(number)


def usable_cache() -> None:
    """Where this user's cache folder cannot be written, take one among the temporary files.

    WebAssembly tools keep what they compiled there, and fail where they cannot.
    """
    usual = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111
    folder = usual
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if usual.is_absolute() and folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return
    own = Path(tempfile.gettempdir()) / f"deltaloom-cache-{os.getuid()}"
    with suppress(OSError):
        own.mkdir(mode=0o700, exist_ok=True)
        facts = own.lstat()
        if own.is_symlink() or facts.st_uid != os.getuid() or facts.st_mode & 0o022:
            own = Path(tempfile.mkdtemp(prefix="deltaloom-cache-"))  # somebody else's
    os.environ["XDG_CACHE_HOME"] = str(own)
