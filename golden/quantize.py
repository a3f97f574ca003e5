# SPDX-License-Identifier: Apache-2.0
"""Post-training quantization: a float model and calibration data in, a network of integers out.

Weights and activations are symmetric (zero point 0). Weights are clipped per row or per gate
matrix, activations per path with one static scale; biases and states keep 16 bits or more.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from .arithmetic import Ints, Reals, code_range, multiplier, to_fixed
from .calibration import LayerStatistics, Progress, Statistics, ignore_progress, observe
from .cells import Q3_12
from .clipping import max_clip, mmse_clip, mmse_clip_histogram, step_size, to_codes
from .data import Dataset
from .errors import UserError
from .model import FloatLayer, FloatModel, FloatPath
from .network import BIAS_BITS, MAX_EXPONENT, MULT_BITS, Layer, Network, Path, Quantizer
from .scheme import Scheme

__all__ = ["Scheme", "exponent_for", "make_quantizer", "quantize", "quantize_with", "with_labels"]

MARGIN = 1.1
"""How much further than on the calibration data a 16-bit input, state or output may go."""
VECTOR_SHIFT = 18
"""A vector's 15 - e_v fraction bits and those of c, over the 12 of Q3.12: 18 - e_v - e_c."""


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
    scheme.check_paths(model)
    skipped = scheme.skips(model)
    x_exponent = exponent_for(statistics[0].x, "input features")
    layers: list[Layer] = []
    for n, (layer, seen) in enumerate(zip(model.layers, statistics, strict=True)):
        exponent = layers[-1].h_exponent if layers else x_exponent
        layers.append(_quantize_layer(layer, seen, exponent, scheme, layer.name in skipped))
        progress("weights", (n + 1) / len(model.layers))
    return Network(
        layers=tuple(layers),
        x_exponent=x_exponent,
        labels=model.labels,
        origin=model.origin,
        delta_mode=scheme.delta_mode,
    )


def exponent_for(largest: float, what: str) -> int:
    """The smallest e in 0..12 with which int16 Q(e).(15-e) holds `largest` and the margin."""
    for e in range(MAX_EXPONENT + 1):
        if largest * MARGIN <= 2.0**e * 32767 / 32768:
            return e
    limit = 2.0**MAX_EXPONENT / MARGIN
    raise UserError(f"{what}: reaches {largest:g}, the widest format ends at {limit:.0f}; scale it")


def _quantize_layer(
    layer: FloatLayer, seen: LayerStatistics, x_exponent: int, scheme: Scheme, skipped: bool
) -> Layer:
    _check_finite(layer)
    cell = layer.cell
    exponents = _exponents(layer, seen)
    gate_exponents = np.array([exponents[format] for format in cell.formats.values()])
    bias = layer.bias.astype(np.float64) * 2.0 ** (15 - gate_exponents[:, None])
    return Layer(
        name=layer.name,
        kind=layer.kind,
        paths=tuple(
            _quantize_path(
                _part(path, gates),
                f"{layer.name}.{layer.at(path)}",
                seen.samples[path.source],
                x_exponent if path.source == "x" else exponents["h"],
                gate_exponents[[cell.gates.index(gate) for gate in gates]],
                replace(scheme, weight_bits=bits[0], activation_bits=bits[1]),
            )
            for path in layer.paths
            for gates, bits in scheme.parts(layer, path, skipped=skipped)
        ),
        # A gate is stuck long before +-128, where int20 in Q3.12 ends: saturating changes nothing
        # unless the products cancel such a bias.
        bias=np.clip(np.floor(bias + 0.5), *code_range(BIAS_BITS)).astype(np.int64),
        c_exponent=exponents["c"],
        h_exponent=exponents["h"],
        **_quantize_vectors(layer, exponents["c"]),
        **_quantize_skip(layer, x_exponent - exponents["h"]),
    )


