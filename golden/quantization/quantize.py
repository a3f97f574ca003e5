# SPDX-License-Identifier: Apache-2.0
"""Post-training quantization: a float model and calibration data in, a network of integers out.

Weights are symmetric, with a scale per row or per gate matrix; activations have one static scale
per path, and a zero point where the scheme wants one; biases and states keep 16 bits or more.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..arithmetic import Ints, Reals, code_range, multiplier, to_fixed
from ..data import Dataset
from ..errors import UserError
from ..models.float_model import FloatLayer, FloatModel, FloatPath
from ..models.layers import ONE_HOT, exponents_of
from ..models.network import BIAS_BITS, MULT_BITS, Layer, Network, Path, Quantizer
from .calibration import LayerStatistics, Progress, Statistics, ignore_progress, observe
from .cell_formats import quantize_vectors
from .clipping import find_clip
from .exponents import exponent_for
from .formats import Formats, find_formats
from .input_ranges import sampled
from .norm_ranges import balance
from .quantizers import make_quantizer
from .rounding import Rounded, moments_of, round_corrected, round_gptq, round_nearest
from .scheme import Bits, Scheme
from .token_columns import TokenMoments, centred, round_tokens

__all__ = ["Scheme", "exponent_for", "make_quantizer", "quantize", "quantize_with", "with_labels"]

Kept = dict[tuple[str, str, tuple[str, ...], Bits], tuple[Path, Reals]]
"""By layer, source, gates and bits: a quantized path, and what its gates' biases gain."""


def quantize(
    model: FloatModel,
    calibration: Dataset,
    scheme: Scheme | None = None,
    progress: Progress = ignore_progress,
) -> Network:
    """Quantize `model` by what it does on `calibration`; see `Scheme` for the defaults.

    Raises UserError where a value has no place in the network's formats.
    """
    scheme = scheme or Scheme()
    model = balance(model, calibration, scheme.input_scale)
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
    kept: Kept | None = None,
) -> Network:
    """The same with statistics at hand, to try several schemes on one calibration run.

    model: what `statistics` are of; with `norm_ranges.balance` called before them, where
    its features are to have scales.
    kept: paths by their bits, from other calls on this model that differ in bits only; it grows.
    """
    scheme = (scheme or Scheme()).for_model(model)
    skipped = scheme.skips(model)
    x_exponent, formats = find_formats(model, statistics)
    layers: list[Layer] = []
    own: Kept = {} if kept is None else kept
    for n, (layer, seen) in enumerate(zip(model.layers, statistics, strict=True)):
        skip = layer.name in skipped
        layers.append(_quantize_layer(layer, seen, formats[n], scheme, skip, own))
        progress("weights", (n + 1) / len(model.layers))
    return Network(
        layers=tuple(layers),
        x_exponent=x_exponent,
        labels=model.labels,
        puts_out=model.puts_out,
        origin=model.origin,
        delta_mode=scheme.delta_mode,
        input_scale=None if model.input_scale is None else model.input_scale.astype(np.float64),
    )


def _quantize_layer(
    layer: FloatLayer,
    seen: LayerStatistics,
    formats: Formats,
    scheme: Scheme,
    skipped: bool,
    kept: Kept,
) -> Layer:
    _check_finite(layer)
    cell = layer.cell
    exponents = formats.gates
    gate_exponents = np.array(exponents_of(cell, exponents["c"], exponents["h"]))
    bias = layer.bias.astype(np.float64)
    paths = []
    for path in layer.paths:
        for gates, bits in scheme.parts(layer, path, skipped=skipped):
            rows = [cell.gates.index(gate) for gate in gates]
            key = (layer.name, path.source, gates, bits)
            if key not in kept:
                kept[key] = _quantize_path(
                    _part(path, gates),
                    f"{layer.name}.{layer.at(path)}",
                    seen,
                    formats.sources[path.source],
                    gate_exponents[rows],
                    replace(scheme, weight_bits=bits[0], activation_bits=bits[1]),
                )
            quantized, offset = kept[key]
            paths.append(quantized)
            bias[rows] += offset
    bias *= 2.0 ** (15 - gate_exponents[:, None])
    return Layer(
        name=layer.name,
        kind=layer.kind,
        paths=tuple(paths),
        # A gate is stuck long before +-128, where int20 in Q3.12 ends: saturating changes nothing
        # unless the products cancel such a bias.
        bias=np.clip(np.floor(bias + 0.5), *code_range(BIAS_BITS)).astype(np.int64),
        c_exponent=exponents["c"],
        h_exponent=exponents["h"],
        **quantize_vectors(layer, exponents["c"]),
        **_quantize_skip(layer, formats.sources["x"] - exponents["h"]),
        reads=layer.reads,
        backward=layer.backward,
        h_from=layer.h_from,
        initial={name: to_fixed(state, exponents[name]) for name, state in layer.initial.items()},
    )


