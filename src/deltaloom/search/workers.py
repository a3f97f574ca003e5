# SPDX-License-Identifier: Apache-2.0
"""Who evaluates: this process, a pool of processes, or a Dask cluster (`cluster`).

Each gives the same values; a process or a node that is lost loses nothing, its jobs are given to
another one.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Protocol

from ..golden.cells import load_cells
from ..golden.errors import UserError
from .genes import Choice
from .problem import AnyProblem, Bench, Values

Job = tuple[Choice, bool]
"""A choice, and whether its evaluation is thin."""
Batch = list[tuple[int, Job]]
"""Jobs that one process runs side by side, with their places."""
MOST = 8
"""Jobs of a batch."""
BREAKS = 3
"""How often a pool may break without a result before it is given up."""


class Workers(Protocol):
    """Evaluates jobs; used in a `with` block, which ends what it started."""

    def __enter__(self) -> "Workers": ...
    def __exit__(self, *exception: object) -> None: ...
    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Values]]:
        """Places of jobs and their values, as they come."""


def batches(jobs: Iterable[tuple[int, Job]], workers: int) -> list[Batch]:
    """Jobs for so many workers, thin ones apart from full ones."""
    found: list[Batch] = []
    for thin in (False, True):
        own = [(place, job) for place, job in jobs if job[1] == thin]
        size = min(-(-len(own) // workers), MOST)
        found += [own[n : n + size] for n in range(0, len(own), size or 1)]
    return found


def run_batch(bench: Bench, batch: Batch) -> list[tuple[int, Values]]:
    """Places and values of a batch."""
    places = [place for place, _ in batch]
    thin = batch[0][1][1]
    return list(zip(places, bench.run([job[0] for _, job in batch], thin), strict=True))


class Inline:
    """This process, one job after the other."""

    def __init__(self, problem: AnyProblem, bench: Bench | None = None) -> None:
        self._bench = bench or Bench(problem)

    def __enter__(self) -> "Inline":
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing to end."""

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Values]]:
        """See `Workers`."""
        for batch in batches([*enumerate(jobs)], 1):
            yield from run_batch(self._bench, batch)


class Processes:
    """A pool of processes of this machine, each with the problem in its memory.

    Parameters
    ----------
    cells: the user's file of cells, which each process reads.
    """

    def __init__(self, problem: AnyProblem, count: int, cells: Path | None = None) -> None:
        if count < 1:
            raise UserError(f"workers: {count} is not possible, it must be at least 1")
        self._problem, self._count, self._cells = problem, count, cells
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Values]]:
        """See `Workers`. Raises UserError where processes end again and again."""
        left = dict(enumerate(jobs))
        breaks = 0
        while left:
            try:
                for n, values in self._some(left):
                    del left[n]
                    breaks = 0
                    yield n, values
            except BrokenProcessPool as error:
                self._end()
                breaks += 1
                if breaks == BREAKS:
                    raise UserError(
                        f"workers: ended {BREAKS} times without a result; give fewer --workers if "
                        "memory is short"
                    ) from error

    def _some(self, left: dict[int, Job]) -> Iterator[tuple[int, Values]]:
        if self._pool is None:
            # Not forked: a progress bar's thread may hold a lock just then.
            context = multiprocessing.get_context("spawn")
            arguments = (self._problem, self._cells)
            self._pool = ProcessPoolExecutor(self._count, context, _start, arguments)
        under_way = {
            self._pool.submit(_run, batch) for batch in batches([*left.items()], self._count)
        }
        while under_way:
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                yield from future.result()

    def _end(self) -> None:
        if self._pool is not None:
            for process in (self._pool._processes or {}).values():
                process.terminate()  # what it does is of no use any more
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


_bench: Bench


def _start(problem: AnyProblem, cells: Path | None) -> None:
    global _bench
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if cells is not None:
        load_cells(cells)
    _bench = Bench(problem)


def _end_with_parent() -> None:
    """A parent that was killed cannot end us, and its queue never closes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(batch: Batch) -> list[tuple[int, Values]]:
    return run_batch(_bench, batch)
