# SPDX-License-Identifier: Apache-2.0
"""Searches on the shipped speech models: methods against each other, the MOHAQ paper's experiments
in form, and error over cycles on our own silicon.

Every evaluation is kept: a suite that was interrupted goes on.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from figures import Figure
from speech import DATA

from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import run_dataset
from deltaloom.golden.evaluation.metrics import metric_of
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.quantization.calibration import observe
from deltaloom.golden.quantization.norm_ranges import balance
from deltaloom.golden.quantization.presets import METHODS as QUANTIZATION
from deltaloom.golden.quantization.scheme import Scheme
from deltaloom.search.evaluations import Solution
from deltaloom.search.genes import Space
from deltaloom.search.goals import Goals
from deltaloom.search.options import Options
from deltaloom.search.outputs import write_page
from deltaloom.search.problem import Problem
from deltaloom.search.search import Search, network_of, search
from deltaloom.search.workers import Processes

METHODS = ("sensitivity", "nsga2", "random")
SEEDS = (1, 2, 3, 4, 5)
EVALUATIONS = 630
SHORT = 118
"""Frames of the longest sequence that the methods are compared on: 22 sequences, 2,071 frames."""
MIDDLE = 300
"""The same of the experiments: 41 sequences, 6,183 frames."""
BUDGET = 250
"""Evaluations of an experiment with ours."""
SRAM_KB = 67.0
"""Of Bitfusion: the same part of the shipped SRU at 16 bits (354.7 kB) as 2 MB of the paper's."""
SILAGO_KB = 200.8
"""Of SiLago: likewise of 6 MB, of the paper's 10.6: 16 bits everywhere do not fit, 8 do."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A search on a shipped model.

    Members
    -------
    cell: whose model.
    objectives, limits: see `Goals.of`.
    longest: frames; longer tuning sequences are left out.
    space: options of `Space.of`.
    rounding: "row" or "gptq", see `deltaloom quantize`.
    """

    cell: str
    objectives: Sequence[str]
    limits: dict[str, float] = field(default_factory=dict)
    longest: int = MIDDLE
    space: dict[str, Any] = field(default_factory=dict)
    rounding: str = "row"
    options: Options = field(default_factory=Options)


def solved(
    case: Case, work: Path, *, method: str = "sensitivity", seed: int = 1, budget: int = BUDGET
) -> tuple[Search, Problem, Space]:
    """The search's result; evaluations are kept below `work`."""
    problem, space, goals = posed(case)
    result = search(
        problem,
        space,
        goals,
        lambda problem, bench: Processes(problem, os.cpu_count() or 1),
        method=method,
        evaluations=budget,
        seed=seed,
        log=work / "search" / f"{case.cell}.jsonl",
        warn=print,
    )
    return result, problem, space


def posed(case: Case) -> tuple[Problem, Space, Goals]:
    """What is to be searched."""
    calibration, tuning = (Dataset.load(DATA / f"{n}.npz") for n in ("calibration", "tuning"))
    tuning = tuning.subset(n for n, x in enumerate(tuning.features) if len(x) <= case.longest)
    scheme = Scheme(**QUANTIZATION[case.rounding])
    model = import_checkpoint(DATA / f"{case.cell}.safetensors")
    model = balance(model, calibration, scheme.input_scale)
    goals = Goals.of(case.objectives, case.limits, ("frame error", "%"))
    problem = Problem(
        model=model,
        statistics=observe(model, calibration),
        dataset=tuning,
        metric=metric_of(tuning),
        scheme=scheme,
        names=goals.names,
        options=case.options,
    )
    return problem, Space.of(model, **case.space), goals


