# SPDX-License-Identifier: Apache-2.0
"""Evaluating on a cluster of dask.distributed. Importing this module needs that package.

Each of the cluster's workers gets the problem once, those that join later, too; deltaloom must be
installed where they run.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from distributed import Client, WorkerPlugin, as_completed
from distributed.scheduler import KilledWorker

from ..golden.cells import load_cells
from ..golden.errors import UserError
from .problem import AnyProblem, Bench, Values
from .workers import Batch, Job, batches, run_batch

PATIENCE = "10s"
"""For a scheduler's answer."""
RETRIES = 3
"""Of a batch whose worker was lost; Dask itself tries as often before that counts."""


class Dask:
    """A cluster, by its scheduler's address, such as tcp://host:8786.

    Parameters
    ----------
    cells: the user's file of cells, which each worker reads.
    """

    def __init__(self, problem: AnyProblem, address: str, cells: Path | None = None) -> None:
        try:
            self._client: Any = Client(address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(f"--dask {address}: no scheduler answers there ({error})") from error
        self._digest = problem.digest
        self._client.register_plugin(_Problem(problem.digest, problem, cells))

    def __enter__(self) -> "Dask":
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(Exception):  # a scheduler that is gone needs no goodbye
            self._client.close()

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Values]]:
        """See `Workers`."""
        workers = max(len(self._client.scheduler_info(-1)["workers"]), 1)
        futures = [
            self._client.submit(_run, self._digest, batch, pure=False, retries=RETRIES)
            for batch in batches([*enumerate(jobs)], workers)
        ]
        if not futures:
            return
        try:
            for future in as_completed(futures, loop=self._client.loop):
                yield from future.result()
        except (KilledWorker, OSError) as error:
            raise UserError(f"--dask: the cluster lost its workers ({error})") from error


class _Problem(WorkerPlugin):  # type: ignore[misc]
    """Puts a problem into a worker's memory when it starts."""

    def __init__(self, digest: str, problem: AnyProblem, cells: Path | None) -> None:
        self.name = "deltaloom problem"
        self._parts = (digest, problem, cells)

    def setup(self, worker: object) -> None:
        """Called by Dask in the worker."""
        _remember(*self._parts)


_benches: dict[str, Bench] = {}
_lock = threading.Lock()


def _remember(digest: str, problem: AnyProblem, cells: Path | None) -> None:
    if cells is not None:
        load_cells(cells)
    _benches.clear()
    _benches[digest] = Bench(problem)


def _run(digest: str, batch: Batch) -> list[tuple[int, Values]]:
    with _lock:  # a worker may have several threads
        return run_batch(_benches[digest], batch)
