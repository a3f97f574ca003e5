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
    """One network.

    Members
    -------
    weight_bits, activation_bits: of all paths but those that are skipped.
    error: by the sweep's metric, in its unit.
    size_bits: bits of all parameters, see `evaluate.size_bits`.
    """

    weight_bits: int
    activation_bits: int
    error: float
    size_bits: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """Errors over widths.

    Members
    -------
    metric: title and unit of the errors.
    float_error: of the float model.
    points: a network each, weight bits by weight bits.
    """

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

    Parameters
    ----------
    model: what is quantized.
    statistics: of calibration data, from `calibration.observe`.
    dataset: labelled sequences, which the errors are over.
    weight_bits, activation_bits: widths to try, 2 to 16; all paths get them but those that the
        scheme skips.
    scheme: everything else; None: the defaults. It must not name bits of single paths.
    metric: what the error is; None: that of the data's task.
    progress: called with what is being done and the part that is done, 0..1.
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
