# SPDX-License-Identifier: Apache-2.0
"""Stages of long work on stderr, and other verbs of deltaloom run beside this one."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..golden.errors import UserError

PATIENCE = 5
"""Seconds that an interrupted verb has to clean up."""
USAGE_ERROR = 2
PREFIX = "deltaloom: "
"""How the command line's one-line errors begin."""

Show = Callable[[str, float | None], None]
"""Called with what is being done and the part that is done, 0..1 or None where nobody knows."""


@contextmanager
def stage_lines() -> Iterator[Callable[[str], None]]:
    """A callback for what is being done: one live line on a terminal, else a line for each."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda stage: console.print(stage, markup=False, highlight=False, soft_wrap=True)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda stage: bar.update(task, description=stage)


class Stages:
    """Named stages with bars and times on stderr, several at once; a line each without a terminal.

    `seconds` holds the time that each stage took, by its title.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        self._live = console.is_terminal
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", style="dim"),
            console=console,
            disable=not self._live,
        )
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> "Stages":
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def begin(self, title: str) -> "Stage":
        """Start the clock of a stage; `Stage.end` stops it."""
        return Stage(self, title)

    @contextmanager
    def stage(self, title: str) -> Iterator[Show]:
        """A stage that lasts as long as the block."""
        stage = self.begin(title)
        yield stage.show
        stage.end()

    def ended(self, title: str, seconds: float) -> None:
        """Keep a stage's time; called by the stage."""
        self.seconds[title] = round(seconds, 1)
        if not self._live:
            line = f"{seconds:6.1f} s  {title}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class Stage:
    """One stage under way."""

    def __init__(self, stages: Stages, title: str) -> None:
        self._stages = stages
        self._title = title
        self._bars = stages._bars
        self._task = self._bars.add_task(title, total=None, detail="")
        self._started = time.monotonic()

    def show(self, what: str, part: float | None = None) -> None:
        """Show what is being done now."""
        total = None if part is None else 1.0
        self._bars.update(self._task, total=total, completed=part or 0.0, detail=what)

    def end(self) -> None:
        """Stop the clock."""
        self._bars.update(self._task, total=1.0, completed=1.0, detail="")
        self._bars.stop_task(self._task)
        self._stages.ended(self._title, time.monotonic() - self._started)


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
        self._child = subprocess.Popen(
            [sys.executable, "-m", "deltaloom", *map(str, self._command.words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            # Not in the terminal's group: Ctrl-C is for us, and we pass it on.
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGINT)  # the verb ends what it has started
            try:
                self._child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(self._child.pid, signal.SIGKILL)
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
