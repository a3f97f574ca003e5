# SPDX-License-Identifier: Apache-2.0
"""What the charts of a report show, as numbers: histograms and events over time."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..arithmetic import Reals, code_range
from ..data import Dataset
from ..evaluation.networks import AnyNetwork, run_settings
from ..models.float_model import FloatModel
from ..models.network import Network
from ..quantization.calibration import Statistics
from .paths import CodedPath, coded_paths

BINS = 80
NARROW = 1e-6
"""Of the largest value: a range below it is that of one value, in float32."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts [bins] of values between edges [bins + 1]; the first and the last code stand for low
    and high, so that what is outside is clipped.
    """

    edges: Reals
    counts: npt.NDArray[np.int64]
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PathHistograms:
    """One path: float weights in codes (each over its row's scale), and real activations."""

    weights: Histogram
    activations: Histogram


def histograms(
    network: Network, model: FloatModel, statistics: Statistics, bins: int = BINS
) -> dict[str, PathHistograms]:
    """By path, histograms of `network`, which was quantized from `model`."""
    return histograms_of(coded_paths(network, model, statistics), bins)


def histograms_of(paths: Iterable[CodedPath], bins: int = BINS) -> dict[str, PathHistograms]:
    """By path, its histograms."""
    return {
        path.name: PathHistograms(
            weights=histogram(path.weights_in_codes, code_range(path.weight_bits), bins),
            activations=histogram(path.samples, path.range, bins),
        )
        for path in paths
    }


def histogram(values: npt.ArrayLike, clips: tuple[float, float], bins: int = BINS) -> Histogram:
    """The histogram of all values, over their own range, widened where bins would be too narrow."""
    flat = np.asarray(values, np.float64).reshape(-1)
    ends = _wide(float(flat.min()), float(flat.max())) if flat.size else (0.0, 1.0)
    counts, edges = np.histogram(flat, bins=bins, range=ends)
    return Histogram(edges, counts.astype(np.int64), float(clips[0]), float(clips[1]))


def _wide(low: float, high: float) -> tuple[float, float]:
    """The range itself, or one about it where values are all the same but for rounding."""
    size = max(abs(low), abs(high))
    if high - low > NARROW * size:
        return low, high
    around = max(0.5, NARROW * size)
    return low - around, high + around


def fired(network: AnyNetwork, data: Dataset) -> dict[str, Reals]:
    """By path, the percent of its columns that each frame [steps] of the only sequence fires."""
    ((result,),) = run_settings(network, data, [{}])
    return {name: 100 * result.events[name] / path.most_events for name, path in network.paths()}
