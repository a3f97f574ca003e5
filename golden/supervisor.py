# SPDX-License-Identifier: Apache-2.0
"""Runs a program and ends with its parent: `python supervisor.py PARENT COMMAND..`.

A program of its own, which imports nothing of ours. It leads the group that the command, and all
that this starts, belong to. When the parent is gone, or SIGTERM comes, it kills the group.
"""

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux
INTERVAL = 0.5
"""Seconds between two looks at the parent, where the system sends no signal when it dies."""
NOT_STARTED = 127


def end_with_parent(number: int) -> None:
    """Ask the system for this signal when the parent dies; elsewhere than on Linux, nothing."""
    try:
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, number)
    except (AttributeError, OSError):
        return


def _end(number: int, frame: FrameType | None) -> NoReturn:
    os.killpg(0, signal.SIGKILL)
    sys.exit(128 + number)


def main(parent: int, command: list[str]) -> int:
    """Exit code of the command; where a signal ended it, this process is ended by it, too."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, lambda number, frame: None)  # is for the command, which has a say
    end_with_parent(signal.SIGTERM)
    if os.getppid() != parent:  # gone before we asked
        return NOT_STARTED
    try:
        child = subprocess.Popen(command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_STARTED
    while True:
        try:
            code = child.wait(INTERVAL)
        except subprocess.TimeoutExpired:
            if os.getppid() != parent:
                _end(signal.SIGTERM, None)
            continue
        if code < 0:
            with suppress(OSError):  # SIGKILL has no other
                signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        return code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
