# SPDX-License-Identifier: Apache-2.0
"""Post-training quantization: a float model and calibration data in, a network of integers out.

Weights and activations are symmetric (zero point 0). Weights are clipped per row or per gate
matrix, activations per path with one static scale; biases and states keep 16 bits or more.
"""

from dataclasses import dataclass, replace

import numpy as np

from .arithmetic import WIDTHS, Ints, Reals, code_range, multiplier
from .calibration import LayerStatistics, Progress, Statistics, ignore_progress, observe
from .clipping import (
    CLIPPINGS,
    max_clip,
    mmse_clip,
    mmse_clip_histogram,
    step_size,
    to_codes,
)
from .data import Dataset
from .errors import UserError
from .model import FloatLayer, FloatModel, FloatPath
from .network import BIAS_BITS, MULT_BITS, Layer, Network, Path, Quantizer

GRANULARITIES = ("row", "tensor")
MARGIN = 1.1
"""How much further than on the calibration data a 16-bit input, state or output may go."""
MAX_EXPONENT = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """How to quantize.

    weight_bits, activation_bits: 2, 4, 8 or 16.
    granularity: a weight scale per "row" (a unit's gate) or per "tensor" (a gate's whole matrix).
    clipping: "mmse" (least squared error) or "max" (nothing is cut).
    """

    weight_bits: int = 8
    activation_bits: int = 8
    granularity: str = "row"
    clipping: str = "mmse"

    def __post_init__(self) -> None:
        for what, value, allowed in (
            ("weight bits", self.weight_bits, WIDTHS),
            ("activation bits", self.activation_bits, WIDTHS),
            ("granularity", self.granularity, GRANULARITIES),
            ("clipping", self.clipping, CLIPPINGS),
        ):
            if value not in allowed:
                rule = ", ".join(map(str, allowed))
                raise UserError(f"{what}: {value!r} is not possible, it must be one of {rule}")

    def bits(self, path: str) -> tuple[int, int]:
        """Weight and activation bits of the path of this name; so far all paths have the same."""
        del path
        return self.weight_bits, self.activation_bits


def quantize(
    model: FloatModel,
    calibration: Dataset,
    scheme: Scheme | None = None,
    progress: Progress = ignore_progress,
) -> Network:
    """Quantize `model` by what it does on `calibration`; see `Scheme` for the defaults.

    Raises UserError where a value has no place in the network's formats.
    """
    statistics = observe(model, calibration, progress)
    return with_labels(quantize_with(model, statistics, scheme, progress), calibration)


def with_labels(network: Network, dataset: Dataset) -> Network:
    """The network with the data set's label names, where it has none and their number fits."""
    fits = not network.labels and len(dataset.label_names) == network.outputs
    return replace(network, labels=dataset.label_names) if fits else network


def quantize_with(
    model: FloatModel,
    statistics: Statistics,
    scheme: Scheme | None = None,
    progress: Progress = ignore_progress,
) -> Network:
    """The same with statistics at hand, to try several schemes on one calibration run."""
    scheme = scheme or Scheme()
    x_exponent = exponent_for(statistics[0].x, "input features")
    layers: list[Layer] = []
    for n, (layer, seen) in enumerate(zip(model.layers, statistics, strict=True)):
        exponent = layers[-1].h_exponent if layers else x_exponent
        layers.append(_quantize_layer(layer, seen, exponent, scheme))
        progress("weights", (n + 1) / len(model.layers))
    return Network(
        layers=tuple(layers), x_exponent=x_exponent, labels=model.labels, origin=model.origin
    )


def exponent_for(largest: float, what: str) -> int:
    """The smallest e in 0..12 with which int16 Q(e).(15-e) holds `largest` and the margin."""
    for e in range(MAX_EXPONENT + 1):
        if largest * MARGIN <= 2.0**e * 32767 / 32768:
            return e
    limit = 2.0**MAX_EXPONENT / MARGIN
    raise UserError(f"{what}: reaches {largest:g}, the widest format ends at {limit:.0f}; scale it")


