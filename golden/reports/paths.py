# SPDX-License-Identifier: Apache-2.0
"""How close a quantized network is to its float model, path by path, on calibration data."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..arithmetic import Ints, Reals, code_range, to_fixed
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
    return tuple(path.report() for path in coded_paths(network, model, statistics))


def coded_paths(
    network: Network, model: FloatModel, statistics: Statistics
) -> Iterator["CodedPath"]:
    """The paths of `network`, which was quantized from `model`; statistics: of the data."""
    for n, (layer, source, seen) in enumerate(
        zip(network.layers, model.layers, statistics, strict=True)
    ):
        for k, path in enumerate(layer.paths):
            exponent = network.source_exponent(n, path.source)
            yield _coded(path_name(layer, k), path, source, seen, exponent)


def sqnr(signal: np.ndarray, recovered: np.ndarray) -> float:
    """Signal to quantization noise ratio, dB."""
    return _decibels(float(np.square(signal).sum()), float(np.square(recovered - signal).sum()))


def _decibels(power: float, noise: float) -> float:
    return 10 * float(np.log10(power / noise)) if noise and power else float("inf")


def _coded(
    name: str, path: Path, source: FloatLayer, seen: LayerStatistics, exponent: int
) -> "CodedPath":
    quantizer, samples = path.quantizer, seen.samples[path.source]

    def moments() -> Moments | TokenMoments:
        frames = seen.frames[path.source]
        if path.tokens:
            return TokenMoments.of(frames, path.columns)
        return moments_of(frames, exponent, quantizer)

    return CodedPath(
        name=name,
        threshold=path.threshold,
        weights=float_weights(path, source),
        weight_codes=path.weights,
        weight_scale=path.weight_scale[..., None],
        weight_bits=path.weight_bits,
        samples=samples,
        codes=quantizer(to_fixed(samples, exponent)),
        scale=quantizer.scale,
        zero_point=quantizer.zero_point,
        activation_bits=quantizer.bits,
        moments=moments if path.source in seen.frames else None,
        bound=path.bound,
        tokens=path.tokens,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class CodedPath:
    """A path's real numbers and the codes that stand for them, of either arithmetic.

    Members
    -------
    weights, weight_codes: [gates, units, columns]. weight_scale: the real value of a code, which
        broadcasts to them.
    samples, codes: activations, of one shape; a code stands for (code - zero_point) * scale.
    moments: of frames of activations and of what their codes stand for; None without frames.
    name, threshold, weight_bits, activation_bits, bound, tokens: as in `PathReport`.
    """

    name: str
    threshold: int
    weights: Reals
    weight_codes: Ints
    weight_scale: Reals
    weight_bits: int
    samples: np.ndarray
    codes: Ints
    scale: float
    zero_point: int
    activation_bits: int
    moments: Callable[[], Moments | TokenMoments] | None
    bound: int
    tokens: bool = False

    @property
    def range(self) -> tuple[float, float]:
        """Real values of the first and the last activation code."""
        bottom, top = code_range(self.activation_bits)
        return (bottom - self.zero_point) * self.scale, (top - self.zero_point) * self.scale

    @property
    def weights_in_codes(self) -> Reals:
        """Each float weight over its row's scale, but for rows of zeros."""
        scale = np.broadcast_to(self.weight_scale, self.weights.shape)
        used = scale > 0
        values: Reals = self.weights[used] / scale[used]
        return values

    def report(self) -> PathReport:
        """What it comes to."""
        weights, scale, samples = self.weights, self.weight_scale, self.samples
        low, high = code_range(self.weight_bits)
        excess = np.maximum(weights - high * scale, 0) + np.minimum(weights - low * scale, 0)
        energy = float(np.square(weights).sum())
        bottom, top = code_range(self.activation_bits)
        first, last = self.range
        outside = (samples > last + self.scale / 2) | (samples < first - self.scale / 2)
        used = scale[scale > 0]
        nearest = to_codes(weights, scale, self.weight_bits)
        return PathReport(
            name=self.name,
            weight_bits=self.weight_bits,
            activation_bits=self.activation_bits,
            threshold=self.threshold,
            weight_scale=(float(used.min()), float(used.max())) if used.size else (0.0, 0.0),
            clipped=100 * float((np.abs(excess) > scale / 2).mean()),
            clip_loss=100 * float(np.square(excess).sum()) / energy if energy else 0.0,
            rounded=100 * float((self.weight_codes != nearest).mean()),
            weight_sqnr=sqnr(weights, self.weight_codes * scale),
            product_sqnr=self._product_sqnr(),
            activation_scale=self.scale,
            activation_range=(first, last),
            activation_sqnr=sqnr(samples, (self.codes - self.zero_point) * self.scale),
            saturated=100 * float(outside.mean()) if outside.size else 0.0,
            at_rails=int(((self.codes == bottom) | (self.codes == top)).sum()),
            samples=samples.size,
            weights=self.weight_codes.size,
            bound=self.bound,
            tokens=self.tokens,
        )

    def _product_sqnr(self) -> float:
        if self.moments is None:
            return float("nan")
        moments = self.moments()
        noise = moments.spread(self.weights, self.weight_codes * self.weight_scale)
        power = moments.spread(self.weights, np.zeros_like(self.weights))
        return _decibels(float(power.sum()), float(noise.sum()))


def float_weights(path: Path, layer: FloatLayer) -> Reals:
    """The float weights [gates, units, columns] that the path stands for.

    Of tokens they are centred, as `token_columns` has them.
    """
    source = next(
        p for p in layer.paths if p.source == path.source and set(path.gates) <= set(p.gates)
    )
    weights = source.weights[[source.gates.index(g) for g in path.gates]].astype(np.float64)
    return centred(weights)[0] if path.tokens else weights
