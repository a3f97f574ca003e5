# SPDX-License-Identifier: Apache-2.0
"""Phases of one long job on stderr, each with the time it takes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def phase_lines() -> Iterator[Callable[[str], None]]:
    """A callback for lines such as "synthesis: mapping LUTs", in the order in which they happen.

    On a terminal a line for each phase (what is before the colon) with its step and its time; the
    lines stay. Elsewhere each line as it comes, with the time since the start.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with _live(console) as show:
            yield show
        return
    started = time.monotonic()

    def say(line: str) -> None:
        seconds = time.monotonic() - started
        after = f" (after {seconds:.0f} s)" if seconds >= 1 else ""
        console.print(line + after, markup=False, highlight=False, soft_wrap=True)

    yield say


@contextmanager
def _live(console: "Console") -> Iterator[Callable[[str], None]]:
    from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description:<24}", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[step]}", style="dim", markup=False),
    )
    with Progress(*columns, console=console) as bars:
        under_way: dict[str, TaskID] = {}

        def end() -> None:
            for task in under_way.values():
                bars.update(task, total=1.0, completed=1.0, step="")
                bars.stop_task(task)
            under_way.clear()

        def show(line: str) -> None:
            phase, _, step = line.partition(": ")
            if phase not in under_way:
                end()
                under_way[phase] = bars.add_task(phase, total=None, step=step)
            bars.update(under_way[phase], step=step)

        yield show
        end()
