# SPDX-License-Identifier: Apache-2.0
"""The searches for thresholds."""

import json
from itertools import product

import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.evaluate import evaluate, run_dataset
from deltaloom.golden.evaluation.pareto import pareto_front
from deltaloom.golden.evaluation.trials import Trials
from deltaloom.golden.evaluation.tuning import tune
from deltaloom.golden.quantization.quantize import Scheme, quantize

PATHS = ["lstm0.x", "lstm0.h", "lstm1.x", "lstm1.h", "linear2.x"]
FEW = {8: (0, 4, 16)}


@pytest.fixture(scope="module")
def task(make_model, make_dataset):
    """A network and labels that are mostly what it says itself, so that thresholds do harm."""
    data = make_dataset(6, [50, 40, 30, 45, 60], classes=4)
    network = quantize(make_model([("lstm", 12), ("lstm", 8), ("linear", 4)], 6), data)
    outputs = run_dataset(network, data).outputs
    return network, Dataset(data.features, tuple(y.argmax(axis=1) for y in outputs))


@pytest.fixture(scope="module")
def search(task):
    def run(*words, **options):
        with Trials(*task) as trials:
            return tune(trials, *words, **options)

    return run


def test_uniform_is_what_evaluate_says(task, search):
    network, data = task
    got = search("uniform", 100.0, candidates={8: (16, 2, 64, 4)})
    rising = sorted(got.trials, key=lambda trial: max(trial.thresholds.values()))
    assert [set(t.thresholds.values()) for t in rising] == [{0}, {2}, {4}, {16}, {64}]
    for trial in got.trials:
        alone = evaluate(network.with_thresholds(dict(trial.thresholds)), data)
        assert (trial.error, trial.eliminated) == (alone.delta_error, alone.eliminated_operations)
    assert got.chosen == rising[-1] and got.evaluations == 5
    assert {path.threshold for _, path in got.network.paths()} == {64}


def test_groups_are_all_combinations(search):
    got = search("groups", 100.0, candidates=FEW)
    tried = {tuple(trial.thresholds[name] for name in PATHS) for trial in got.trials}
    wanted = {(0, h, x, h, y) for x, h, y in product((0, 4, 16), repeat=3)}
    assert tried == wanted and len(got.trials) == 27
    assert got.chosen.thresholds == dict(zip(PATHS, (0, 16, 16, 16, 16), strict=True))


def test_groups_of_mixed_widths(make_model, make_dataset):
    """A 4-bit path takes the level of its group in its own candidates."""
    data = make_dataset(6, [20], classes=4)
    scheme = Scheme(overrides={"lstm0.h": (8, 4)})
    network = quantize(make_model([("lstm", 5), ("lstm", 5), ("linear", 4)], 6), data, scheme)
    with Trials(network, data) as trials:
        got = tune(trials, "groups", 100.0)
    assert len(got.trials) == 64
    pairs = {(t.thresholds["lstm0.h"], t.thresholds["lstm1.h"]) for t in got.trials}
    assert pairs == {(0, 0), (1, 8), (2, 16), (2, 32)}


@pytest.mark.parametrize("method", ["uniform", "groups", "greedy"])
def test_choice_eliminates_most_within_what_is_allowed(search, method):
    for allowed in (0.0, 1.0, 5.0, 20.0):
        got = search(method, allowed, candidates=FEW)
        good = [t for t in got.trials if t.error <= got.base.error + allowed]
        assert got.chosen in good
        assert got.chosen.eliminated == max(t.eliminated for t in good)
        assert list(got.front) == pareto_front(got.trials)
        assert got.base.thresholds == dict.fromkeys(PATHS, 0) and got.base in got.trials
        chosen = {name: path.threshold for name, path in got.network.paths()}
        assert chosen == got.chosen.thresholds


def test_greedy_finds_nearly_the_best_in_fewer_runs(task, search):
    """All 48 settings are tried beside it."""
    ladders = [(0, 16), (0, 8, 24), (0, 16), (0, 16), (0, 16)]
    points = [dict(zip(PATHS, v, strict=True)) for v in product(*ladders)]
    with Trials(*task) as trials:
        every = trials.measure(points)
    for allowed in (2.0, 8.0):
        got = search("greedy", allowed, candidates={8: (8, 16, 24)})
        best = max(t.eliminated for t in every if t.error <= allowed)
        assert got.evaluations < 30
        assert got.chosen.eliminated > best - 3.0


def test_greedy_takes_all_where_all_is_allowed(search):
    got = search("greedy", 100.0, candidates=FEW)
    assert set(got.chosen.thresholds.values()) == {16}


def test_kept_input(search):
    for method in ("uniform", "greedy"):
        got = search(method, 100.0, candidates=FEW, keep_input=True)
        assert all(trial.thresholds["lstm0.x"] == 0 for trial in got.trials)
        assert got.chosen.thresholds["lstm0.h"] == 16


def test_the_result_does_not_depend_on_processes_or_the_log(task, tmp_path):
    results = []
    for options in ({}, {"workers": 2, "log": tmp_path / "log"}, {"log": tmp_path / "log"}):
        with Trials(*task, **options) as trials:
            results.append(tune(trials, "greedy", 5.0, candidates=FEW).plain())
    assert results[0] == results[1] == results[2]


def test_plain_data(search):
    got = search("greedy", 3.0, candidates=FEW)
    plain = json.loads(json.dumps(got.plain()))
    assert plain["chosen"]["thresholds"] == got.chosen.thresholds
    assert len(plain["trials"]) == len(got.trials) and len(plain["front"]) == len(got.front)
    assert (plain["method"], plain["metric"], plain["unit"]) == ("greedy", "frame error", "%")


def test_no_candidates_leave_threshold_0(search):
    for method in ("uniform", "groups", "greedy"):
        got = search(method, 100.0, candidates={8: ()})
        assert set(got.chosen.thresholds.values()) == {0} and len(got.trials) == 1


def test_what_cannot_be(task, search):
    with pytest.raises(UserError, match="method: 'best' is not known, it must be one of greedy"):
        search("best")
    for allowed in (-0.1, float("nan")):
        with pytest.raises(UserError, match=r"allowed error: .* it must be at least 0$"):
            search("uniform", allowed)
    with pytest.raises(UserError, match=r"threshold: 256 is not possible, it must be 0\.\.255"):
        search("uniform", 1.0, candidates={8: (256,)})
    network, data = task
    with Trials(network, Dataset(data.features)) as trials, pytest.raises(UserError) as caught:
        tune(trials)
    assert "no frame is scored" in str(caught.value)
