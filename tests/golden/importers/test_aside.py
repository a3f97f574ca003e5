# SPDX-License-Identifier: Apache-2.0
"""Work in a fork: its result, its errors, and how it may end."""

import os
import signal
import sys

import numpy as np
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.aside import Ended, aside


def test_a_result_comes_back_as_it_was():
    array = np.arange(200_000, dtype=np.float32)
    got, name = aside(lambda: (array, "a"), 10)
    np.testing.assert_array_equal(got, array)
    assert (name, got.dtype) == ("a", np.float32)


def test_an_error_is_raised_here():
    def refuse():
        raise UserError("in.h5: no")

    with pytest.raises(UserError, match=r"in\.h5: no"):
        aside(refuse, 10)


def test_what_turns_in_circles_is_ended():
    def turn():
        while True:
            pass

    with pytest.raises(Ended, match="it took more than 1 s of a processor"):
        aside(turn, 1)


def test_what_waits_for_ever_is_ended(monkeypatch):
    monkeypatch.setattr("deltaloom.golden.importers.aside.PATIENCE", 0.2)
    with pytest.raises(Ended, match=r"it did not end in 0\.2 s"):
        aside(signal.pause, 1)


def test_an_answer_that_breaks_off_is_none():
    with pytest.raises(Ended, match="it ended"):
        aside(lambda: [b"x" * 200_000, lambda: 1], 10)


def test_an_error_that_no_pipe_takes_comes_in_words():
    class Odd(Exception):
        def __init__(self, first, second):
            super().__init__(first)

    def refuse():
        raise Odd("why", 2)

    with pytest.raises(RuntimeError, match="Odd: why"):
        aside(refuse, 10)


def _end():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("end", "said"), [(_end, "it was ended by SIGKILL"), (lambda: os._exit(3), "it ended")]
)
def test_what_ends_the_process_ends_the_fork(end, said):
    with pytest.raises(Ended) as caught:
        aside(end, 10)
    assert str(caught.value) == said


def test_no_fork_is_left_when_it_is_interrupted(monkeypatch):
    fork, children = os.fork, []

    def kept():
        children.append(fork())
        return children[-1]

    monkeypatch.setattr(os, "fork", kept)
    before = signal.signal(signal.SIGALRM, lambda *_: sys.exit(9))
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(SystemExit):
            aside(signal.pause, 10)
    finally:
        signal.signal(signal.SIGALRM, before)
    (child,) = children
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
