# SPDX-License-Identifier: Apache-2.0
"""Fronts, hypervolumes and limits."""

import numpy as np
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.search.goals import Box, Goals, nondominated


def brute(vectors):
    """By definition; of equal rows the first."""
    good = []
    for n, a in enumerate(vectors):
        beaten = any(
            (b <= a).all() and ((b < a).any() or m < n) for m, b in enumerate(vectors) if m != n
        )
        good.append(not beaten)
    return np.array(good, bool)


@pytest.mark.parametrize("objectives", [2, 3])
def test_nondominated(objectives):
    rng = np.random.default_rng(0)
    for size in (0, 1, 2, 30, 80):
        vectors = rng.integers(0, 9, (size, objectives)).astype(float)
        np.testing.assert_array_equal(nondominated(vectors), brute(vectors))


@pytest.mark.parametrize("objectives", [2, 3])
def test_hypervolume_is_the_share_of_points_that_are_beaten(objectives):
    rng = np.random.default_rng(1)
    low, high = np.full(objectives, 10.0), np.full(objectives, 30.0)
    box = Box(low, high)
    points = low + (high - low) * rng.random((200_000, objectives))
    for size in (1, 3, 20):
        vectors = low + (high - low) * rng.random((size, objectives)) * 1.2
        beaten = np.zeros(len(points), bool)
        for vector in vectors:
            beaten |= (vector <= points).all(axis=1)
        assert box.hypervolume(vectors) == pytest.approx(beaten.mean(), abs=0.005)


def test_hypervolumes_by_hand():
    box = Box(np.zeros(2), np.array([4.0, 4.0]))
    assert box.hypervolume(np.array([[1.0, 3.0], [3.0, 1.0]])) == (3 + 2) / 16
    assert box.hypervolume(np.array([[4.0, 0.0]])) == 0.0
    assert box.hypervolume(np.zeros((0, 2))) == 0.0
    assert box.hypervolume(np.array([[-1.0, -1.0]])) == 1.0
    cube = Box(np.zeros(3), np.ones(3))
    assert cube.hypervolume(np.array([[0.5, 0.5, 0.5], [0.0, 0.0, 0.75]])) == 0.125 + 0.1875


def test_limits_count_as_parts():
    goals = Goals.of(["error", "size"], {"error": 20, "bitfusion-speedup": 4})
    values = {"error": 25, "size": 3, "bitfusion-speedup": 3}
    assert goals.violation(values) == 0.25 + 0.25
    assert goals.violation({**values, "error": 20, "bitfusion-speedup": 4}) == 0
    assert goals.names == ("error", "size", "bitfusion-speedup")


def test_more_is_better_turns_the_sign():
    goals = Goals.of(["nmse", "bitfusion-speedup"])
    assert goals.vector({"nmse": -20, "bitfusion-speedup": 3}).tolist() == [-20, -3]


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["error"], "objectives: error; give two or three"),
        (["error", "error"], "objectives: error; give two or three"),
        (["error", "size", "cycles", "luts"], "objectives: error, size, cycles, luts; give two"),
        (["cycles", "size"], "objectives: cycles, size; one of them must be error or nmse"),
        (["error", "speed"], "objective 'speed': not known"),
    ],
)
def test_what_cannot_be_a_goal(names, line):
    with pytest.raises(UserError) as error:
        Goals.of(names)
    assert str(error.value).startswith(line)
