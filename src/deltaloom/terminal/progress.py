# SPDX-License-Identifier: Apache-2.0
"""Progress on stderr: bars for the library's callbacks, live lines, and named stages with times."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Show = Callable[[str, float | None], None]
"""Called with what is being done and the part that is done, 0..1 or None where nobody knows."""


@contextmanager
def progress_bars() -> Iterator[Callable[[str, float], None]]:
    """A callback (what is being done, part that is done 0..1) that shows one bar per task.

    Nothing is shown where stderr is no terminal.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:

        def show(what: str, part: float) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=1.0)
            bar.update(tasks[what], completed=part)

        yield show


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
