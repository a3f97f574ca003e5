# SPDX-License-Identifier: Apache-2.0
"""Foreign readers and runtimes, in a process of their own.

libhdf5 and onnxruntime are large programs in C++ that files from anywhere reach: some bytes make
them turn in circles, or end their process. So what they do is done in a fork, which is ended after
some seconds of a processor, and what comes of it is sent back.
"""

import os
import pickle
import select
import signal
import time
import warnings
from collections.abc import Callable
from typing import TypeVar

from ..supervisor import end_with_parent

Made = TypeVar("Made")
PATIENCE = 30
"""Seconds by the clock to one of a processor: machines may be busy, a fork may wait for ever."""


class Ended(Exception):
    """The other process ended before there was anything; in words, how."""


def aside(work: Callable[[], Made], seconds: int) -> Made:
    """What `work` returns, or raises, in a fork of this process.

    seconds: of a processor, after which it is ended. Raises Ended where the fork is gone before it
    has said anything. Where a system has no fork, the work is done here.
    """
    if not hasattr(os, "fork"):
        return work()
    reading, writing = os.pipe()
    with warnings.catch_warnings(action="ignore"):  # of threads, which have no part in the work
        child = os.fork()
    if not child:
        os.close(reading)
        _work(work, seconds, writing)
    os.close(writing)
    try:
        said = _read(reading, PATIENCE * seconds)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.close(reading)
        _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGXCPU:
        raise Ended(f"it took more than {seconds} s of a processor")
    if code:  # whatever part of an answer came before
        raise Ended(f"it was ended by {signal.Signals(-code).name}" if code < 0 else "it ended")
    returned, value = pickle.loads(said)
    if not returned:
        raise value
    made: Made = value
    return made


def _read(pipe: int, seconds: float) -> bytes:
    """All that comes; Ended where it is not at its end after some seconds by the clock."""
    until = time.monotonic() + seconds
    parts: list[bytes] = []
    while time.monotonic() < until:
        if select.select([pipe], [], [], min(until - time.monotonic(), 1.0))[0]:
            part = os.read(pipe, 1 << 20)
            if not part:
                return b"".join(parts)
            parts.append(part)
    raise Ended(f"it did not end in {seconds:g} s")


def _work(work: Callable[[], Made], seconds: int, writing: int) -> None:
    """In the fork, which never returns."""
    code = 1
    try:
        end_with_parent(signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _limit(seconds)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):  # a program that ends itself says so there
            os.dup2(nowhere, stream)
        answer: tuple[bool, object]
        try:
            answer = True, work()
        except Exception as error:
            answer = False, _sendable(error)
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(answer, pipe, pickle.HIGHEST_PROTOCOL)
        code = 0
    finally:
        os._exit(code)


def _sendable(error: Exception) -> Exception:
    """The error, or its words, where it does not come through a pipe as it is."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _limit(seconds: int) -> None:
    import resource  # only systems with fork have it

    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    used = resource.getrusage(resource.RUSAGE_SELF)  # a fork begins at 0
    least = int(used.ru_utime + used.ru_stime) + seconds
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    soft = least if most == resource.RLIM_INFINITY else min(least, most)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
