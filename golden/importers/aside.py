# SPDX-License-Identifier: Apache-2.0
"""Foreign readers and runtimes, in a process of their own.

libhdf5 and onnxruntime are large programs in C++ that files from anywhere reach: some bytes make
them turn in circles, or end their process. So what they do is done in a fork, which is ended after
some seconds of a processor, and what comes of it is sent back.
"""

import os
import pickle
import signal
import warnings
from collections.abc import Callable
from typing import TypeVar

from ..supervisor import end_with_parent

Made = TypeVar("Made")


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
        with os.fdopen(reading, "rb") as stream:
            said = stream.read()
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(child, 0)
    if not said:
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGXCPU:
            raise Ended(f"it took more than {seconds} s of a processor")
        raise Ended(f"it was ended by {signal.Signals(-code).name}" if code < 0 else "it ended")
    returned, value = pickle.loads(said)
    if not returned:
        raise value
    made: Made = value
    return made


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
            answer = False, error
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(answer, pipe, pickle.HIGHEST_PROTOCOL)
        code = 0
    finally:
        os._exit(code)


def _limit(seconds: int) -> None:
    import resource  # only systems with fork have it

    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    used = resource.getrusage(resource.RUSAGE_SELF)  # a fork begins at 0
    least = int(used.ru_utime + used.ru_stime) + seconds
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    soft = least if most == resource.RLIM_INFINITY else min(least, most)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
