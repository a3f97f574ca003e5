# SPDX-License-Identifier: Apache-2.0
"""The Pareto front of error against eliminated operations, and the point on it to choose."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

from ..errors import UserError


class Point(Protocol):
    """What is compared: less error is better, more eliminated operations are better."""

    @property
    def error(self) -> float: ...
    @property
    def eliminated(self) -> float: ...


P = TypeVar("P", bound=Point)


def pareto_front(points: Iterable[P]) -> list[P]:
    """The points that no other one beats, by rising error and rising eliminated operations.

    A point is beaten by one that is at least as good in both and better in one; of equal points the
    first stays.
    """
    front: list[P] = []
    for point in sorted(points, key=lambda p: (p.error, -p.eliminated)):
        if not front or point.eliminated > front[-1].eliminated:
            front.append(point)
    return front


def knee(points: Iterable[P], base: float, allowed: float) -> P:
    """The point that eliminates most with an error of at most base + allowed.

    Of several the one with the least error. Raises UserError where no point is allowed.
    """
    if not allowed >= 0:
        raise UserError(f"allowed error: {allowed!r} is not possible, it must be at least 0")
    good = [point for point in points if point.error <= base + allowed]
    if not good:
        raise UserError(f"allowed error: no point is within {allowed:g} of {base:g}; allow more")
    return max(good, key=lambda p: (p.eliminated, -p.error))
