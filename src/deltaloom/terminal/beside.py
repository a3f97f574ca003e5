# SPDX-License-Identifier: Apache-2.0
"""Other verbs of deltaloom, run beside this one in processes of their own."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..golden.errors import UserError
from ..golden.processes import end, start
from .progress import Stages

PATIENCE = 5
"""Seconds that an interrupted verb has to clean up."""
USAGE_ERROR = 2
PREFIX = "deltaloom: "
"""How the command line's one-line errors begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A verb to run beside this one: its title as a stage, its words, the file it writes last."""

    title: str
    words: Sequence[str | int | Path]
    result: Path


class Beside:
    """A verb in a process of its own, on another core; leaving the block ends it.

    The lines that it prints on stderr are shown with the stage, and kept in `log`.
    """

    def __init__(self, command: Command, log: Path, stages: Stages) -> None:
        self._command = command
        self._log = log
        self._stages = stages
        self._last = "it printed nothing"

    def __enter__(self) -> "Beside":
        self._command.result.unlink(missing_ok=True)  # an old one would look like success
        self._stage = self._stages.begin(self._command.title)
        # Not in the terminal's group: Ctrl-C is for us, and we pass it on.
        self._child = start(
            [sys.executable, "-m", "deltaloom", *map(str, self._command.words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._child.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGINT)  # the verb ends what it has started
            try:
                self._child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                end(self._child)
        self._child.wait()
        self._reader.join()

    def wait(self) -> None:
        """Wait for the result; UserError with the verb's own words where there is none."""
        code = self._child.wait()
        self._reader.join()
        if not self._command.result.is_file():
            if code == USAGE_ERROR and self._last.startswith(PREFIX):
                raise UserError(self._last.removeprefix(PREFIX))
            verb = self._command.words[0]
            raise UserError(
                f"deltaloom {verb} ended with code {code}: {self._last}; see {self._log}"
            )

    def _read(self) -> None:
        lines = self._child.stderr
        if lines is None:  # pragma: no cover: a pipe was asked for
            raise RuntimeError("the child has no stderr")
        with self._log.open("w", encoding="utf-8") as log, lines:
            for line in lines:
                log.write(line)
                log.flush()  # so that it can be watched
                if line.strip():
                    self._last = line.strip()
                    self._stage.show(self._last)
        self._stage.end()
