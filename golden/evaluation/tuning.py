# SPDX-License-Identifier: Apache-2.0
"""Choosing delta thresholds after training: by groups of paths, as published, or path by path.

"uniform": one threshold for all paths, each candidate is tried.
"groups": Rezk et al.: one for each group of paths (`groups_of`), every combination is tried; that
    of the input frames is 0.
"greedy": one for each path. Every step of every path is tried alone, on a part of the data. Its
    price is what it changes the outputs by (the energy of independent changes adds up, while an
    error rate hardly moves), its gain the operations that it eliminates. Steps are then taken in
    the order of gain over price, which makes a path through all settings; the place on it where the
    error reaches its limit is found by sections on the whole data, and single steps from there that
    stay within it are taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Generic, cast

from ..errors import UserError
from .networks import N, activation_bits
from .pareto import knee, pareto_front
from .result import columns
from .thresholds import CANDIDATES, LADDER, groups_of, input_paths, scaled
from .trials import Trial, Trials

METHODS = ("greedy", "groups", "uniform")
ROUNDS = 4
"""Of single steps."""

Candidates = Mapping[int, tuple[int, ...]]
"""By activation bits, thresholds in codes."""
Ladders = dict[str, tuple[int, ...]]
"""By path, thresholds from 0 up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuning(Generic[N]):
    """A search and its result.

    Members
    -------
    method: one of `METHODS`.
    metric, unit: of the errors.
    allowed: error over that of thresholds 0, in the unit.
    base: the trial with thresholds 0.
    trials: all on the whole data, by rising error.
    front: those that no other beats.
    chosen: that of the front which eliminates most within what is allowed.
    evaluations: runs over the whole data set, those over a part of it counted as that part.
    network: with the chosen thresholds.
    """

    method: str
    metric: str
    unit: str
    allowed: float
    base: Trial
    trials: tuple[Trial, ...]
    front: tuple[Trial, ...]
    chosen: Trial
    evaluations: float
    network: N

    def __str__(self) -> str:
        """The front as a table, a line a trial, with the chosen one marked."""
        unit = f", {self.unit}" if self.unit else ""
        rows = [(f"{self.metric}{unit}", "eliminated, %", "thresholds")]
        for trial in self.front:
            thresholds = " ".join(map(str, trial.thresholds.values()))
            mark = " <- chosen" if trial == self.chosen else ""
            rows.append((f"{trial.error:.2f}", f"{trial.eliminated:.1f}", thresholds + mark))
        return columns(rows, align=">><")

    def plain(self) -> dict[str, Any]:
        """All but the network, as lists, dicts, texts and numbers."""
        names = ("method", "metric", "unit", "allowed", "evaluations")
        return {name: getattr(self, name) for name in names} | {
            "base": asdict(self.base),
            "chosen": asdict(self.chosen),
            "front": [asdict(trial) for trial in self.front],
            "trials": [asdict(trial) for trial in self.trials],
        }


