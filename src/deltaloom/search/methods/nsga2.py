# SPDX-License-Identifier: Apache-2.0
"""NSGA-II of pymoo with the settings of the MOHAQ paper's code: 40 genomes at random, then 10
offspring a generation by integer SBX (probability 1, eta 3) and polynomial mutation (eta 3).
"""

from typing import Any

import numpy as np

from ...golden.errors import UserError
from ..evaluations import Evaluations, Solution

POPULATION = 40
OFFSPRING = 10
ETA = 3.0
STALE = 50
"""Generations without a new genome before the space counts as used up."""


def search(evaluations: Evaluations, rng: np.random.Generator) -> None:
    """See `Method`."""
    algorithm = _algorithm(evaluations, int(rng.integers(2**31)))
    stale = 0
    while stale < STALE:
        population = algorithm.ask()
        genomes = [tuple(int(x) for x in row) for row in population.get("X")]
        stale = 0 if any(levels not in evaluations.full for levels in genomes) else stale + 1
        found = evaluations.measure(genomes)
        _evaluate(algorithm, population, evaluations, found)
        algorithm.tell(infills=population)


def _evaluate(
    algorithm: Any, population: Any, evaluations: Evaluations, found: list[Solution]
) -> None:
    """Tell pymoo what was measured."""
    from pymoo.core.evaluator import Evaluator
    from pymoo.problems.static import StaticProblem

    missed = np.array([[evaluations.goals.violation(one.values)] for one in found])
    static = StaticProblem(algorithm.problem, F=evaluations.vectors(found), G=missed)
    Evaluator().eval(static, population)


def _algorithm(evaluations: Evaluations, seed: int) -> Any:
    try:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling
    except ImportError as error:
        raise UserError(
            "--method nsga2: pymoo is not installed; pip install 'deltaloom[search]', or take "
            "another method"
        ) from error
    tops = evaluations.space.tops
    problem = Problem(
        n_var=len(tops),
        n_obj=len(evaluations.goals.objectives),
        n_ieq_constr=1,
        xl=np.zeros(len(tops), int),
        xu=np.array(tops),
        vtype=int,
    )
    algorithm = NSGA2(
        pop_size=POPULATION,
        n_offsprings=OFFSPRING,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=1.0, eta=ETA, vtype=float, repair=RoundingRepair()),
        mutation=PM(prob=1.0, eta=ETA, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    algorithm.setup(problem, termination=("n_gen", 10**6), seed=seed, verbose=False)
    return algorithm