def _check_finite(layer: FloatLayer) -> None:
    arrays = [("bias", layer.bias), *layer.vectors.items()]
    arrays += [(f"initial {name}", state) for name, state in layer.initial.items()]
    for path in layer.paths:
        arrays.append((layer.at(path), path.weights))
        if path.scale is not None:
            arrays.append((f"{layer.at(path)} scale", path.scale))
    for what, values in arrays:
        if not np.isfinite(values).all():
            raise UserError(f"{layer.name} {what}: a value is NaN or infinite; mend the checkpoint")
    largest = float(np.abs(layer.initial.get("h", 0)).max())
    if layer.cell.bounded and largest > 1:
        raise UserError(
            f"{layer.name} initial h: reaches {largest:g}, {layer.kind} keeps h within +-1; start "
            "from another state"
        )


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
    seen: LayerStatistics,
    source_exponent: int,
    gate_exponents: Ints,
    scheme: Scheme,
) -> tuple[Path, Reals]:
    """One path with the scheme's bits, and what its gates' biases gain, [gates, units], real.

    gate_exponents: [gates], of its own gates.
    """
    if path.tokens:
        quantizer, rounded = ONE_HOT, _round_tokens(path, seen, scheme)
    else:
        values = _read_by(path, seen)
        quantizer = make_quantizer(values, source_exponent, scheme.activation_bits, scheme)
        rounded = _round(path, seen, source_exponent, quantizer, scheme)
    real = rounded.step * quantizer.scale * 2.0 ** (15 - gate_exponents[:, None])
    scale = 1.0 if path.scale is None else path.scale.astype(np.float64)
    try:
        mult, shift = _rescale(real * scale)
    except ValueError as error:
        raise UserError(f"{name}: {error}; the weights are too large for this format") from error
    quantized = Path(
        source=path.source,
        gates=path.gates,
        weights=rounded.codes,
        weight_bits=scheme.weight_bits,
        quantizer=quantizer,
        mult=mult,
        shift=shift,
        weight_scale=rounded.step,
        tokens=path.tokens,
    )
    return quantized, rounded.offset * scale


def _read_by(path: FloatPath, seen: LayerStatistics) -> Sequence[Reals]:
    """Values of a path's source, without columns whose weights are all 0.

    A layer that reads two others may have paths of one of them alone, whose ranges are unlike.
    """
    used = (path.weights != 0).any(axis=(0, 1))
    if path.source in seen.frames and used.any() and not used.all():
        return (sampled(seen.frames[path.source][:, used].astype(np.float64)),)
    return seen.sequences.get(path.source) or (seen.samples[path.source],)


def _round(
    path: FloatPath,
    seen: LayerStatistics,
    source_exponent: int,
    quantizer: Quantizer,
    scheme: Scheme,
) -> Rounded:
    """The path's weights as codes."""
    bits, clips = scheme.weight_bits, _weight_clips(path.weights, scheme.weight_bits, scheme)
    rounding = scheme.rounding_of(bits)
    if rounding == "nearest" or path.source not in seen.frames:
        return round_nearest(path.weights, clips, bits)
    moments = moments_of(seen.frames[path.source], source_exponent, quantizer)
    if rounding == "corrected":
        return round_corrected(path.weights, clips, bits, moments)
    per_row = scheme.granularity == "row"
    return round_gptq(path.weights, clips, bits, moments, per_row=per_row)


def _round_tokens(path: FloatPath, seen: LayerStatistics, scheme: Scheme) -> Rounded:
    """The columns of a path that reads tokens as codes; what their rows share goes to the bias."""
    bits, rounding = scheme.weight_bits, scheme.rounding_of(scheme.weight_bits)
    weights, centres = centred(path.weights)
    moments = None
    if rounding != "nearest" and path.source in seen.frames:
        moments = TokenMoments.of(seen.frames[path.source], weights.shape[-1])
    rounded = round_tokens(
        weights,
        _weight_clips(weights, bits, scheme),
        bits,
        moments,
        refine=rounding == "gptq",
        per_row=scheme.granularity == "row",
    )
    return replace(rounded, offset=rounded.offset + centres)


def _weight_clips(weights: np.ndarray, bits: int, scheme: Scheme) -> Reals:
    """Clips [gates, units] of weights [gates, units, columns]."""
    if scheme.granularity == "row":
        return find_clip(weights, bits, scheme.clipping)
    clips = find_clip(weights.reshape(len(weights), -1), bits, scheme.clipping)
    return np.repeat(clips[:, None], weights.shape[1], axis=1)


def _rescale(real: Reals) -> tuple[Ints, Ints]:
    """mult [gates, units] and shift [gates] for factors [gates, units].

    The largest row of a gate sets the shift, so smaller rows have fewer bits of multiplier: the
    error stays below half a unit in the largest row's, in absolute terms.
    """
    largest = np.abs(real).max(axis=1, initial=0)
    shift = np.array([multiplier(float(row), bits=MULT_BITS)[1] for row in largest])
    mult = np.floor(real * 2.0 ** shift[:, None] + 0.5)
    return np.clip(mult, *code_range(MULT_BITS)).astype(np.int64), shift.astype(np.int64)
