# SPDX-License-Identifier: Apache-2.0
"""The Pareto front and the knee, by hand."""

from dataclasses import dataclass
from itertools import permutations

import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.pareto import knee, pareto_front


@dataclass(frozen=True)
class Point:
    error: float
    eliminated: float


A, B, C = Point(20.0, 14.0), Point(20.1, 50.0), Point(21.0, 70.0)
BEATEN = Point(20.2, 50.0), Point(20.1, 40.0), Point(22.0, 70.0), Point(25.0, 10.0)


def test_front_by_hand():
    for points in permutations([A, B, C, *BEATEN[:2]]):
        assert pareto_front(points) == [A, B, C]
    assert pareto_front([*BEATEN, C, B, A]) == [A, B, C]


def test_equal_points_stay_once():
    first, second = Point(1.0, 2.0), Point(1.0, 2.0)
    (kept,) = pareto_front([first, second])
    assert kept is first


def test_front_of_nothing_and_of_one():
    assert pareto_front([]) == []
    assert pareto_front([C]) == [C]


def test_less_error_and_more_eliminated_leaves_one():
    assert pareto_front([A, B, C, Point(19.0, 80.0)]) == [Point(19.0, 80.0)]


@pytest.mark.parametrize(
    ("allowed", "chosen"), [(0.0, A), (0.05, A), (0.25, B), (0.9, B), (1.0, C), (9.0, C)]
)
def test_knee_by_hand(allowed, chosen):
    assert knee([A, *BEATEN, B, C], 20.0, allowed) == chosen


def test_knee_takes_the_least_error_of_equals():
    assert knee([BEATEN[0], B], 20.0, 1.0) == B


def test_knee_that_cannot_be():
    with pytest.raises(UserError, match=r"allowed error: no point is within 1 of 10; allow more"):
        knee([A, B], 10.0, 1.0)
    for allowed in (-0.1, float("nan")):
        with pytest.raises(UserError, match=r"allowed error: .* it must be at least 0$"):
            knee([A], 20.0, allowed)
