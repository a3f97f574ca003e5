# SPDX-License-Identifier: Apache-2.0
"""What an evaluation would find, from those that there are: sums of effects, corrected.

A value is the sum of the genes' effects (see `additive`), for the error by the rising curve that
the measured errors make over the sums of deviations, and a Gaussian process of what that leaves
unexplained.
"""

from collections.abc import Sequence

import numpy as np

from ..golden.arithmetic import Ints, Reals
from .additive import DEVIATION, Exact, Sensitivities
from .evaluations import Evaluations, Solution

LENGTHS = (1.5, 3.0, 6.0, 12.0)
"""Of the kernel exp(-levels apart / length); the one of least error where each is left out."""
NOISES = (0.03, 0.3)
"""Variances of what no genome explains, as parts of that of the residues."""
LEAST = 1e-30


class Process:
    """A Gaussian process over levels, with mean 0."""

    def __init__(self, genomes: Ints, residues: Reals) -> None:
        self._genomes = genomes
        apart = np.abs(genomes[:, None] - genomes[None]).sum(axis=-1)
        best = np.inf
        for length in LENGTHS:
            for noise in NOISES:
                kernel = np.exp(-apart / length)
                inverse = np.linalg.inv(kernel + noise * np.eye(len(genomes)))
                weights = inverse @ residues
                left_out = weights / inverse.diagonal()
                error = float(np.square(left_out).mean())
                if error < best:
                    best, self._length, self._weights = error, length, weights
                    self._inverse, self._noise = inverse, noise
                    # of the left out, by the variances that the kernel gives them
                    self._scale = float((np.square(left_out) * inverse.diagonal()).mean())

    def __call__(self, genomes: Ints) -> tuple[Reals, Reals]:
        """Means and standard deviations for genomes [n, genes]."""
        apart = np.zeros((len(genomes), len(self._genomes)), np.int64)
        for g in range(genomes.shape[1]):
            apart += np.abs(genomes[:, g, None] - self._genomes[None, :, g])
        kernel = np.exp(-apart / self._length)
        known = (kernel @ self._inverse * kernel).sum(axis=1)
        variance = np.maximum(1 + self._noise - known, 0.0) * self._scale
        return kernel @ self._weights, np.sqrt(variance)


def rising(x: Reals, y: Reals) -> tuple[Reals, Reals]:
    """The rising curve nearest to points (pool adjacent violators): its corners."""
    order = np.argsort(x, kind="stable")
    blocks: list[tuple[float, float, int]] = []
    for a, b in zip(x[order].tolist(), y[order].tolist(), strict=True):
        blocks.append((a, b, 1))
        while len(blocks) > 1 and blocks[-2][1] >= blocks[-1][1]:
            (a1, b1, n1), (a2, b2, n2) = blocks[-2:]
            n = n1 + n2
            blocks[-2:] = [((a1 * n1 + a2 * n2) / n, (b1 * n1 + b2 * n2) / n, n)]
    return np.array([a for a, _, _ in blocks]), np.array([b for _, b, _ in blocks])


class Surrogate:
    """Predicts values by name.

    Parameters
    ----------
    alone: effects of the genes.
    exact: costs that need no prediction.
    """

    def __init__(self, evaluations: Evaluations, alone: Sensitivities, exact: Exact) -> None:
        self._evaluations, self._alone, self._exact = evaluations, alone, exact
        self.fit()

    def fit(self) -> None:
        """Learn from all that was measured."""
        known: Sequence[Solution] = [*self._evaluations.full.values()]
        genomes = np.array([one.levels for one in known])
        self._processes: dict[str, Process] = {}
        errors = np.array([one.values["error"] for one in known])
        self._curve = rising(self._log_deviation(genomes), errors)
        for name in self._evaluations.goals.names:
            if name not in self._exact.names:
                measured = np.array([one.values[name] for one in known])
                residues = measured - self._mean(name, genomes)
                self._processes[name] = Process(genomes, residues)

    def predict(self, genomes: Ints) -> dict[str, tuple[Reals, Reals]]:
        """Means and standard deviations of what the goals name, of genomes [n, genes]."""
        found = {}
        rows = [tuple(levels) for levels in genomes.tolist()]
        for name in self._evaluations.goals.names:
            if name in self._exact.names:
                found[name] = self._exact.values(name, rows), np.zeros(len(rows))
            else:
                mean, deviation = self._processes[name](genomes)
                found[name] = self._mean(name, genomes) + mean, deviation
        return found

    def _mean(self, name: str, genomes: Ints) -> Reals:
        if name == "error":
            return np.interp(self._log_deviation(genomes), *self._curve)
        if name == "nmse":
            return self._log_deviation(genomes)
        return self._alone.sums(name, genomes)

    def _log_deviation(self, genomes: Ints) -> Reals:
        sums = np.maximum(self._alone.sums(DEVIATION, genomes), LEAST)
        found: Reals = 10 * np.log10(sums)
        return found
