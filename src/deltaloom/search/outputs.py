# SPDX-License-Identifier: Apache-2.0
"""What a search writes: its front as plain data, a page to look at it, and a solution's scheme."""

import json
import math
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..golden.errors import UserError
from ..golden.evaluation.networks import thresholds_of
from ..golden.quantization.scheme import Scheme
from ..golden.writing import write_text
from .costs import COSTS
from .evaluations import Solution
from .genes import Choice
from .goals import ERRORS, find_objective
from .network_problem import NetworkProblem
from .problem import AnyProblem, Problem
from .search import Search

HIDDEN = ("roles", "overrides", "weight_bits", "activation_bits")
"""Fields of `Scheme` that the paths' bits stand for."""


def plain(search: Search, problem: AnyProblem) -> dict[str, Any]:
    """The front, all solutions and how they came about, as lists, dicts, texts and numbers."""
    goals = search.goals
    return {
        "method": search.method,
        "seed": search.seed,
        "metric": problem.metric.name,
        "float_error": _number(search.float_error),
        "objectives": [one.name for one in goals.objectives],
        "limits": dict(goals.limits),
        "board": goals.board,
        "evaluations": search.evaluations,
        "frames": problem.dataset.frames,
        "values": values_of(search, problem),
        "genes": [
            {"name": gene.name, "kind": gene.kind, "paths": gene.paths, "values": gene.values}
            for gene in search.space.genes
        ],
        "knee": search.knee,
        "front": [_entry(search, problem, one, n) for n, one in enumerate(search.front)],
        "solutions": [
            _entry(search, problem, one, None)
            for one in search.solutions
            if one not in search.front and goals.violation(one.values) == 0
        ],
        "hypervolume": [[mark.evaluations, mark.hypervolume] for mark in search.marks],
        "sensitivities": _sensitivities(search),
    }


def values_of(search: Search, problem: AnyProblem) -> list[dict[str, Any]]:
    """Name, title, unit and sense of values: objectives, limits, then what costs no time."""
    own = [name for name in search.goals.names if name != "board"]
    scored = not math.isnan(search.front[0].values["error"])
    names = dict.fromkeys((*own, *(("error",) if scored else ()), "nmse", *COSTS))
    metric = (problem.metric.title, problem.metric.unit)
    found = [find_objective(name, metric, problem.reference) for name in names]
    return [
        {"name": one.name, "title": one.title, "unit": one.unit, "more": one.more} for one in found
    ]


def _entry(
    search: Search, problem: AnyProblem, one: Solution, number: int | None
) -> dict[str, Any]:
    choice = search.space.choice(one.levels)
    texts = {}
    for path, (weights, activations) in choice.bits.items():
        threshold = choice.thresholds[path]
        texts[path] = f"{weights}/{activations}" + (f" Θ{threshold}" if threshold else "")
    found: dict[str, Any] = {
        "number": number,
        "values": {name: _number(value) for name, value in one.values.items()},
        "paths": texts,
        "bits": dict(choice.bits),
        "thresholds": dict(choice.thresholds),
        "settings": dict(choice.settings),
    }
    if number is not None:
        found["scheme"] = scheme_text(search, problem, one)
    return found


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value


def _written(value: float) -> str:
    """Whole numbers, a beacon's among them, with all digits."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.6g}"


def _sensitivities(search: Search) -> list[dict[str, Any]]:
    tops = search.space.tops
    known = {one.levels: one.values["nmse"] for one in search.alone}
    found = []
    for g, gene in enumerate(search.space.genes):
        changed = [(*tops[:g], level, *tops[g + 1 :]) for level in range(len(gene.values))]
        levels = [
            {"value": value, "nmse": known[levels]}
            for value, levels in zip(gene.values, changed, strict=True)
            if levels in known
        ]
        if levels:
            found.append({"name": gene.name, "levels": levels})
    return found


def scheme_text(search: Search, problem: AnyProblem, one: Solution) -> str:
    """A solution in text, with its values as comments.

    Of a model it is the scheme as `deltaloom quantize --scheme` reads it; thresholds and hardware
    options, which a scheme has not, are comments. Of a network it is the options that set its
    thresholds.
    """
    choice = search.space.choice(one.levels)
    lines = [f"# {name}: {_written(value)}" for name, value in one.values.items()]
    hardware = {name: value for name, value in choice.settings.items() if name != "skip"}
    options = [f"--{name.replace('_', '-')} {value}" for name, value in hardware.items()]
    generate = [f"# deltaloom generate {' '.join(options)}"] * bool(options)
    if isinstance(problem, Problem):
        lines += [*_threshold_comments(choice), *generate, *_scheme(choice.scheme(problem.scheme))]
    elif isinstance(problem, NetworkProblem):
        chosen = thresholds_of(choice.with_thresholds(problem.network))
        lines += [*generate, *(f"--threshold {path}={codes}" for path, codes in chosen.items())]
    return "\n".join(lines) + "\n"


def _threshold_comments(choice: Choice) -> list[str]:
    thresholds = {path: value for path, value in choice.thresholds.items() if value}
    if not thresholds:
        return []
    head = "# thresholds in 8-bit codes; of other widths the same part of the range"
    return [head, *(f"# {path}: {value}" for path, value in thresholds.items())]


def _scheme(scheme: Scheme) -> list[str]:
    """What of it is not usual, and the bits of its paths."""
    lines, usual = [], Scheme()
    for each in fields(Scheme):
        value = getattr(scheme, each.name)
        if each.name not in HIDDEN and value is not None and value != getattr(usual, each.name):
            lines.append(f"{each.name} = {json.dumps(value)}")
    lines.append("[paths]")
    for path, (weights, activations) in scheme.overrides.items():
        lines.append(f'{json.dumps(path)} = "{weights}/{activations}"')
    return lines


def page(search: Search, problem: AnyProblem, title: str) -> str:
    """The front as one HTML page that needs nothing else."""
    found = plain(search, problem)
    limits = ", ".join(f"{name} {limit:g}" for name, limit in search.goals.limits.items())
    facts = [
        f"method {search.method}, seed {search.seed}",
        f"{search.evaluations:g} evaluations of {search.space.size:,} candidates",
        f"{problem.dataset.frames:,} frames",
        f"hypervolume {search.hypervolume:.4f}",
    ]
    facts += [f"limits: {limits}"] if limits else []
    if not math.isnan(search.float_error):
        facts.append(f"float {problem.metric.title} {search.float_error:.2f} {problem.metric.unit}")
    found |= {"title": title, "facts": "; ".join(facts), "errors": ERRORS}
    found["alone"] = found.pop("sensitivities")
    text = json.dumps(found).replace("<", "\\u003c")  # nothing ends the script early
    return _template().replace("__DATA__", text)


def _template() -> str:
    return files(__package__).joinpath("page.html").read_text(encoding="utf-8")


def write_page(file: Path, search: Search, problem: AnyProblem, title: str) -> None:
    """Write `page`, whole or not at all."""
    write_text(page(search, problem, title), file)


def pick(search: Search, number: int) -> Solution:
    """A solution of the front by its number, from 0."""
    if number not in range(len(search.front)):
        raise UserError(f"--pick {number}: the front has solutions 0..{len(search.front) - 1}")
    return search.front[number]