def _check_finite(layer: FloatLayer) -> None:
    arrays = [("bias", layer.bias), *layer.vectors.items()]
    for path in layer.paths:
        arrays.append((layer.at(path), path.weights))
        if path.scale is not None:
            arrays.append((f"{layer.at(path)} scale", path.scale))
    for what, values in arrays:
        if not np.isfinite(values).all():
            raise UserError(f"{layer.name} {what}: a value is NaN or infinite; mend the checkpoint")


def _exponents(layer: FloatLayer, seen: LayerStatistics) -> dict[str, int]:
    """The exponents of the formats "gate", "c" and "h"."""
    cell = layer.cell
    c = exponent_for(seen.c, f"{layer.name} cell state") if cell.has_c else 0
    largest = max(seen.h, seen.x * abs(layer.skip_scale))
    h = 0 if cell.bounded else exponent_for(largest, f"{layer.name} output")
    exponents = {"gate": Q3_12, "c": c, "h": h}
    for own, (gate, format) in zip(layer.bias, cell.formats.items(), strict=True):
        if format != "gate":  # its bias shares the state's format, with some bits on top
            beyond = float(np.abs(own).max(initial=0)) / 2.0 ** (BIAS_BITS - 16)
            needed = exponent_for(beyond, f"{layer.name} bias of {gate}")
            exponents[format] = max(exponents[format], needed)
    if cell.c_like_h:
        exponents["c"] = exponents["h"] = max(exponents["c"], exponents["h"])
    return exponents


def _quantize_vectors(layer: FloatLayer, c_exponent: int) -> dict[str, Any]:
    """The layer's vectors, all with the smallest exponent that holds them."""
    if not layer.vectors:
        return {}
    largest = max(float(np.abs(v).max(initial=0)) for v in layer.vectors.values())
    e = exponent_for(largest / MARGIN, f"{layer.name} {', '.join(layer.vectors)}")
    shift = VECTOR_SHIFT - e - c_exponent
    if shift < 0:
        raise UserError(
            f"{layer.name} {', '.join(layer.vectors)}: they reach {largest:g} and the cell state "
            f"{2.0**c_exponent:g}, their product must end below {2.0**VECTOR_SHIFT:g}; scale them"
        )
    vectors = {name: to_fixed(vector, e) for name, vector in layer.vectors.items()}
    return {"vectors": vectors, "vector_shift": shift}


def _quantize_skip(layer: FloatLayer, exponent: int) -> dict[str, Any]:
    """The skip's multiplier; exponent: of the input, over that of the output."""
    try:
        mult, shift = multiplier(layer.skip_scale * 2.0**exponent, bits=MULT_BITS)
    except ValueError as error:
        raise UserError(f"{layer.name} skip scale: {error}; scale the model down") from error
    return {"skip_mult": mult, "skip_shift": shift}


def _part(path: FloatPath, gates: tuple[str, ...]) -> FloatPath:
    """The part of a path that feeds these gates."""
    rows = [path.gates.index(gate) for gate in gates]
    scale = None if path.scale is None else path.scale[rows]
    return replace(path, gates=gates, weights=path.weights[rows], scale=scale)


def _quantize_path(
    path: FloatPath,
    name: str,
    samples: Reals,
    source_exponent: int,
    gate_exponents: Ints,
    scheme: Scheme,
) -> Path:
    """One path with the scheme's bits; gate_exponents: [gates], of its own gates."""
    weight_bits, activation_bits = scheme.weight_bits, scheme.activation_bits
    quantizer = make_quantizer(samples, source_exponent, activation_bits, scheme.clipping)
    step = step_size(_weight_clips(path.weights, weight_bits, scheme), weight_bits)
    real = step * quantizer.scale * 2.0 ** (15 - gate_exponents[:, None])
    try:
        mult, shift = _rescale(real if path.scale is None else real * path.scale)
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
    largest = np.abs(real).max(axis=1, initial=0)
    shift = np.array([multiplier(float(row), bits=MULT_BITS)[1] for row in largest])
    mult = np.floor(real * 2.0 ** shift[:, None] + 0.5)
    return np.clip(mult, *code_range(MULT_BITS)).astype(np.int64), shift.astype(np.int64)
