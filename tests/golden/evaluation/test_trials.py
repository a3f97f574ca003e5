# SPDX-License-Identifier: Apache-2.0
"""Trials: what evaluate says, in any number of processes, and not twice."""

import json

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation import trials as module
from deltaloom.golden.evaluation.evaluate import evaluate, run_dataset
from deltaloom.golden.evaluation.metrics import find_metric
from deltaloom.golden.evaluation.trials import THIN, Trials
from deltaloom.golden.quantization.quantize import quantize

POINTS = [{}, {"lstm0.h": 9}, {"lstm0.x": 30, "linear1.x": 5}]


@pytest.fixture(scope="module")
def task(make_model, make_dataset):
    """A network and labels that are mostly what it says itself, so that thresholds do harm."""
    data = make_dataset(6, [40, 30, 20, 35, 0, 15], classes=4)
    network = quantize(make_model([("lstm", 12), ("linear", 4)], 6), data)
    outputs = run_dataset(network, data).outputs
    return network, Dataset(data.features, tuple(y.argmax(axis=1) for y in outputs))


def test_a_trial_is_what_evaluate_says(task):
    network, data = task
    with Trials(network, data) as trials:
        done = trials.measure(POINTS)
    plain = run_dataset(network, data).real(network)
    for point, trial in zip(POINTS, done, strict=True):
        there = network.with_thresholds(point)
        alone = evaluate(there, data)
        assert trial.thresholds == alone.thresholds
        assert (trial.error, trial.frames) == (alone.delta_error, 140)
        assert trial.eliminated == alone.eliminated_operations
        outputs = run_dataset(there, data).real(there)
        change = sum(np.square(a - b).sum() for a, b in zip(outputs, plain, strict=True))
        assert trial.deviation == pytest.approx(change / sum(np.square(b).sum() for b in plain))
    assert done[0].error == done[0].deviation == 0.0
    assert done[2].deviation > 0 < done[2].error


def test_the_networks_own_thresholds_do_not_count(task):
    network, data = task
    tuned = network.with_thresholds({"lstm0.h": 50})
    with Trials(network, data) as plain, Trials(tuned, data) as other:
        assert plain.measure(POINTS) == other.measure(POINTS)


def test_two_processes_measure_the_same(task):
    network, data = task
    with Trials(network, data) as one, Trials(network, data, workers=2) as two:
        assert one.measure(POINTS) == two.measure(POINTS)
        assert one.measure(POINTS, thin=True) == two.measure(POINTS, thin=True)


def test_thin_trials_are_of_some_sequences(task):
    network, data = task
    with Trials(network, data) as trials:
        (thin,) = trials.measure([{"lstm0.h": 9}], thin=True)
        assert trials.whole == []
        assert trials.evaluations == thin.frames / data.frames
        (whole,) = trials.measure([{"lstm0.h": 9}])
        assert trials.whole == [whole]
        assert trials.evaluations == 1 + thin.frames / data.frames
    # Of the lengths 0, 15, 20, 30, 35, 40 every fourth, the third first.
    assert THIN == 4 and thin.frames == 20
    part = data.subset([2])
    assert thin.error == evaluate(network.with_thresholds({"lstm0.h": 9}), part).delta_error


@pytest.fixture
def one_by_one(monkeypatch):
    """No two trials in one run."""
    monkeypatch.setattr(module, "HELD", 1)


@pytest.mark.usefixtures("one_by_one")
def test_nothing_is_measured_twice(task, monkeypatch):
    calls = []
    monkeypatch.setattr(module._Bench, "run", counted(calls, module._Bench.run))
    with Trials(*task) as trials:
        first = trials.measure([POINTS[1], POINTS[1], POINTS[0]])
        assert first[0] == first[1] and len(calls) == 2
        assert trials.measure(POINTS[:2]) == [first[2], first[0]] and len(calls) == 2
        trials.measure(POINTS)
        assert len(calls) == 3 and trials.evaluations == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_trials_share_runs_without_harm(task, monkeypatch, workers):
    """At most as many at once as the frames that may be held, and the same as one by one."""
    points = [{"lstm0.x": n, "linear1.x": m} for n in range(3) for m in range(2)]
    with Trials(*task, workers=workers) as trials:
        together = trials.measure(points)
    calls = []
    monkeypatch.setattr(module, "HELD", 2 * 140 + 139)
    monkeypatch.setattr(module._Bench, "run", counted(calls, module._Bench.run))
    with Trials(*task) as trials:
        assert trials.measure(points) == together
        assert [len(job[0]) for job in calls] == [2, 2, 2]
    monkeypatch.setattr(module, "HELD", 1)
    with Trials(*task) as trials:
        assert [trials.measure([point])[0] for point in points] == together
    assert [len(job[0]) for job in calls[3:]] == [1] * 6


