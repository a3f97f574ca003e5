# SPDX-License-Identifier: Apache-2.0
"""The smallest bits of each path that keep an allowed error; nothing in it is random.

1. Each gene is measured alone, and the front of all bits if effects added up is made of that: what
   the method "sensitivity" begins with.
2. That front goes from exact to cheap. The cheapest place on it that keeps the error is found by
   sections, on all of the data.
3. From there single steps down are measured, and the cheapest that keeps the error is taken, until
   none does.

An error is kept where it is as measured, and also by the rising curve of the errors measured so far
over their NMSE: the cheapest of many would else be one that had luck with the data.

Cheap is what takes few `bit-operations`: they fall with a path's weight bits and its activation
bits, and count a large product for more than a small one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..golden.data import Dataset
from ..golden.errors import UserError
from ..golden.evaluation.metrics import Metric
from ..golden.models.float_model import FloatModel
from ..golden.models.network import Network
from ..golden.quantization.calibration import Progress, ignore_progress, observe
from ..golden.quantization.norm_ranges import balance
from ..golden.quantization.quantize import with_labels
from ..golden.quantization.scheme import Bits, Scheme
from .additive import Exact, additive_front, measure_sensitivities
from .costs import BIT_OPERATIONS
from .evaluations import Evaluations, Solution
from .genes import Levels, Space
from .goals import Goals
from .log import Log
from .problem import THIN, Bench, Problem
from .surrogate import rising
from .work import Work
from .workers import Inline

SECTIONS = 3
"""Places of the front that are measured at a time."""
UNLIMITED = 1e9
"""Evaluations."""
WIDTHS = (2, 4, 8, 16)


@dataclass(frozen=True, kw_only=True, slots=True)
class Smallest:
    """The smallest bits that were found.

    Members
    -------
    network: quantized with them.
    bits: (weight bits, activation bits) by path of the model.
    metric, unit: what `error` is of.
    error: on the data; that of `exact` at 16 bits in all paths, `limit` at most.
    float_error: of the float model; NaN for an error against it.
    evaluations: runs over the whole data set, those over a part of it counted as that part.
    """

    network: Network
    bits: Mapping[str, Bits]
    metric: str
    unit: str
    error: float
    exact: float
    limit: float
    float_error: float
    evaluations: float

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        floats = "" if math.isnan(self.float_error) else f", float {self.float_error:.2f}{unit}"
        return (
            f"{self.metric} {self.error:.2f}{unit} (at most {self.limit:.2f}{unit}{floats}, all at "
            f"16/16 {self.exact:.2f}{unit}), {self.evaluations:.0f} evaluations"
        )


def find_smallest(
    problem: Problem, target: float, progress: Progress = ignore_progress
) -> Smallest:
    """The smallest bits, of 2, 4, 8 and 16, whose network keeps the target.

    Parameters
    ----------
    problem: model, data and rules; `names` and `board` do not count. Paths that the scheme names
        keep the bits that it gives them.
    target: from 0 on, the error allowed over the float model's, in the metric's unit; below 0, the
        most NMSE against the float model's outputs, dB, which needs no labels.
    progress: called with what is being done and the part that is done, 0..1.

    Raises UserError where 16 bits in all paths do not keep it, and without labels for a target of
    the metric.
    """
    name = "error" if target >= 0 else "nmse"
    if name == "error" and not problem.dataset.scored:
        raise UserError(
            f"target error: {target:g} is over the float model's error, and no frame of the data "
            "has a label or a target; add them, or give dB of NMSE to the float model, such as -30"
        )
    problem = replace(problem, names=(name, BIT_OPERATIONS), board="")
    bench = Bench(problem)
    float_error = bench.float_error() if name == "error" else math.nan
    limit = float_error + target if name == "error" else target
    if not math.isfinite(limit):
        raise UserError(f"target error: {target:g} gives no limit; give a finite number")
    metric = problem.metric
    goals = Goals.of([name, BIT_OPERATIONS], {name: limit}, (metric.title, metric.unit))
    space = _space(problem)
    top = bench.quantize(space.choice(space.tops))
    names = [f"{layer.name}.{layer.at(p)}" for layer in problem.model.layers for p in layer.paths]
    found = Evaluations(
        space, goals, Inline(problem, bench), Log(None, ""), UNLIMITED, Work.of(top, names)
    )
    best, exact = _descend(found, progress)
    choice = space.choice(best.levels)
    return Smallest(
        network=bench.quantize(choice),
        bits=choice.bits,
        metric=goals.objectives[0].title,
        unit=goals.objectives[0].unit,
        error=best.values[name],
        exact=exact,
        limit=limit,
        float_error=float_error,
        evaluations=found.spent,
    )


def quantize_smallest(
    model: FloatModel,
    calibration: Dataset,
    judged: Dataset,
    target: float,
    metric: Metric,
    progress: Progress = ignore_progress,
) -> Smallest:
    """`find_smallest` by the default rules; judged: the data that errors are taken on."""
    scheme = Scheme()
    model = balance(model, calibration, scheme.input_scale)
    problem = Problem(
        model=model,
        statistics=observe(model, calibration, progress),
        dataset=judged,
        metric=metric,
        names=(),
        scheme=scheme,
    )
    found = find_smallest(problem, target, progress)
    return replace(found, network=with_labels(found.network, calibration))


def _space(problem: Problem) -> Space:
    """All widths, of the paths that the scheme does not name."""
    own = problem.scheme.for_model(problem.model).overrides
    space = Space.of(problem.model, weights=WIDTHS, activations=WIDTHS)
    genes = tuple(gene for gene in space.genes if not own.keys() & {*gene.paths})
    if not genes:
        raise UserError("scheme: every path has its bits, so there are none to find; name fewer")
    return replace(space, genes=genes, fixed=())


def _descend(found: Evaluations, progress: Progress) -> tuple[Solution, float]:
    """The cheapest solution, and the error of 16 bits in all paths."""
    goals, space = found.goals, found.space
    (top,) = found.measure([space.tops])
    exact = top.values[goals.objectives[0].name]
    if goals.violation(top.values):
        (limit,) = goals.limits.values()
        label = goals.objectives[0].label
        raise UserError(
            f"target error: {label}, is {exact:.2f} with 16 bits in all paths, at most {limit:.2f} "
            "is allowed; allow more, or look at the warnings of quantize --scheme 16-bit"
        )
    thin = 1 + sum(space.tops)

    def show(evaluations: Evaluations) -> None:
        progress("each path's bits alone", min(evaluations.under_way * THIN / thin, 1.0))

    found.show = show
    alone = measure_sensitivities(found)
    found.show = lambda evaluations: None
    line = [space.tops, *additive_front(found, alone, Exact(found))]
    best = _along(found, line, progress)
    return _step_down(found, best, progress), exact


def _along(found: Evaluations, line: Sequence[Levels], progress: Progress) -> Solution:
    """The cheapest solution of a line from exact to cheap that keeps the error, by sections.

    The first keeps it.
    """
    first, last = 0, len(line)  # the error is within the limit at `first`, not at `last`
    while last - first > 1:
        gap = (last - first) / (SECTIONS + 1)
        places = sorted({round(first + gap * (n + 1)) for n in range(SECTIONS)} - {first, last})
        tried = found.measure([line[n] for n in places])
        for place, one in zip(places, tried, strict=True):
            if not _keeps(found, one):
                last = place
                break
            first = place
        progress("all paths' bits", 1 - math.log(last - first) / math.log(len(line)))
    progress("all paths' bits", 1.0)
    return found.measure([line[first]])[0]


def _step_down(found: Evaluations, best: Solution, progress: Progress) -> Solution:
    """From a solution, the cheapest of its single steps down that keep the error, again and again.

    A step that fails is not tried again: fewer bits elsewhere do not mend it.
    """
    failed: set[tuple[int, int]] = set()
    for _ in range(sum(best.levels) + 1):
        levels = best.levels
        steps = [
            (g, level - 1)
            for g, level in enumerate(levels)
            if level and (g, level - 1) not in failed
        ]
        genomes = [(*levels[:g], level, *levels[g + 1 :]) for g, level in steps]
        tried = found.measure(genomes)
        kept = [one for one in tried if _keeps(found, one)]
        failed |= {step for step, one in zip(steps, tried, strict=True) if one not in kept}
        progress("single steps", 1 - len(kept) / max(sum(levels), 1))
        if not kept:
            break
        best = min(
            kept, key=lambda one: (one.values[BIT_OPERATIONS], *found.goals.vector(one.values))
        )
    progress("single steps", 1.0)
    return best


def _keeps(found: Evaluations, one: Solution) -> bool:
    """Whether a solution keeps the error: as measured, and as its NMSE makes one expect.

    Of many candidates the one that is chosen for its error had luck with the data; what is expected
    is the rising curve of all measured errors over their NMSE.
    """
    if found.goals.violation(one.values):
        return False
    name = found.goals.objectives[0].name
    every = [each.values for each in found.full.values()]
    curve = rising(*(np.array([values[key] for values in every]) for key in ("nmse", name)))
    return bool(np.interp(one.values["nmse"], *curve) <= found.goals.limits[name])
