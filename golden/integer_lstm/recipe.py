# SPDX-License-Identifier: Apache-2.0
"""The recipe: from a float network and the ranges of its values to the integer network.

Scales are float32 and are computed in the order in which LiteRT's quantizer does, so that the same
ranges give the same integers. Source: Li and Alvarez 2021; docs/integer-lstm.md.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..arithmetic import Ints, Reals
from ..data import Dataset
from ..errors import UserError
from ..models.float_model import FloatModel
from ..quantization.calibration import Progress, ignore_progress
from .arithmetic import away_from_zero, clamp
from .constants import F32
from .float_engine import GateRange, Range, Ranges, observe
from .float_layers import FloatLinear, FloatLstm
from .float_network import FloatNetwork, floats_of
from .layers import LEAST_CELL, MOST_CELL, Affine, IntegerLinear, IntegerLstm, Layer
from .network import IntegerNetwork

SCHEME = "integer-lstm"
"""The recipe's name among the schemes."""
MOST8, MOST16, MOST32 = 127, 32767, (1 << 31) - 1
NORM_UNIT = F32(2.0**-10)
MOST_LOSS, NOTED_LOSS = 0.1, 0.01
"""Of a gate's normalised values, what may be lost without the network's epsilon, and from where on
that is said. int8 alone costs 1 to 3 % of the outputs."""


def quantize(
    model: FloatModel | FloatNetwork,
    calibration: Dataset,
    progress: Progress = ignore_progress,
    *,
    rows: bool = True,
    corrected: bool = False,
) -> IntegerNetwork:
    """The integer network, with the ranges that the model has on `calibration`, and its label
    names where the model has none.

    rows, corrected: see `quantize_with`. Raises UserError where data and model do not fit, for a
    layer that integer-only LSTMs do not have, and where a norm's epsilon, which there is none of in
    LiteRT, is much of a variance.
    """
    network = floats_of(model)
    ranges = observe(network, calibration, progress)
    notes = _epsilon_notes(network, ranges)
    found = quantize_with(network, ranges, rows=rows, corrected=corrected)
    found = replace(found, notes=(*found.notes, *notes))
    fits = not found.labels and len(calibration.label_names) == found.outputs
    return replace(found, labels=calibration.label_names) if fits else found


def quantize_with(
    network: FloatNetwork,
    ranges: Sequence[Ranges],
    *,
    rows: bool = True,
    corrected: bool = False,
) -> IntegerNetwork:
    """The integer network.

    Parameters
    ----------
    ranges: of each layer.
    rows: linear layers have a scale for each row, as LiteRT makes them now; False: one for all.
    corrected: LSTM layers do without LiteRT's peculiarities, see `IntegerLstm`.
    """
    layers: list[Layer] = []
    notes = list(network.notes)
    x = asymmetric(ranges[0].x)
    for layer, seen in zip(network.layers, ranges, strict=True):
        if isinstance(layer, FloatLstm):
            layers.append(_lstm(layer, seen, x, corrected))
            if seen.c.reach > 1 << (MOST_CELL + 15):
                notes.append(
                    f"{layer.name}: the cell state reaches {seen.c.reach:.3g} and is cut at "
                    f"{1 << (MOST_CELL + 15)}, the most that integer-only LSTMs hold"
                )
        else:
            layers.append(_linear(layer, asymmetric(seen.y), x, rows))
        x = layers[-1].y
    return IntegerNetwork(
        layers=tuple(layers), labels=network.labels, origin=network.origin, notes=tuple(notes)
    )


def _epsilon_notes(network: FloatNetwork, ranges: Sequence[Ranges]) -> list[str]:
    """What is lost without the epsilons, in sentences. Raises UserError where it is too much."""
    notes = []
    for layer, seen in zip(network.layers, ranges, strict=True):
        gates = layer.gates if isinstance(layer, FloatLstm) else ()
        for gate, each in zip(gates, seen.gates, strict=False):
            if not isinstance(each, GateRange) or each.loss < NOTED_LOSS:
                continue
            text = (
                f"{layer.name} gate {gate}: epsilon {each.epsilon:.3g} is not small beside the "
                "variances on this data, and integer-only LSTMs have none: normalised values are "
                f"off by {100 * each.loss:.3g} %"
            )
            if each.loss > MOST_LOSS:
                raise UserError(
                    f"{text}, at most {100 * MOST_LOSS:g} % are taken; choose another scheme, "
                    "whose arithmetic has epsilon, or train with a smaller one"
                )
            notes.append(f"{text}; other schemes have epsilon")
    return notes