def methods(work: Path) -> Iterator[Figure]:
    """Hypervolume at 630 evaluations, median of five seeds, and when ours has NSGA-II's last."""
    case = Case(cell="sru", objectives=("error", "size"), limits={"error": 30}, longest=SHORT)
    found = {
        method: [
            solved(case, work, method=method, seed=seed, budget=EVALUATIONS)[0] for seed in SEEDS
        ]
        for method in METHODS
    }
    figure = partial(Figure, command="make bench ARGS=search-methods")
    volumes = {name: median(one.hypervolume for one in runs) for name, runs in found.items()}
    for name, less in zip(METHODS, (*METHODS[1:], ""), strict=True):
        yield figure(
            name=f"search methods: hypervolume of {name} at {EVALUATIONS} evaluations",
            value=round(volumes[name], 5),
            unit="",
            reference=round(min(one.hypervolume for one in found[name]), 5),
            reference_is=f"the least of {len(SEEDS)} seeds",
            target=round(volumes[less], 5) if less else None,
        )
    needed = [_reached(one, volumes["nsga2"]) for one in found["sensitivity"]]
    yield figure(
        name="search methods: evaluations until sensitivity has nsga2's last hypervolume",
        value=median(needed),
        unit="",
        target=EVALUATIONS / 2,
        at_most=True,
    )


def _reached(one: Search, volume: float) -> float:
    """Evaluations until a hypervolume; the budget and one where it never is."""
    marks = (mark.evaluations for mark in one.marks if mark.hypervolume >= volume)
    return next(marks, EVALUATIONS + 1.0)


def paper(work: Path) -> Iterator[Figure]:
    """The paper's experiments in form on the shipped SRU: size, SiLago, Bitfusion."""
    yield from _size(work)
    yield from silago(work)
    yield from _bitfusion(work)


_figure = partial(Figure, command="make bench ARGS=search-paper")


def _size(work: Path) -> Iterator[Figure]:
    case = Case(cell="sru", objectives=("error", "size"), limits={"error": 30}, rounding="gptq")
    result, problem, space = solved(case, work)
    write_page(work / "search" / "sru-size.html", result, problem, "SRU: error and size")
    base = result.solutions[0]
    for more, published in ((0.0, 8), (1.5, 12)):
        best = _least(result, "size", base.values["error"] + more)
        yield _figure(
            name=f"search, SRU: compression at {more:+.1f} points",
            value=round(2 * base.values["size"] / best.values["size"], 2),
            unit="x",
            reference=published,
            reference_is=f"of float32, the paper's SRU; {_told(problem, space, best)}",
        )


def silago(work: Path) -> Iterator[Figure]:
    """SiLago with its memory limit, by compensated rounding and by rounding alone."""
    for rounding in ("gptq", "row"):
        yield from _silago(work, rounding)


def _silago(work: Path, rounding: str) -> Iterator[Figure]:
    case = Case(
        cell="sru",
        objectives=("error", "silago-speedup", "silago-energy"),
        limits={"error": 30, "size": SILAGO_KB},
        space={"weights": (4, 8, 16), "tied": True},
        rounding=rounding,
    )
    result, problem, space = solved(case, work, budget=100)
    write_page(work / "search" / f"sru-silago-{rounding}.html", result, problem, "SRU: SiLago")
    base, cheapest = result.solutions[:2]
    within = [one for one in result.solutions if one.values["size"] <= SILAGO_KB]
    limit = base.values["error"] + 0.5
    allowed = [one for one in within if one.values["error"] <= limit]
    figure = partial(_figure, command="make bench ARGS=search-silago")
    name = f"search, SRU on SiLago, {rounding}, {SILAGO_KB:g} kB"
    fastest = max(allowed, key=lambda one: one.values["silago-speedup"])
    yield figure(
        name=f"{name}: share of the largest speedup at +0.5 points",
        value=round(100 * fastest.values["silago-speedup"] / cheapest.values["silago-speedup"], 1),
        unit="%",
        reference=80,
        reference_is=f"the paper's, 97 in its later version; {_told(problem, space, fastest)}",
    )
    saving = min(allowed, key=lambda one: one.values["silago-energy"])
    energy = [one.values["silago-energy"] for one in (base, saving, cheapest)]
    yield figure(
        name=f"{name}: share of the largest energy saving at +0.5 points",
        value=round(100 * (energy[0] - energy[1]) / (energy[0] - energy[2]), 1),
        unit="%",
        reference=64,
        reference_is=f"the paper's, 86 in its later version; {_told(problem, space, saving)}",
    )
    exact, free = (min(one, key=lambda s: s.values["error"]) for one in (within, result.solutions))
    beyond = len(result.solutions) - len(within)
    yield figure(
        name=f"{name}: least error within the memory, over that without the limit",
        value=round(exact.values["error"] - free.values["error"], 2),
        unit="points",
        reference=round(exact.values["size"], 1),
        reference_is=f"kB has the most exact solution; {beyond} of {len(result.solutions)} are "
        "beyond the limit",
    )


