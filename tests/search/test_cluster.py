# SPDX-License-Identifier: Apache-2.0
"""A Dask cluster of this machine: the same values, and a lost worker loses nothing."""

import os
import signal
import threading

import pytest

from deltaloom.golden.errors import UserError
from deltaloom.search.workers import Inline

pytest.importorskip("distributed")
JOBS = 5


@pytest.fixture
def cluster_module(monkeypatch):
    from deltaloom.search import cluster

    monkeypatch.setattr(cluster, "PATIENCE", "5s")
    return cluster


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_same_values_and_a_worker_is_lost(small, cluster_module):
    from distributed import LocalCluster

    jobs = [(small.space.choice((n % 4,) * 6), n == JOBS - 1) for n in range(JOBS)]
    expected = dict(Inline(small.problem()).run(jobs))
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        cluster_module.Dask(small.problem(), cluster.scheduler_address) as crew,
    ):
        assert dict(crew.run(jobs)) == expected and dict(crew.run([])) == {}
        pid = next(iter(crew._client.run(os.getpid).values()))
        killer = threading.Timer(0.05, os.kill, (pid, signal.SIGKILL))
        killer.start()
        found = dict(crew.run(jobs * 8))
        killer.join()
        assert found == {n: expected[n % JOBS] for n in range(JOBS * 8)}
        assert dict(crew.run(jobs)) == expected


def test_a_scheduler_that_does_not_answer_is_one_line(small, cluster_module, monkeypatch):
    monkeypatch.setattr(cluster_module, "PATIENCE", "100ms")
    with pytest.raises(UserError, match="no scheduler answers there"):
        cluster_module.Dask(small.problem(), "tcp://127.0.0.1:1")
