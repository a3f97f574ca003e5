# SPDX-License-Identifier: Apache-2.0
"""Measuring many settings of the thresholds: in several processes, and never the same one twice."""

import hashlib
import json
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import chain
from multiprocessing.pool import Pool
from multiprocessing.synchronize import Barrier
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any, Generic, cast

import numpy as np

from ..arithmetic import Reals
from ..data import Dataset
from ..errors import UserError
from ..processes import undisturbed
from ..quantization.calibration import Progress, ignore_progress
from ..supervisor import end_with_parent
from .evaluate import Totals, run_dataset_settings
from .metrics import Metric, metric_of
from .networks import AnyNetwork, N
from .operations import eliminated
from .thresholds import Thresholds

THIN = 4
"""A thin trial runs one sequence in so many."""

STARTED = 10.0
"""Seconds that a worker waits for the others to have started, before the first trial."""
HELD = 1 << 17
"""Frames of all trials that one process runs at once: some 200 MB for layers of 128 units."""

_Place = tuple[bool, str]
"""Whether it is thin, and its thresholds."""
_Job = tuple[list[dict[str, int]], bool]
"""Thresholds of some trials, and whether they are thin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """Thresholds, by path, and what they do on `frames` frames.

    Members
    -------
    thresholds: by path name, in codes.
    error: by the metric, in its unit.
    eliminated: percent of all multiply-accumulates, as measured.
    deviation: energy of the outputs' change against thresholds 0, over that of the outputs.
    frames: how many the trial ran.
    """

    thresholds: Thresholds
    error: float
    eliminated: float
    deviation: float
    frames: int


class Trials(Generic[N]):
    """Measures thresholds of one network on one data set; use it in a `with` block.

    Parameters
    ----------
    network: whose thresholds these are; its own do not count.
    dataset: sequences with labels or targets.
    metric: what the error is; None: that of the data's task.
    log: JSON lines, one a trial; what an earlier run measured on the same network (but for its
        thresholds), data and metric is taken from there.
    workers: processes; results do not depend on it.
    progress: called with what is being done and the part that is done, 0..1.

    Members
    -------
    found: how many trials the log had.
    """

    def __init__(
        self,
        network: N,
        dataset: Dataset,
        metric: Metric | None = None,
        *,
        log: Path | None = None,
        workers: int = 1,
        progress: Progress = ignore_progress,
    ) -> None:
        if workers < 1:
            raise UserError(f"workers: {workers} is not possible, it must be at least 1")
        plain = network.with_thresholds({name: 0 for name, _ in network.paths()})
        self.network: N = cast(N, plain)
        self.dataset = dataset
        self.metric = metric or metric_of(dataset)
        self.found = 0
        self._progress = progress
        self._log = log
        self._workers = workers
        self._bench = _Bench(self.network, dataset, self.metric)
        self._known: dict[_Place, Trial] = {}
        self._asked: dict[_Place, Trial] = {}
        self._stack = ExitStack()
        self._pool: Pool | None = None
        self._digest = _digest(self.network, dataset, self.metric)
        if log is not None:
            self._known.update(_read(log, self._digest))

    def __enter__(self) -> "Trials[N]":
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()  # ends the processes

    def measure(
        self, points: Sequence[Thresholds], *, thin: bool = False, what: str = "thresholds"
    ) -> list[Trial]:
        """One trial for each point, in order; a path that it does not name has threshold 0.

        Parameters
        ----------
        thin: on one sequence in `THIN` only, quicker and less exact.
        """
        names = [name for name, _ in self.network.paths()]
        wanted = [dict.fromkeys(names, 0) | dict(point) for point in points]
        for point in wanted:
            self.network.check_thresholds(point)
        places = {_place(point, thin): point for point in wanted}
        new = [point for place, point in places.items() if place not in self._known]
        self.found += sum(place in self._known and place not in self._asked for place in places)
        for n, trial in enumerate(self._run(new, thin)):
            self._known[_place(trial.thresholds, thin)] = trial
            self._write(trial, thin)
            self._progress(what, (n + 1) / len(new))
        self._asked |= {place: self._known[place] for place in places}
        return [self._known[_place(point, thin)] for point in wanted]

    @property
    def whole(self) -> list[Trial]:
        """All trials that were asked for on the whole data set."""
        return [trial for (thin, _), trial in self._asked.items() if not thin]

    @property
    def evaluations(self) -> float:
        """What was asked for, in runs over the whole data set; the log's trials count, too."""
        return sum(trial.frames for trial in self._asked.values()) / self.dataset.frames

    def _run(self, points: list[dict[str, int]], thin: bool) -> Iterator[Trial]:
        size = self._bench.trials_at_once(thin)
        size = min(size, -(-len(points) // self._workers))
        jobs = [(points[n : n + size], thin) for n in range(0, len(points), size or 1)]
        if self._workers == 1 or len(jobs) < 2:
            return chain.from_iterable(map(self._bench.run, jobs))
        if self._pool is None:
            # Not forked: a progress bar's thread may hold a lock just then.
            context = multiprocessing.get_context("spawn")
            # What is left where we are killed is no news for the user.
            self._stack.enter_context(_environment("PYTHONWARNINGS", "ignore"))
            there = context.Barrier(self._workers)
            arguments = (self.network, self.dataset, self.metric, there)
            with undisturbed():  # half a start would leave workers that complain
                pool = context.Pool(self._workers, _start, arguments)
            self._pool = self._stack.enter_context(pool)
        return chain.from_iterable(self._pool.imap(_run, jobs))

    def _write(self, trial: Trial, thin: bool) -> None:
        if self._log is None:
            return
        line = json.dumps({"of": self._digest, "thin": thin} | asdict(trial))
        try:
            with self._log.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"{self._log}: cannot be written ({reason}); name another") from error


class _Bench:
    """Runs single trials, in this process."""

    def __init__(self, network: AnyNetwork, dataset: Dataset, metric: Metric) -> None:
        order = sorted(range(len(dataset)), key=lambda n: len(dataset.features[n]))
        few = sorted(order[THIN // 2 :: THIN] or order)
        self._network = network
        self._metric = metric
        self._sets = {False: dataset, True: dataset.subset(few)}
        self._plain: dict[bool, list[Reals]] = {}

    def trials_at_once(self, thin: bool) -> int:
        return max(HELD // max(self._sets[thin].frames, 1), 1)

    def run(self, job: _Job) -> list[Trial]:
        points, thin = job
        dataset = self._sets[thin]
        settings = [{}, *points] if thin not in self._plain else points
        done = run_dataset_settings(self._network, dataset, settings)
        if thin not in self._plain:
            self._plain[thin] = done.pop(0).real(self._network)
        return [
            self._trial(point, totals, thin) for point, totals in zip(points, done, strict=True)
        ]

    def _trial(self, point: Thresholds, totals: Totals, thin: bool) -> Trial:
        dataset, plain, outputs = self._sets[thin], self._plain[thin], totals.real(self._network)
        change = sum(float(np.square(a - b).sum()) for a, b in zip(outputs, plain, strict=True))
        energy = sum(float(np.square(b).sum()) for b in plain)
        return Trial(
            thresholds=dict(point),
            error=self._metric(dataset, outputs),
            eliminated=eliminated(self._network, totals.events, dataset.frames),
            deviation=change / energy if energy else 0.0,
            frames=dataset.frames,
        )


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Sets a variable where there is none."""
    there = os.environ.setdefault(name, value) != value
    try:
        yield
    finally:
        if not there:
            os.environ.pop(name, None)


_bench: _Bench


def _start(network: AnyNetwork, dataset: Dataset, metric: Metric, there: Barrier) -> None:
    global _bench
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    end_with_parent(signal.SIGKILL)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _bench = _Bench(network, dataset, metric)
    with suppress(BrokenBarrierError):  # one whose parent is killed while it starts says so
        there.wait(STARTED)


def _run(job: _Job) -> list[Trial]:
    return _bench.run(job)


def _place(thresholds: Thresholds, thin: bool) -> _Place:
    return thin, json.dumps(thresholds, sort_keys=True)


def _read(log: Path, digest: str) -> Iterator[tuple[_Place, Trial]]:
    """The trials of a log that belong to this network, data and metric."""
    if not log.exists():
        return
    try:
        lines = log.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{log}: cannot be read as text ({error}); name another") from error
    for line in lines:
        try:
            entry: dict[str, Any] = json.loads(line)
            if entry.pop("of") == digest:
                thin = bool(entry.pop("thin"))
                trial = Trial(**entry)
                yield _place(trial.thresholds, thin), trial
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # the line that an interrupted run was writing


def _digest(network: AnyNetwork, dataset: Dataset, metric: Metric) -> str:
    """Of everything that a trial depends on, but its thresholds."""
    result = hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network"
        network.save(file)
        result.update(file.read_bytes())
    fold = sorted((metric.fold or {}).items())
    result.update(json.dumps([metric.name, fold, dataset.label_names, dataset.task]).encode())
    own = Path(metric.name.rpartition(":")[0])
    if own.is_file():
        result.update(own.read_bytes())
    result.update(json.dumps([*dataset.states]).encode())
    states = [*dataset.states.values()]
    for arrays in (dataset.features, dataset.labels, dataset.targets, dataset.offset, states):
        for array in arrays or ():
            result.update(f"{array.dtype} {array.shape}".encode())
            result.update(np.ascontiguousarray(array).tobytes())
    return result.hexdigest()