def _bitfusion(work: Path) -> Iterator[Figure]:
    case = Case(
        cell="sru",
        objectives=("error", "bitfusion-speedup"),
        limits={"error": 30, "size": SRAM_KB},
        rounding="gptq",
    )
    result, problem, space = solved(case, work)
    write_page(work / "search" / "sru-bitfusion.html", result, problem, "SRU: Bitfusion")
    best = _most(result, "bitfusion-speedup", 30)
    yield _figure(
        name="search, SRU on Bitfusion, small SRAM, error up to 30 %: best speedup",
        value=round(best.values["bitfusion-speedup"], 1),
        unit="x",
        reference=47,
        reference_is=f"the paper's, with beacons; {_told(problem, space, best)}",
    )
    yield _figure(
        name="search, SRU on Bitfusion: the same by time",
        value=round(best.values["bitfusion-true-speedup"], 1),
        unit="x",
        reference=round(best.values["bitfusion-speedup"], 1),
        reference_is="the paper's arithmetic mean",
    )


def silicon(work: Path) -> Iterator[Figure]:
    """Error over cycles: bits and thresholds together against bits first, thresholds after."""
    figure = partial(Figure, command="make bench ARGS=search-silicon")
    for cell in ("gru", "sru"):
        genes = {"weights": (2, 4, 8), "activations": (4, 8), "thresholds": (0, 2, 4, 8, 16)}
        objectives, limits = ("error", "cycles"), {"error": 30.0}
        both = Case(cell=cell, objectives=objectives, limits=limits, space=genes, longest=SHORT)
        joint, problem, _ = solved(both, work, budget=150)
        write_page(work / "search" / f"{cell}-cycles.html", joint, problem, f"{cell}: cycles")
        base = joint.solutions[0]
        for more in (0.5, 1.5):
            best = _least(joint, "cycles", base.values["error"] + more)
            yield figure(
                name=f"search, {cell} on 256-bit words: cycles a frame at {more:+.1f} points",
                value=round(best.values["cycles"], 1),
                unit="",
                reference=round(base.values["cycles"], 1),
                reference_is="at 8/8 bits and thresholds 0",
            )


def _within(result: Search, error: float) -> list[Solution]:
    return [one for one in result.solutions if one.values["error"] <= error]


def _least(result: Search, name: str, error: float) -> Solution:
    return min(_within(result, error), key=lambda one: (one.values[name], one.values["error"]))


def _most(result: Search, name: str, error: float) -> Solution:
    return min(_within(result, error), key=lambda one: (-one.values[name], one.values["error"]))


def _told(problem: Problem, space: Space, one: Solution) -> str:
    """A solution's errors on the data that it was chosen on and on the test data, and its bits."""
    test = Dataset.load(DATA / "test.npz")
    network = network_of(problem, space, one)
    error = problem.metric(test, run_dataset(network, test).real(network))
    bits = " ".join(f"{w}/{a}" for w, a in space.choice(one.levels).bits.values())
    return f"here error {one.values['error']:.2f} %, on test data {error:.2f} %, bits {bits}"


SEARCHES = {
    "search-methods": methods,
    "search-paper": paper,
    "search-silago": silago,
    "search-silicon": silicon,
}