def counted(calls, run):
    def wrapper(self, job):
        calls.append(job)
        return run(self, job)

    return wrapper


def test_a_log_is_taken_up_again(task, tmp_path, monkeypatch):
    log = tmp_path / "log.jsonl"
    with Trials(*task, log=log) as trials:
        before = trials.measure(POINTS[:2]) + trials.measure(POINTS[1:2], thin=True)
    with log.open("a") as stream:
        stream.write('{"of": "' + "0" * 64 + '", "thin": false}\n[]\n{"of": "ab')  # cut off
    calls = []
    monkeypatch.setattr(module._Bench, "run", counted(calls, module._Bench.run))
    with Trials(*task, log=log) as trials:
        again = trials.measure(POINTS[:2]) + trials.measure(POINTS[1:2], thin=True)
        assert again == before and calls == [] and trials.found == 3
        assert trials.evaluations > 2  # those of the log count
        trials.measure(POINTS)
        assert len(calls) == 1 and trials.found == 3


@pytest.mark.usefixtures("one_by_one")
def test_what_was_logged_before_an_interrupt_stays(task, tmp_path, monkeypatch):
    log, run, calls = tmp_path / "log.jsonl", module._Bench.run, []

    def interrupted(self, job):
        calls.append(job)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return run(self, job)

    monkeypatch.setattr(module._Bench, "run", interrupted)
    with pytest.raises(KeyboardInterrupt), Trials(*task, log=log) as trials:
        trials.measure(POINTS)
    assert len(log.read_text().splitlines()) == 2
    with Trials(*task, log=log) as trials:
        trials.measure(POINTS)
    assert len(calls) == 4 and trials.found == 2


def test_another_network_data_or_metric_is_measured_anew(task, tmp_path):
    network, data = task
    log = tmp_path / "log.jsonl"
    changed = [np.array(x) for x in data.features]
    changed[0][0, 0] += 0.5
    other = Dataset(tuple(changed), data.labels)
    smaller = Dataset(data.features[:3], data.labels[:3])
    with Trials(network, data, log=log) as trials:
        trials.measure([{}])
    for case in (
        (network, other),
        (network, smaller),
        (network, data, find_metric("perplexity")),
    ):
        with Trials(*case, log=log) as trials:
            trials.measure([{}])
            assert trials.found == 0
    keys = [json.loads(line)["of"] for line in log.read_text().splitlines()]
    assert len(set(keys)) == len(keys) == 4


def test_progress_counts_what_is_run(task):
    seen = []
    with Trials(*task, progress=lambda what, part: seen.append((what, part))) as trials:
        trials.measure(POINTS[:2], what="a")
        trials.measure(POINTS, what="b")
    assert seen == [("a", 0.5), ("a", 1.0), ("b", 1.0)]


def test_what_cannot_be(task, tmp_path):
    with pytest.raises(UserError, match="workers: 0 is not possible, it must be at least 1"):
        Trials(*task, workers=0)
    with Trials(*task) as trials:
        with pytest.raises(UserError, match="threshold of 'x': no such path"):
            trials.measure([{"x": 3}])
        with pytest.raises(UserError, match=r"threshold: 256 is not possible"):
            trials.measure([{"lstm0.x": 256}])
    with (
        pytest.raises(UserError, match="cannot be written"),
        Trials(*task, log=tmp_path / "absent" / "log") as trials,
    ):
        trials.measure([{}])
    with pytest.raises(UserError, match="cannot be read as text"):
        Trials(*task, log=tmp_path)