def asymmetric(seen: Range) -> Affine:
    """int8 with a zero point, over the range and 0."""
    low, high = min(F32(seen.low), F32(0)), max(F32(seen.high), F32(0))
    scale = (high - low) / F32(255)
    if not scale > 0:
        return Affine(1.0, 0) if not high > low else _too_small("an activation", float(high - low))
    zero = -128 - float(low) / float(scale)
    return Affine(float(scale), int(clamp(math.floor(zero + 0.5), -128, 127)))


def _too_small(what: str, reach: float) -> Affine:
    raise UserError(f"{what}: a range of {reach:.3g} has no float32 scale; scale the data")


def symmetric(what: str, values: Reals, most: int) -> tuple[Ints, float]:
    """Codes -most..most about 0, and their scale."""
    real = values.astype(np.float32)
    reach = F32(np.abs(real).max(initial=0))
    if reach == 0:
        return np.zeros(values.shape, np.int64), 1.0
    scale = reach / F32(most)
    if not np.isfinite(scale) or scale < np.finfo(np.float32).tiny:
        _too_small(what, float(reach))
    return away_from_zero(real * (F32(most) / reach), most), float(scale)


def _bias(values: Reals, *scales: float) -> Ints:
    """In the product of the scales."""
    product = F32(1)
    for scale in scales:
        product = product * F32(scale)
    return away_from_zero(values.astype(np.float32) * (F32(1) / product), MOST32)


def cell_log2(reach: float) -> int:
    """log2 of the smallest power-of-two scale that holds a cell state, within what there is."""
    power = math.ceil(math.log2(reach)) if reach > 0 else LEAST_CELL
    return int(clamp(power - 15, LEAST_CELL, MOST_CELL))


def _lstm(layer: FloatLstm, seen: Ranges, x: Affine, corrected: bool) -> IntegerLstm:
    y, log2 = asymmetric(seen.y), cell_log2(seen.c.reach)
    given: dict[str, Any] = {}
    weights, weight_scale = _stacked(f"{layer.name} weights", layer.weights, MOST8)
    recurrent, recurrent_scale = _stacked(f"{layer.name} recurrent", layer.recurrent, MOST8)
    bias_scale = weight_scale.astype(F32) * F32(x.scale)
    if layer.peephole is not None:
        given["peephole"], given["peephole_scale"] = _stacked(
            f"{layer.name} peephole", layer.peephole, MOST16
        )
    if layer.norm is not None:
        given["norm"], given["norm_scale"] = _stacked(f"{layer.name} norm", layer.norm, MOST16)
        given["gate_scale"] = np.array([_gate_scale(each) for each in seen.gates])
        bias_scale = given["norm_scale"].astype(F32) * NORM_UNIT
    if layer.projection is not None:
        m = asymmetric(seen.m)
        codes, scale = symmetric(f"{layer.name} projection", layer.projection, MOST8)
        given |= {"m": m, "projection": codes, "projection_scale": scale}
        if layer.projection_bias is not None:
            given["projection_bias"] = _bias(layer.projection_bias, scale, m.scale)
    return IntegerLstm(
        name=layer.name,
        gates=layer.gates,
        x=x,
        y=y,
        cell_log2=log2,
        weights=weights,
        weight_scale=weight_scale,
        recurrent=recurrent,
        recurrent_scale=recurrent_scale,
        bias=np.stack([_bias(b, s) for b, s in zip(layer.bias, bias_scale, strict=True)]),
        cell_clip=layer.cell_clip,
        projection_clip=layer.projection_clip,
        initial=_initial(layer, y, log2),
        corrected=corrected,
        **given,
    )


def _gate_scale(seen: Range) -> float:
    return float(F32(seen.reach) / F32(MOST16)) or 1.0


def _stacked(what: str, values: Reals, most: int) -> tuple[Ints, Reals]:
    """Each gate's codes, and each gate's scale."""
    pairs = [symmetric(what, each, most) for each in values]
    return np.stack([codes for codes, _ in pairs]), np.array([scale for _, scale in pairs])


def _initial(layer: FloatLstm, y: Affine, log2: int) -> dict[str, Ints]:
    found = {}
    if "c" in layer.initial:
        found["c"] = away_from_zero(layer.initial["c"] * 2.0**-log2, MOST16)
    if "h" in layer.initial:
        found["h"] = y.codes(layer.initial["h"])
    return found


def _linear(layer: FloatLinear, y: Affine, x: Affine, rows: bool) -> IntegerLinear:
    matrices = layer.weights if rows else layer.weights[None]
    weights, scale = _stacked(f"{layer.name} weights", matrices, MOST8)
    bias_scale = np.broadcast_to(scale.astype(F32) * F32(x.scale), layer.bias.shape)
    return IntegerLinear(
        name=layer.name,
        x=x,
        y=y,
        weights=weights.reshape(layer.weights.shape),
        weight_scale=scale,
        bias=np.array([_bias(b, s) for b, s in zip(layer.bias, bias_scale, strict=True)]),
        activation=layer.activation,
    )
