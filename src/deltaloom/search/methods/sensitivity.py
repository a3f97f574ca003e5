# SPDX-License-Identifier: Apache-2.0
"""Sensitivities first: each gene alone, the front of the sums, then what improves it most.

1. Each gene is measured alone at each level, on a few sequences.
2. The front of all genomes if effects added up (`additive`) gives the first population.
3. Round by round: children of the front, by crossover and small steps of levels; a surrogate that
   learns from all evaluations names the few that promise the largest gain of hypervolume; these are
   measured.
"""

import numpy as np

from ...golden.arithmetic import Ints, Reals
from ..additive import Exact, additive_front, measure_sensitivities
from ..evaluations import Evaluations
from ..genes import Levels
from ..surrogate import Surrogate

FIRST = 40
"""Genomes of the first population."""
ROUND = 10
"""Genomes that are measured before the surrogate learns again."""
CHILDREN = 1500
"""Genomes that the surrogate looks at in a round."""
POINTS = 6000
"""Of the box, at random: the gain of a genome is how many of them it wins."""


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
    """The few that gain most, each after those before it."""
    goals, box = evaluations.goals, evaluations.box
    assert box is not None
    predicted = surrogate.predict(genomes)
    vectors = box.unit(np.stack([o.sign * predicted[o.name] for o in goals.objectives], axis=1))
    rows = [{name: float(column[n]) for name, column in predicted.items()} for n in range(len(vectors))]
    missed = np.array([goals.violation(row) for row in rows])
    points = rng.random((POINTS, vectors.shape[1]))
    points = points[~_won(box.unit(evaluations.vectors(evaluations.front)), points).any(axis=0)]
    won = _won(vectors, points) & (missed == 0)[:, None]
    chosen: list[int] = []
    open_points = np.ones(len(points), bool)
    # Where no point is left to win, what is nearest to the limits and best in the sum.
    rest = missed + 1e-3 * vectors.sum(axis=1)
    for _ in range(min(ROUND, len(genomes))):
        gains = won[:, open_points].sum(axis=1).astype(float) - 1e-3 * rest
        gains[chosen] = -np.inf
        chosen.append(int(gains.argmax()))
        open_points &= ~won[chosen[-1]]
    return [tuple(levels) for levels in genomes[chosen].tolist()]


def _won(vectors: Reals, points: Reals) -> np.ndarray:
    """[vectors, points]: which points are worse in all objectives."""
    won = np.ones((len(vectors), len(points)), bool)
    for column in range(points.shape[1]):
        won &= vectors[:, column, None] <= points[None, :, column]
    return won
