# SPDX-License-Identifier: Apache-2.0
"""Sensitivities first: each gene alone, the front of the sums, then what improves it most.

1. Each gene is measured alone at each level, on a few sequences.
2. The front of all genomes if effects added up (`additive`) gives the first population.
3. Round by round: children of the front, by crossover and small steps of levels; a surrogate that
   learns from all evaluations names the few that promise the largest gain of hypervolume; these
   are measured.
"""

import numpy as np

from ...golden.arithmetic import Ints, Reals
from ..additive import Exact, additive_front, measure_sensitivities
from ..evaluations import Evaluations
from ..genes import Levels
from ..goals import FITS
from ..surrogate import Surrogate

FIRST = 40
"""Genomes of the first population."""
ROUND = 10
"""Genomes that are measured before the surrogate learns again."""
CHILDREN = 1500
"""Genomes that the surrogate looks at in a round."""
DRAWN, POINTS = 60_000, 1500
"""Points of the box that are drawn, and of those that the front does not win, kept: the gain of a
genome is how many of them it is expected to win."""


def search(evaluations: Evaluations, rng: np.random.Generator) -> None:
    """See `Method`."""
    alone = measure_sensitivities(evaluations)
    exact = Exact(evaluations)
    line = additive_front(evaluations, alone, exact)
    evaluations.measure(_spread(line, FIRST))
    surrogate = Surrogate(evaluations, alone, exact)
    while True:
        genomes = _children(evaluations, line, rng)
        if not len(genomes):
            return
        evaluations.measure(_best(evaluations, surrogate, genomes, rng))
        surrogate.fit()


def _spread(line: list[Levels], count: int) -> list[Levels]:
    """Some of a line, evenly."""
    places = np.linspace(0, len(line) - 1, min(count, len(line))).round().astype(int)
    return [line[n] for n in places]


def _children(evaluations: Evaluations, line: list[Levels], rng: np.random.Generator) -> Ints:
    """New genomes from the front, and from the front of the sums."""
    tops = np.array(evaluations.space.tops)
    parents = [one.levels for one in evaluations.front] or [evaluations.space.tops]
    pool = np.array(parents)
    mothers = pool[rng.integers(len(pool), size=CHILDREN)]
    fathers = pool[rng.integers(len(pool), size=CHILDREN)]
    share = rng.random((CHILDREN, 1)) * (rng.random((CHILDREN, 1)) < 0.5)  # half: one parent alone
    children = np.where(rng.random(mothers.shape) < share, fathers, mothers)
    steps = rng.choice([-2, -1, 1, 2], p=[0.1, 0.4, 0.4, 0.1], size=mothers.shape)
    moved = rng.random(mothers.shape) < rng.choice([1.0, 2.0, 3.0], size=(CHILDREN, 1)) / len(tops)
    children = np.clip(children + steps * moved, 0, tops)
    known = evaluations.full
    wanted = dict.fromkeys((*map(tuple, children.tolist()), *line))
    return np.array([levels for levels in wanted if levels not in known], np.int64)


def _best(
    evaluations: Evaluations, surrogate: Surrogate, genomes: Ints, rng: np.random.Generator
) -> list[Levels]:
    """The few that are expected to gain most, each after those before it."""
    goals = evaluations.goals
    predicted = surrogate.predict(genomes)
    points = _open_points(evaluations, rng)
    won = np.ones((len(genomes), len(points)))
    for column, one in enumerate(goals.objectives):
        mean, deviation = predicted[one.name]
        won *= _chance(points[None, :, column] - one.sign * mean[:, None], deviation[:, None])
    for name, (mean, deviation) in predicted.items():
        if name in goals.limits or name == FITS:
            limit, sign = goals.limits.get(name, 0.0), -1.0 if name in goals.more else 1.0
            won *= _chance(sign * (limit - mean), deviation)[:, None]
    chosen: list[int] = []
    left = np.ones(len(points))
    while len(chosen) < min(ROUND, len(genomes)):
        gains = won @ left
        gains[chosen] = -1.0
        chosen.append(int(gains.argmax()))
        left *= 1 - won[chosen[-1]]
    return [tuple(levels) for levels in genomes[chosen].tolist()]


def _open_points(evaluations: Evaluations, rng: np.random.Generator) -> Reals:
    """Points of the box that the front does not win, in the objectives' units."""
    box, front = evaluations.box, evaluations.vectors(evaluations.front)
    assert box is not None
    points = box.low + (box.high - box.low) * rng.random((DRAWN, len(box.low)))
    for vector in front:
        points = points[(points < vector).any(axis=1)]
    return points[:POINTS]


def _chance(room: Reals, deviation: Reals) -> Reals:
    """That a normal value stays below its mean + room (by the logistic curve near to it)."""
    z = np.clip(room / np.maximum(deviation, 1e-12), -12.0, 12.0)
    found: Reals = 1 / (1 + np.exp(-1.702 * z))
    return found
