# SPDX-License-Identifier: Apache-2.0
"""The error over widths of weights and of activations, each on its own: 2 to 16 bits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..data import Dataset
from ..errors import UserError
from ..models.float_model import FloatModel
from ..quantization.calibration import Progress, Statistics, ignore_progress
from ..quantization.quantize import quantize_with
from ..quantization.scheme import Scheme
from .evaluate import run_dataset, run_float_dataset, size_bits
from .metrics import Metric, metric_of


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One network: its bits, its error by the sweep's metric, its size (`metrics.size_bits`)."""

    weight_bits: int
    activation_bits: int
    error: float
    size_bits: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """metric: title and unit of the errors; float_error: of the float model."""

    metric: tuple[str, str]
    float_error: float
    points: tuple[SweepPoint, ...]


def sweep(
    model: FloatModel,
    statistics: Statistics,
    dataset: Dataset,
    weight_bits: Sequence[int],
    activation_bits: Sequence[int],
    scheme: Scheme | None = None,
    metric: Metric | None = None,
    progress: Progress = ignore_progress,
) -> Sweep:
    """Quantize with each pair of widths, otherwise by `scheme`; the errors on `dataset`.

    statistics: of calibration data, `calibration.observe`. All paths get these widths but those
    that the scheme skips.
    """
    scheme, metric = scheme or Scheme(), metric or metric_of(dataset)
    if scheme.roles or scheme.overrides:
        raise UserError("sweep: the scheme names bits of single paths; a sweep sets them all")
    float_error = metric(dataset, run_float_dataset(model, dataset, progress))
    points: list[SweepPoint] = []
    count = len(weight_bits) * len(activation_bits)
    for weights in weight_bits:
        for activations in activation_bits:
            own = replace(scheme, weight_bits=weights, activation_bits=activations)
            network = quantize_with(model, statistics, own)
            error = metric(dataset, run_dataset(network, dataset).real(network))
            points.append(SweepPoint(weights, activations, error, size_bits(network)))
            progress("networks", len(points) / count)
    return Sweep((metric.title, metric.unit), float_error, tuple(points))
