# SPDX-License-Identifier: Apache-2.0
"""What one gene alone does, and the front of all genomes if effects simply added up.

The energy of independent errors adds up, and so does size; so with each gene's effect measured
alone, dynamic programming over the groups of genes finds the whole front of the sums. Its genomes
are a first population, and the sums are what a surrogate corrects.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from ..golden.arithmetic import Ints, Reals
from .costs import COSTS, WorkCost
from .evaluations import Evaluations
from .genes import Levels
from .goals import ERRORS, nondominated

MOST = {2: 2000, 3: 400}
"""Partial sums that are kept, by the number of objectives."""
DEVIATION = "deviation"
"""Energy of the outputs' difference to the float model's: what stands for the error here."""


@dataclass(frozen=True, slots=True)
class Sensitivities:
    """What each gene does at each level, the others at their highest.

    Members
    -------
    base: of the highest levels: values by name, `DEVIATION` among them.
    effects: by gene and level, what the values change by.
    """

    base: Mapping[str, float]
    effects: Sequence[Sequence[Mapping[str, float]]]

    def sums(self, name: str, genomes: Ints) -> Reals:
        """The value of genomes [n, genes] if effects added up."""
        total = np.full(len(genomes), self.base[name])
        for g, levels in enumerate(self.effects):
            table = np.array([effect[name] for effect in levels])
            total += table[genomes[:, g]]
        return total


def deviation(values: Mapping[str, float]) -> float:
    """From the NMSE in dB."""
    return float(10 ** (values["nmse"] / 10))


def measure_sensitivities(evaluations: Evaluations) -> Sensitivities:
    """Each gene alone at each of its levels, by thin evaluations."""
    tops = evaluations.space.tops
    alone = [
        (g, level, (*tops[:g], level, *tops[g + 1 :]))
        for g, top in enumerate(tops)
        for level in range(top)
    ]
    base, *found = evaluations.measure([tops, *(levels for _, _, levels in alone)], thin=True)
    names = [name for name in base.values if name not in ERRORS]
    start = {name: base.values[name] for name in names} | {DEVIATION: deviation(base.values)}
    effects: list[list[dict[str, float]]] = [
        [dict.fromkeys(start, 0.0) for _ in range(top + 1)] for top in tops
    ]
    for (g, level, _), one in zip(alone, found, strict=True):
        effect = effects[g][level]
        effect.update({name: one.values[name] - start[name] for name in names})
        effect[DEVIATION] = max(deviation(one.values) - start[DEVIATION], 0.0)
    return Sensitivities(start, effects)


class Exact:
    """The costs that bits alone tell, for any genome, without an evaluation."""

    def __init__(self, evaluations: Evaluations) -> None:
        self._space, self._work = evaluations.space, evaluations.work
        self._old = self._space.choice(self._space.tops).bits
        costs = {name: COSTS.get(name) for name in evaluations.goals.names}
        forms = {name: c.function for name, c in costs.items() if isinstance(c, WorkCost)}
        skips = any(gene.kind == "skip" for gene in self._space.genes)  # moves gates to other bits
        self._functions = {} if skips else forms

    @property
    def names(self) -> frozenset[str]:
        """Of these costs."""
        return frozenset(self._functions)

    def values(self, name: str, genomes: Iterable[Levels]) -> Reals:
        """One of them, for genomes."""
        function = self._functions[name]
        bits = (self._space.choice(levels).bits for levels in genomes)
        return np.array([function(self._work.with_bits(self._old, new)) for new in bits])


def additive_front(evaluations: Evaluations, alone: Sensitivities, exact: Exact) -> list[Levels]:
    """The front of all genomes if effects added up, by rising deviation."""
    tops, objectives = evaluations.space.tops, evaluations.goals.objectives
    genomes = np.zeros((1, len(tops)), np.int64)
    sums = np.zeros((1, len(objectives)))
    for group in evaluations.space.groups():
        options = np.array(list(product(*(range(tops[g] + 1) for g in group))))
        whole = np.tile(tops, (len(options), 1))
        whole[:, group] = options
        columns = []
        for one in objectives:
            if one.name in exact.names:
                rows = map(tuple, whole.tolist())
                found = exact.values(one.name, rows) - exact.values(one.name, [tops])
            else:
                name = DEVIATION if one.name in ERRORS else one.name
                found = alone.sums(name, whole) - alone.base[name]
            columns.append(one.sign * found)
        effects = np.stack(columns, axis=1)
        both = (sums[:, None] + effects).reshape(-1, len(objectives))
        good = _thinned(both, np.flatnonzero(nondominated(both)))
        before, option = np.divmod(good, len(options))
        genomes, sums = genomes[before], both[good]
        genomes[:, group] = options[option]
    order = np.lexsort(sums.T[::-1])
    return [tuple(levels) for levels in genomes[order].tolist()]


def _thinned(sums: Reals, good: Ints) -> Ints:
    """At most `MOST` of these, spread evenly over the front."""
    most = MOST[sums.shape[1]]
    order = good[np.lexsort(sums[good].T[::-1])]
    if len(order) <= most:
        return order
    return order[np.linspace(0, len(order) - 1, most).round().astype(np.int64)]
