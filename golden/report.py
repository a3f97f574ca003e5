# SPDX-License-Identifier: Apache-2.0
"""How close a quantized network is to its float model, path by path, on calibration data."""

from dataclasses import dataclass

import numpy as np

from .arithmetic import Reals, code_range, to_fixed
from .calibration import LayerStatistics, Statistics
from .model import FloatLayer, FloatModel
from .network import Network, Path, path_name


@dataclass(frozen=True, kw_only=True, slots=True)
class PathReport:
    """One path.

    weight_scale: smallest and largest real value of one weight code over its rows, but zero rows.
    clipped: percent of weights beyond the last code; clip_loss: percent of the weights' energy
        (sum of squares) that is lost by cutting them.
    weight_sqnr, activation_sqnr: signal to quantization noise, dB; infinite without any noise.
    activation_scale: real value of one activation code.
    saturated: percent of the calibration data's activations that saturate.
    bound: proven largest magnitude of an accumulator; accumulator_bits: width that holds it.
    """

    name: str
    weight_bits: int
    activation_bits: int
    threshold: int
    weight_scale: tuple[float, float]
    clipped: float
    clip_loss: float
    weight_sqnr: float
    activation_scale: float
    activation_sqnr: float
    saturated: float
    bound: int

    @property
    def accumulator_bits(self) -> int:
        return self.bound.bit_length() + 1


def describe(network: Network, model: FloatModel, statistics: Statistics) -> tuple[PathReport, ...]:
    """One report per path of `network`, which was quantized from `model`."""
    reports = []
    exponent = network.x_exponent
    for layer, source, seen in zip(network.layers, model.layers, statistics, strict=True):
        for n, path in enumerate(layer.paths):
            at = exponent if path.source == "x" else layer.h_exponent
            reports.append(_describe(path_name(layer, n), path, source, seen, at))
        exponent = layer.h_exponent
    return tuple(reports)


def sqnr(signal: np.ndarray, recovered: np.ndarray) -> float:
    """Signal to quantization noise ratio, dB."""
    noise = float(np.square(recovered - signal).sum())
    power = float(np.square(signal).sum())
    return 10 * float(np.log10(power / noise)) if noise and power else float("inf")


def _describe(
    name: str, path: Path, source: FloatLayer, seen: LayerStatistics, exponent: int
) -> PathReport:
    weights = _float_weights(path, source)
    scale = path.weight_scale[..., None]
    low, high = code_range(path.weight_bits)
    excess = np.maximum(weights - high * scale, 0) + np.minimum(weights - low * scale, 0)
    energy = float(np.square(weights).sum())
    samples, quantizer = seen.samples[path.source], path.quantizer
    codes = quantizer(to_fixed(samples, exponent))
    bottom, top = code_range(quantizer.bits)
    outside = (samples > (top + 0.5) * quantizer.scale) | (
        samples < (bottom - 0.5) * quantizer.scale
    )
    used = path.weight_scale[path.weight_scale > 0]
    return PathReport(
        name=name,
        weight_bits=path.weight_bits,
        activation_bits=quantizer.bits,
        threshold=path.threshold,
        weight_scale=(float(used.min()), float(used.max())) if used.size else (0.0, 0.0),
        clipped=100 * float((np.abs(excess) > scale / 2).mean()),
        clip_loss=100 * float(np.square(excess).sum()) / energy if energy else 0.0,
        weight_sqnr=sqnr(weights, path.weights * scale),
        activation_scale=quantizer.scale,
        activation_sqnr=sqnr(samples, (codes - quantizer.zero_point) * quantizer.scale),
        saturated=100 * float(outside.mean()) if outside.size else 0.0,
        bound=path.bound,
    )


def _float_weights(path: Path, layer: FloatLayer) -> Reals:
    """The float weights [gates, units, columns] that the path stands for."""
    source = next(
        p for p in layer.paths if p.source == path.source and set(path.gates) <= set(p.gates)
    )
    return source.weights[[source.gates.index(g) for g in path.gates]].astype(np.float64)
