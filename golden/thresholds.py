# SPDX-License-Identifier: Apache-2.0
"""Choosing delta thresholds: error against eliminated operations."""

from collections.abc import Iterable
from dataclasses import dataclass

from .calibration import Progress, ignore_progress
from .data import Dataset
from .errors import UserError
from .metrics import eliminated, error, run_dataset
from .network import Network, path_name


@dataclass(frozen=True, slots=True)
class ThresholdPoint:
    """One threshold, in codes, on the data set: its error (`metrics.error`) and the percent of
    operations that it eliminates.
    """

    threshold: int
    error: float
    eliminated: float


@dataclass(frozen=True, slots=True)
class ThresholdCurve:
    """The points tried, by rising threshold; the one chosen; the network with its thresholds."""

    points: tuple[ThresholdPoint, ...]
    chosen: ThresholdPoint
    network: Network


def tune_threshold(
    network: Network,
    dataset: Dataset,
    candidates: Iterable[int],
    allowed: float = 1.0,
    *,
    keep_input: bool = False,
    progress: Progress = ignore_progress,
) -> ThresholdCurve:
    """Try one threshold for all paths; choose the one that eliminates most.

    Its error on `dataset` is at most `allowed` over that of threshold 0, which is always tried:
    percentage points, or dB in a regression. keep_input: the first layer's input keeps threshold 0,
    as in the papers. Tune on other data than you report on.
    """
    if not allowed >= 0:
        raise UserError(f"allowed error: {allowed!r} is not possible, it must be at least 0")
    values = sorted({0, *candidates})
    points, networks = [], []
    for n, threshold in enumerate(values):
        trial = uniform_thresholds(network, threshold, keep_input=keep_input)
        totals = run_dataset(trial, dataset)
        points.append(
            ThresholdPoint(
                threshold,
                error(dataset, totals.real(trial)),
                eliminated(trial, totals.events, dataset.frames),
            )
        )
        networks.append(trial)
        progress("delta thresholds", (n + 1) / len(values))
    limit = points[0].error + allowed
    good = [n for n, point in enumerate(points) if point.error <= limit]
    best = max(good, key=lambda n: (points[n].eliminated, -points[n].error))
    return ThresholdCurve(tuple(points), points[best], networks[best])


def uniform_thresholds(network: Network, threshold: int, *, keep_input: bool = False) -> Network:
    """The network with this threshold in all paths, but the first layer's input if it is kept."""
    thresholds = {name: threshold for name, _ in network.paths()}
    if keep_input:
        first = network.layers[0]
        inputs = [n for n, path in enumerate(first.paths) if path.source == "x"]
        thresholds.update({path_name(first, n): 0 for n in inputs})
    return network.with_thresholds(thresholds)
