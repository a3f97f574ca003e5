# SPDX-License-Identifier: Apache-2.0
"""Solutions of searches for error and cycles, simulated: does silicon keep what the search said?"""

from collections.abc import Iterator
from pathlib import Path

from figures import Figure
from search import DATA, SHORT, Case, solved

from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.generate import generate
from deltaloom.search.evaluations import Solution
from deltaloom.search.options import Options
from deltaloom.search.search import Search, network_of
from deltaloom.sim.simulate import simulate
from deltaloom.sim.stimulus import FULL_SPEED

CELLS = ("lstm", "gru", "ligru", "sru")
BUDGET = 40
"""Evaluations of each search."""
FRAMES = 60
"""Whose cycles the search promises, and that are simulated."""
WORD_BITS = 128
ALLOWED = 2.0
"""Percent that a promise may be off."""


def figures(work: Path) -> Iterator[Figure]:
    """Of each cell's front the most exact solution, the knee and the quickest, in Verilator."""
    tuning = Dataset.load(DATA / "tuning.npz")
    chosen = [n for n, x in enumerate(tuning.features) if len(x) <= SHORT]
    data = tuning.subset(chosen).first(FRAMES)
    for cell in CELLS:
        case = Case(
            cell=cell,
            objectives=("error", "cycles"),
            limits={"error": 40.0},
            space={"weights": (2, 4, 8), "activations": (4, 8), "thresholds": (0, 4, 8)},
            longest=SHORT,
            options=Options(word_bits=WORD_BITS, steps=FRAMES),
        )
        result, problem, space = solved(case, work, budget=BUDGET)
        for what, one in _picked(result).items():
            network = network_of(problem, space, one)
            config = derive_config(network, word_bits=WORD_BITS)
            design = generate(network, work / "picks" / f"{cell}-{what}", config=config)
            frames = [quantize_frames(network, x) for x in data.features]
            report = simulate(
                design.verilog, network, frames, workdir=work / "picks", stimulus=FULL_SPEED
            )
            if not report.ok:
                raise SystemExit(f"RTL differs from golden: {report}")
            measured, promised = report.cycles_per_step, one.values["cycles"]
            error = one.values["error"]
            yield Figure(
                name=f"picks, {cell}, {what}: cycles in RTL off what the search promised",
                value=round(100 * abs(measured / promised - 1), 3),
                unit="%",
                reference=round(promised, 1),
                reference_is=f"cycles promised, {measured:.1f} in RTL; {report.words} words equal; "
                f"error {error:.2f} %",
                target=ALLOWED,
                at_most=True,
                command="make bench ARGS=search-picks",
            )


def _picked(result: Search) -> dict[str, Solution]:
    """By what they are."""
    front = result.front
    return {"exact": front[0], "knee": front[result.knee], "quick": front[-1]}
