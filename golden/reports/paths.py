# SPDX-License-Identifier: Apache-2.0
"""How close a quantized network is to its float model, path by path, on calibration data."""

from dataclasses import dataclass

import numpy as np

from ..arithmetic import Reals, code_range, to_fixed
from ..models.float_model import FloatLayer, FloatModel
from ..models.network import Network, Path, path_name
from ..quantization.calibration import LayerStatistics, Statistics
from ..quantization.clipping import to_codes
from ..quantization.rounding import Moments, moments_of
from ..quantization.token_columns import TokenMoments, centred


@dataclass(frozen=True, kw_only=True, slots=True)
class PathReport:
    """One path.

    weight_scale: smallest and largest real value of one weight code over its rows, but zero rows.
    clipped: percent of weights beyond the last code; clip_loss: percent of the weights' energy
        (sum of squares) that is lost by cutting them.
    rounded: percent of weights whose code is not the nearest, as GPTQ leaves them.
    weight_sqnr, activation_sqnr, product_sqnr: signal to quantization noise, dB; infinite without
        any noise. Of the products about their mean, which biases take, on calibration frames.
    activation_scale: real value of one activation code; activation_range: of the first and the
        last.
    saturated: percent of the calibration data's activations that saturate, by half a code or more.
    at_rails: how many of the `samples` activations get the first or the last code.
    weights: how many; they take weights * weight_bits bits.
    bound: proven largest magnitude of an accumulator; accumulator_bits: width that holds it.
    tokens: it reads tokens, whose codes are 0 and 1; its weights are less their rows' means.
    """

    name: str
    weight_bits: int
    activation_bits: int
    threshold: int
    weight_scale: tuple[float, float]
    clipped: float
    clip_loss: float
    rounded: float
    weight_sqnr: float
    product_sqnr: float
    activation_scale: float
    activation_range: tuple[float, float]
    activation_sqnr: float
    saturated: float
    at_rails: int
    samples: int
    weights: int
    bound: int
    tokens: bool = False

    @property
    def accumulator_bits(self) -> int:
        return self.bound.bit_length() + 1

    @property
    def kilobytes(self) -> float:
        """Size of the weights, 1000 bytes each."""
        return self.weights * self.weight_bits / 8000


def describe(network: Network, model: FloatModel, statistics: Statistics) -> tuple[PathReport, ...]:
    """One report per path of `network`, which was quantized from `model`."""
    reports = []
    for n, (layer, source, seen) in enumerate(
        zip(network.layers, model.layers, statistics, strict=True)
    ):
        for k, path in enumerate(layer.paths):
            exponent = network.source_exponent(n, path.source)
            reports.append(_describe(path_name(layer, k), path, source, seen, exponent))
    return tuple(reports)


def sqnr(signal: np.ndarray, recovered: np.ndarray) -> float:
    """Signal to quantization noise ratio, dB."""
    noise = float(np.square(recovered - signal).sum())
    power = float(np.square(signal).sum())
    return 10 * float(np.log10(power / noise)) if noise and power else float("inf")


def _describe(
    name: str, path: Path, source: FloatLayer, seen: LayerStatistics, exponent: int
) -> PathReport:
    weights = float_weights(path, source)
    scale = path.weight_scale[..., None]
    low, high = code_range(path.weight_bits)
    excess = np.maximum(weights - high * scale, 0) + np.minimum(weights - low * scale, 0)
    energy = float(np.square(weights).sum())
    samples, quantizer = seen.samples[path.source], path.quantizer
    codes = quantizer(to_fixed(samples, exponent))
    bottom, top = code_range(quantizer.bits)
    first, last = ((code - quantizer.zero_point) * quantizer.scale for code in (bottom, top))
    outside = (samples > last + quantizer.scale / 2) | (samples < first - quantizer.scale / 2)
    used = path.weight_scale[path.weight_scale > 0]
    return PathReport(
        name=name,
        weight_bits=path.weight_bits,
        activation_bits=quantizer.bits,
        threshold=path.threshold,
        weight_scale=(float(used.min()), float(used.max())) if used.size else (0.0, 0.0),
        clipped=100 * float((np.abs(excess) > scale / 2).mean()),
        clip_loss=100 * float(np.square(excess).sum()) / energy if energy else 0.0,
        rounded=100 * float((path.weights != to_codes(weights, scale, path.weight_bits)).mean()),
        weight_sqnr=sqnr(weights, path.weights * scale),
        product_sqnr=_product_sqnr(path, weights, seen, exponent),
        activation_scale=quantizer.scale,
        activation_range=(first, last),
        activation_sqnr=sqnr(samples, (codes - quantizer.zero_point) * quantizer.scale),
        saturated=100 * float(outside.mean()) if outside.size else 0.0,
        at_rails=int(((codes == bottom) | (codes == top)).sum()),
        samples=samples.size,
        weights=path.weights.size,
        bound=path.bound,
        tokens=path.tokens,
    )


def _product_sqnr(path: Path, weights: Reals, seen: LayerStatistics, exponent: int) -> float:
    if path.source not in seen.frames:
        return float("nan")
    frames = seen.frames[path.source]
    moments: Moments | TokenMoments
    if path.tokens:
        moments = TokenMoments.of(frames, path.columns)
    else:
        moments = moments_of(frames, exponent, path.quantizer)
    values = path.weights * path.weight_scale[..., None]
    noise = float(moments.spread(weights, values).sum())
    power = float(moments.spread(weights, np.zeros_like(weights)).sum())
    return 10 * float(np.log10(power / noise)) if noise and power else float("inf")


def float_weights(path: Path, layer: FloatLayer) -> Reals:
    """The float weights [gates, units, columns] that the path stands for.

    Of tokens they are centred, as `token_columns` has them.
    """
    source = next(
        p for p in layer.paths if p.source == path.source and set(path.gates) <= set(p.gates)
    )
    weights = source.weights[[source.gates.index(g) for g in path.gates]].astype(np.float64)
    return centred(weights)[0] if path.tokens else weights
