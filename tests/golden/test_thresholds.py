# SPDX-License-Identifier: Apache-2.0
"""The uniform threshold and its choice."""

import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.metrics import evaluate, run_dataset
from deltaloom.golden.quantize import quantize
from deltaloom.golden.synthetic import make_network
from deltaloom.golden.thresholds import tune_threshold, uniform_thresholds

CANDIDATES = [16, 2, 64, 4]


@pytest.fixture(scope="module")
def task(make_model, make_dataset):
    """A network and labels that are mostly what it says itself, so that thresholds do harm."""
    data = make_dataset(6, [80, 60], classes=4)
    network = quantize(make_model([("lstm", 12), ("linear", 4)], 6), data)
    outputs = run_dataset(network, data).outputs
    return network, Dataset(data.features, tuple(y.argmax(axis=1) for y in outputs))


def test_uniform_thresholds():
    network = make_network([("lstm", 3), ("lstm", 3), ("linear", 2)], 4)

    def thresholds(**options):
        changed = uniform_thresholds(network, 7, **options)
        return {name: path.threshold for name, path in changed.paths()}

    names = ["lstm0.x", "lstm0.h", "lstm1.x", "lstm1.h", "linear2.x"]
    assert thresholds() == dict.fromkeys(names, 7)
    assert thresholds(keep_input=True) == dict.fromkeys(names, 7) | {"lstm0.x": 0}


def test_curve_is_what_evaluate_says(task):
    network, data = task
    curve = tune_threshold(network, data, CANDIDATES)
    assert [point.threshold for point in curve.points] == [0, 2, 4, 16, 64]
    for point in curve.points:
        alone = evaluate(uniform_thresholds(network, point.threshold), data)
        assert point.error == alone.delta_error
        assert point.eliminated == alone.eliminated_operations
    assert curve.points[0].error == 0.0
    assert curve.points[-1].error > 10.0
    rising = [point.eliminated for point in curve.points]
    assert rising == sorted(rising) and rising[0] < rising[-1]


def test_choice_eliminates_most_within_what_is_allowed(task):
    network, data = task
    points = tune_threshold(network, data, CANDIDATES).points
    for allowed in (0.0, points[1].error, points[3].error, 100.0):
        curve = tune_threshold(network, data, CANDIDATES, allowed)
        good = [p for p in curve.points if p.error <= allowed]
        assert curve.chosen.eliminated == max(p.eliminated for p in good)
        assert curve.chosen in good
        assert {p.threshold for _, p in curve.network.paths()} == {curve.chosen.threshold}
    assert tune_threshold(network, data, CANDIDATES, 100.0).chosen == points[-1]


def test_kept_input(task):
    network, data = task
    curve = tune_threshold(network, data, [64], 100.0, keep_input=True)
    assert {name: p.threshold for name, p in curve.network.paths()} == {
        "lstm0.x": 0,
        "lstm0.h": 64,
        "linear1.x": 64,
    }
    assert curve.chosen.eliminated < tune_threshold(network, data, [64], 100.0).chosen.eliminated


def test_no_candidates_leave_threshold_0(task):
    curve = tune_threshold(*task, [])
    assert curve.chosen.threshold == 0 and len(curve.points) == 1


def test_progress_counts_candidates(task):
    seen = []
    tune_threshold(*task, [4, 0, 4], progress=lambda what, part: seen.append((what, part)))
    assert seen == [("delta thresholds", 0.5), ("delta thresholds", 1.0)]


@pytest.mark.parametrize("allowed", [-0.1, float("nan")])
def test_allowed_error(task, allowed):
    with pytest.raises(UserError, match=r"allowed error: .* it must be at least 0$"):
        tune_threshold(*task, [1], allowed)


def test_threshold_out_of_range(task):
    with pytest.raises(UserError, match=r"threshold: 256 is not possible, it must be 0\.\.255"):
        tune_threshold(*task, [256])


def test_labels_are_needed(task):
    network, data = task
    with pytest.raises(UserError, match="no frame is scored"):
        tune_threshold(network, Dataset(data.features), [1])