def tune(
    trials: Trials[N],
    method: str = "greedy",
    allowed: float = 0.5,
    *,
    candidates: Candidates | None = None,
    keep_input: bool = False,
    rounds: int = ROUNDS,
) -> Tuning[N]:
    """Choose the thresholds that eliminate most with an error of at most `allowed` more.

    Tune on data that the network was not trained on, and report on other data.

    Parameters
    ----------
    trials: measures the network's thresholds.
    method: one of `METHODS`, which the module describes.
    allowed: error over that of thresholds 0, in the metric's unit.
    candidates: by activation bits, in codes; for other bits `CANDIDATES` ("groups") or `LADDER`,
        for the range.
    keep_input: the input frames keep threshold 0, as they do in "groups", and as tokens do.
    rounds: of "greedy", how often single steps from the best setting are tried.
    """
    if method not in METHODS:
        raise UserError(f"method: {method!r} is not known, it must be one of {', '.join(METHODS)}")
    if not allowed >= 0:
        raise UserError(f"allowed error: {allowed!r} is not possible, it must be at least 0")
    network = trials.network
    usual = CANDIDATES if method == "groups" else LADDER
    ladders: Ladders = {}
    for name, path in network.paths():
        bits = activation_bits(path)
        own = (candidates or {}).get(bits, scaled(usual, bits))
        ladders[name] = tuple(sorted({0, *own}))
    if keep_input or network.tokens or method == "groups":
        ladders |= dict.fromkeys(input_paths(network), (0,))
    (base,) = trials.measure([{}], what="thresholds 0")
    if method == "greedy":
        _climb(trials, ladders, base.error + allowed, rounds)
    else:
        groups = groups_of(network) if method == "groups" else {"all": tuple(ladders)}
        trials.measure(_combinations(ladders, groups), what="combinations of thresholds")
    done = sorted(trials.whole, key=lambda trial: (trial.error, -trial.eliminated))
    front = pareto_front(done)
    chosen = knee(front, base.error, allowed)
    return Tuning(
        method=method,
        metric=trials.metric.title,
        unit=trials.metric.unit,
        allowed=allowed,
        base=base,
        trials=tuple(done),
        front=tuple(front),
        chosen=chosen,
        evaluations=trials.evaluations,
        network=cast(N, network.with_thresholds(dict(chosen.thresholds))),
    )


def _combinations(ladders: Ladders, groups: Mapping[str, Sequence[str]]) -> list[dict[str, int]]:
    """Every combination of the groups' levels; a path's threshold is its ladder's at that level."""
    depths = [max(len(ladders[name]) for name in names) for names in groups.values()]
    return [
        {
            name: ladders[name][min(level, len(ladders[name]) - 1)]
            for names, level in zip(groups.values(), levels, strict=True)
            for name in names
        }
        for levels in product(*map(range, depths))
    ]


def _climb(trials: Trials, ladders: Ladders, limit: float, rounds: int) -> None:
    """The search by path; what it tries is then in `trials`."""
    route = _route(trials, ladders)
    first, last = 0, len(route)  # the error is within the limit at `first`, not at `last`
    while last - first > 1:
        third = max((last - first) // 3, 1)
        places = sorted({first + third, max(last - third, first + 1)})
        for place, trial in zip(
            places, trials.measure([route[n] for n in places], what="error's limit"), strict=True
        ):
            if trial.error > limit:
                last = place
                break
            first = place
    best = route[first]
    for _ in range(rounds):
        steps = [
            best | {name: ladder[ladder.index(best[name]) + 1]}
            for name, ladder in ladders.items()
            if best[name] != ladder[-1]
        ]
        tried = trials.measure([best, *steps], what="single steps")
        better = knee([t for t in tried if t.error <= limit], limit, 0).thresholds
        if better == best:
            break
        best = dict(better)


def _route(trials: Trials, ladders: Ladders) -> list[dict[str, int]]:
    """Settings from all 0 to the top of all ladders, one path changed at a time."""
    alone = [(name, value) for name, ladder in ladders.items() for value in ladder[1:]]
    zero, *results = trials.measure(
        [{}, *({name: value} for name, value in alone)], thin=True, what="each path alone"
    )
    gain = {place: t.eliminated - zero.eliminated for place, t in zip(alone, results, strict=True)}
    price = {place: t.deviation for place, t in zip(alone, results, strict=True)}
    here = dict.fromkeys(ladders, 0)
    route = [here]
    gain |= {(name, 0): 0.0 for name in ladders}
    price |= {(name, 0): 0.0 for name in ladders}

    def worth(step: tuple[str, int]) -> float:
        before = (step[0], here[step[0]])
        more, cost = gain[step] - gain[before], price[step] - price[before]
        return more / cost if cost > 0 else more * 1e30

    while steps := [place for place in alone if place[1] > here[place[0]]]:
        name, value = max(steps, key=worth)
        here = here | {name: value}
        route.append(here)
    return route