def _quantize_layer(
    layer: FloatLayer, seen: LayerStatistics, x_exponent: int, scheme: Scheme
) -> Layer:
    cell = layer.cell
    for what, values in (("bias", layer.bias), *((p.source, p.weights) for p in layer.paths)):
        if not np.isfinite(values).all():
            raise UserError(f"{layer.name} {what}: a value is NaN or infinite; mend the checkpoint")
    h_exponent = 0 if cell.bounded else exponent_for(seen.h, f"{layer.name} output")
    if cell.gate_exponent is None:  # the bias shares the output's format, with some bits on top
        beyond = float(np.abs(layer.bias).max(initial=0)) / 2.0 ** (BIAS_BITS - 16)
        h_exponent = max(h_exponent, exponent_for(beyond, f"{layer.name} bias"))
        gate_exponent = h_exponent
    else:
        gate_exponent = cell.gate_exponent
    bias = np.floor(layer.bias.astype(np.float64) * 2.0 ** (15 - gate_exponent) + 0.5)
    return Layer(
        name=layer.name,
        kind=layer.kind,
        paths=tuple(
            _quantize_path(
                path,
                f"{layer.name}.{path.source}",
                seen.samples[path.source],
                x_exponent if path.source == "x" else h_exponent,
                gate_exponent,
                scheme,
            )
            for path in layer.paths
        ),
        # A gate is stuck long before +-128, where int20 in Q3.12 ends: saturating changes nothing
        # unless the products cancel such a bias.
        bias=np.clip(bias, *code_range(BIAS_BITS)).astype(np.int64),
        c_exponent=exponent_for(seen.c, f"{layer.name} cell state") if cell.has_c else 0,
        h_exponent=h_exponent,
    )


def _quantize_path(
    path: FloatPath,
    name: str,
    samples: Reals,
    source_exponent: int,
    gate_exponent: int,
    scheme: Scheme,
) -> Path:
    weight_bits, activation_bits = scheme.bits(name)
    quantizer = make_quantizer(samples, source_exponent, activation_bits, scheme.clipping)
    step = step_size(_weight_clips(path.weights, weight_bits, scheme), weight_bits)
    real = step * quantizer.scale * 2.0 ** (15 - gate_exponent)
    try:
        mult, shift = _rescale(real)
    except ValueError as error:
        raise UserError(f"{name}: {error}; the weights are too large for this format") from error
    return Path(
        source=path.source,
        gates=path.gates,
        weights=to_codes(path.weights, step[..., None], weight_bits),
        weight_bits=weight_bits,
        quantizer=quantizer,
        mult=mult,
        shift=shift,
        weight_scale=step,
    )


def make_quantizer(samples: Reals, exponent: int, bits: int, clipping: str) -> Quantizer:
    """int16 Q(exponent).(15-exponent) -> codes of `bits` bits, with the scale that fits `samples`.

    16-bit codes are the words themselves. Otherwise a code is never finer than a word, and a
    source that was always zero gets the whole range of its format.
    """
    word = 2.0 ** (exponent - 15)
    if bits == 16:
        clip = word * code_range(bits)[1]
    elif clipping == "mmse":
        clip = float(mmse_clip(samples, bits))
    else:
        clip = float(max_clip(samples))
    if clip == 0:
        clip = 2.0**exponent
    mult, shift = multiplier(word / max(float(step_size(clip, bits)), word))
    # The scale is what the integers really do, so that rounding `mult` costs nothing later.
    return Quantizer(bits=bits, mult=mult, shift=shift, scale=word * 2.0**shift / mult)


def _weight_clips(weights: np.ndarray, bits: int, scheme: Scheme) -> Reals:
    """Clips [gates, units] of weights [gates, units, columns]."""
    if scheme.granularity == "row":
        return mmse_clip(weights, bits) if scheme.clipping == "mmse" else max_clip(weights)
    clips = [
        mmse_clip_histogram(gate, bits) if scheme.clipping == "mmse" else max_clip(gate.reshape(-1))
        for gate in weights
    ]
    return np.repeat(np.array(clips, np.float64)[:, None], weights.shape[1], axis=1)


def _rescale(real: Reals) -> tuple[Ints, Ints]:
    """mult [gates, units] and shift [gates] for factors [gates, units].

    The largest row of a gate sets the shift, so smaller rows have fewer bits of multiplier: the
    error stays below half a unit in the largest row's, in absolute terms.
    """
    shift = np.array([multiplier(float(row.max(initial=0)), bits=MULT_BITS)[1] for row in real])
    mult = np.floor(real * 2.0 ** shift[:, None] + 0.5)
    return np.minimum(mult, code_range(MULT_BITS)[1]).astype(np.int64), shift.astype(np.int64)
