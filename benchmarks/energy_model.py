# SPDX-License-Identifier: Apache-2.0
"""The energy model (`hw/estimates/energy.py`) against mapped netlists that were simulated, and the
fit of what it measured.

    make bench ARGS=energy-model
    python benchmarks/energy_model.py --fit    # prints MEASURED of hw/estimates/energy_measured.py

Each case is mapped to cells, loaded over its bus, and run on frames, every output word compared
with golden's. Those that are not `fitted` had no part in the constants.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from energy_cases import (
    DELTA,
    LIBRARY,
    SPEECH,
    Case,
    Measured,
    Stimulus,
    measure,
    stimulus_frames,
)
from figures import REPORT, Figure

from deltaloom.boards.asic.libraries import find_technology
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import run
from deltaloom.hw.compiler.plan import Plan
from deltaloom.hw.estimates.energy import amounts, estimate_energy

COMMAND = "make bench ARGS=energy-model"
TARGET = 0.15
"""Most that an estimate of a frame's energy may be off."""
ACCESSES = "accesses"
"""What is counted of macros, whose energy is fitted for itself."""
CASES = (
    Case(cell="gru", units=8, weight_bits=8, lanes=2),
    Case(cell="gru", units=8, weight_bits=2, lanes=2),
    Case(cell="lstm", units=32, outputs=16, weight_bits=8, lanes=8),
    Case(cell="gru", units=16, weight_bits=8, lanes=8, trained=False, fitted=False),
    Case(cell="gru", units=8, weight_bits=4, lanes=2, fitted=False, stimuli=(DELTA,)),
    Case(
        cell="gru",
        units=32,
        outputs=16,
        weight_bits=4,
        lanes=16,
        fitted=False,
        stimuli=(DELTA,),
    ),
    Case(
        cell="ligru",
        units=32,
        layers=2,
        outputs=16,
        weight_bits=2,
        lanes=32,
        fitted=False,
        stimuli=(DELTA,),
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A case with what was sent: what it counts, and what it cost."""

    case: Case
    stimulus: Stimulus
    plan: Plan
    events: list[dict[str, np.ndarray]]
    measured: Measured

    def __str__(self) -> str:
        return f"{self.case}, {self.stimulus}"


def points(work: Path) -> Iterator[Point]:
    """Every case with every stimulus; what was measured before is kept."""
    data = Dataset.load(SPEECH / "test.npz")
    for case in CASES:
        for stimulus in case.stimuli:
            network = case.network(stimulus.threshold)
            frames = stimulus_frames(stimulus, network, data)
            yield Point(
                case=case,
                stimulus=stimulus,
                plan=Plan.of(network, case.config(network)),
                events=[result.events for result in run(network, [frames])],
                measured=measure(case, stimulus, data, work),
            )


def figures(work: Path) -> Iterator[Figure]:
    """How far each estimate is off, and of held-out ones the clock and the rest apart."""
    corner = find_technology(LIBRARY, workdir=work).library.corner
    for point in points(work):
        estimate = estimate_energy(point.plan, point.events)
        total = point.measured.total
        kind = "fitted" if point.case.fitted else "held out"
        yield Figure(
            name=f"energy model, {point}, {corner}, {kind}",
            value=round(abs(estimate.total / total - 1), 4),
            unit="",
            reference=round(1e9 * total, 1),
            reference_is=f"nJ a frame measured, {1e9 * estimate.total:.1f} estimated",
            target=None if point.case.fitted else TARGET,
            at_most=True,
            command=COMMAND,
        )


def fit(found: list[Point]) -> dict[str, dict[str, tuple[float, float]]]:
    """MEASURED, in pJ: for each component least squares of relative errors, none below 0;
    what it does, and its clock, each for itself."""
    counted = [amounts(point.plan, point.events) for point in found]
    measured = {}
    for part in counted[0]:
        names = [name for name in counted[0][part] if name != ACCESSES]
        matrix = np.array([[each[part][name] for name in names] for each in counted])
        parts = [point.measured.parts[part] for point in found]
        macros = np.array([one.memory for one in parts])
        accesses = np.array([each[part].get(ACCESSES, 0.0) for each in counted])
        logic = np.array([one.logic for one in parts]) + (0 if accesses.any() else macros)
        clock = np.array([one.clock for one in parts])
        work, clocked = (_positive(matrix / (1e12 * each[:, None])) for each in (logic, clock))
        measured[part] = {
            name: (round(float(one), 5), round(float(other), 5))
            for name, one, other in zip(names, work, clocked, strict=True)
        }
        if accesses.any():
            there = accesses > 0
            cost = _positive((accesses / (1e12 * macros))[there, None])
            measured[part][ACCESSES] = (round(float(cost[0]), 5), 0.0)
    return measured


def _positive(matrix: np.ndarray) -> np.ndarray:
    """The x >= 0 with the least squares of matrix @ x - 1: of all subsets of columns the best."""
    best, least = np.zeros(matrix.shape[1]), np.inf
    for mask in range(1, 1 << matrix.shape[1]):
        kept = [n for n in range(matrix.shape[1]) if mask >> n & 1 and matrix[:, n].any()]
        x, *_ = np.linalg.lstsq(matrix[:, kept], np.ones(len(matrix)), rcond=None)
        error = float(((matrix[:, kept] @ x - 1) ** 2).sum())
        if (x >= 0).all() and error < least - 1e-12:
            best, least = np.zeros(matrix.shape[1]), error
            best[kept] = x
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true", required=True, help="print the constants")
    parser.parse_args()
    measured = fit([p for p in points(REPORT.parent / "work") if p.case.fitted])
    print(f"MEASURED = {measured}")


if __name__ == "__main__":
    main()
