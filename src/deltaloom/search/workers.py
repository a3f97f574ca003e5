# SPDX-License-Identifier: Apache-2.0
"""Who evaluates: this process, a pool of processes, or a Dask cluster.

Each gives the same values; a process or a node that is lost loses nothing, its jobs are given to
another one.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol

from ..golden.cells import load_cells
from ..golden.errors import UserError
from .genes import Choice
from .problem import Bench, Problem, Values

Job = tuple[Choice, bool]
"""A choice, and whether its evaluation is thin."""
BREAKS = 3
"""How often a pool may break without a result before it is given up."""


class Workers(Protocol):
    """Evaluates jobs; used in a `with` block, which ends what it started."""

    def __enter__(self) -> "Workers": ...
    def __exit__(self, *exception: object) -> None: ...
    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Values]]:
        """Places of jobs and their values, as they come."""


class Inline:
    """This process, one job after the other."""

    def __init__(self, problem: Problem, bench: Bench | None = None) -> None:
        self._bench = bench or Bench(problem)

    def __enter__(self) -> "Inline":
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing to end."""

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Values]]:
        """See `Workers`."""
        for n, job in enumerate(jobs):
            yield n, self._bench.run(*job)


class Processes:
    """A pool of processes of this machine, each with the problem in its memory.

    Parameters
    ----------
    cells: the user's file of cells, which each process reads.
    """

    def __init__(self, problem: Problem, count: int, cells: Path | None = None) -> None:
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
        places: dict[Future[Values], int] = {
            self._pool.submit(_run, job): n for n, job in list(left.items())
        }
        while places:
            done, _ = wait(places, return_when=FIRST_COMPLETED)
            for future in done:
                yield places.pop(future), future.result()

    def _end(self) -> None:
        if self._pool is not None:
            for process in (self._pool._processes or {}).values():
                process.terminate()  # what it does is of no use any more
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


_bench: Bench


def _start(problem: Problem, cells: Path | None) -> None:
    global _bench
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if cells is not None:
        load_cells(cells)
    _bench = Bench(problem)


def _run(job: Job) -> Values:
    return _bench.run(*job)


class Dask:
    """A cluster of dask.distributed; each of its processes gets the problem once.

    deltaloom must be installed where the cluster's workers run.

    Parameters
    ----------
    address: of the scheduler, such as tcp://host:8786.
    """

    def __init__(self, problem: Problem, address: str, cells: Path | None = None) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise UserError(
                "--dask: dask.distributed is not installed; pip install 'deltaloom[search]'"
            ) from error
        try:
            self._client: Any = Client(address, timeout="10s", set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(f"--dask {address}: no scheduler answers there ({error})") from error
        self._digest = problem.digest
        self._problem = (problem, cells)

    def __enter__(self) -> "Dask":
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(Exception):  # a scheduler that is gone needs no goodbye
            self._client.close()

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Values]]:
        """See `Workers`."""
        from distributed import as_completed
        from distributed.scheduler import KilledWorker

        if not jobs:
            return
        problem = self._client.scatter(self._problem, broadcast=True, hash=False)
        futures = {
            self._client.submit(_run_on_node, self._digest, problem, job, pure=False, retries=3): n
            for n, job in enumerate(jobs)
        }
        try:
            for future in as_completed(list(futures)):
                yield futures[future], future.result()
        except (KilledWorker, OSError) as error:
            raise UserError(f"--dask: the cluster lost its workers ({error})") from error


_benches: dict[str, Bench] = {}
_lock = threading.Lock()


def _run_on_node(digest: str, problem: tuple[Problem, Path | None], job: Job) -> Values:
    with _lock:  # a node may run several threads
        if digest not in _benches:
            if problem[1] is not None:
                load_cells(problem[1])
            _benches.clear()
            _benches[digest] = Bench(problem[0])
        return _benches[digest].run(*job)
