# SPDX-License-Identifier: Apache-2.0
"""From an integer-only LSTM network to what the compiler takes: `integer_lstm`.

A projection becomes a layer of its own. What a network has that the hardware has not is refused by
name.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ...golden.arithmetic import Ints
from ...golden.errors import UserError
from ...golden.integer_lstm.cells import MOST_SHIFT, linear_stage, lstm_stages
from ...golden.integer_lstm.constants import (
    LstmConstants,
    Scaling,
    linear_constants,
    lstm_constants,
)
from ...golden.integer_lstm.layers import LEAST_CELL, IntegerLinear, IntegerLstm
from ...golden.integer_lstm.network import IntegerNetwork
from .integer_lstm import Cell, Codes, Layer, Lowered, Path
from .integer_norm import norm_of, peepholes_of
from .networks import AnyNetwork, Network

EXACT_FLOAT = 1 << 24
"""Below it all integers are float32 values."""
MOST_FLOAT_SHIFT = 6
MOST_SUM = (1 << 31) - (1 << 16)
"""Of what is rescaled: golden's wraps beyond 32 bits, the hardware's must not come so far."""


def runnable(network: AnyNetwork) -> Network:
    """The network as the compiler takes it; for errors see `lower`."""
    return lower(network) if isinstance(network, IntegerNetwork) else network


def lower(network: IntegerNetwork) -> Lowered:
    """A network's layers as the compiler takes them; a projection is one of its own.

    Raises UserError for a layer that only golden has, and where sums could wrap.
    """
    lstms = [layer for layer in network.layers if isinstance(layer, IntegerLstm)]
    layers: list[Layer] = []
    names: list[tuple[str, ...]] = []
    for layer in network.layers:
        if isinstance(layer, IntegerLinear):
            layers.append(_linear(layer))
            names.append((f"{layer.name}.x",))
            continue
        _check_hidden(layer)
        layers.append(_lstm(layer, lstms))
        names.append((f"{layer.name}.x", f"{layer.name}.h"))
        if layer.projection is not None:
            layers.append(_projection(layer))
            names.append((f"{layer.name}.m",))
    for lowered in layers:
        for path in lowered.paths:
            _check_sums(lowered, path)
    return Lowered(original=network, layers=tuple(layers), names=tuple(names))


def _check_hidden(layer: IntegerLstm) -> None:
    """Raise UserError for a zero point that the hardware has not."""
    if layer.m is not None and not -128 <= lstm_constants(layer).hidden_zero <= 127:
        raise UserError(
            f"{layer.name} m zero point: {layer.m.zero_point} is not possible in the accelerator, "
            f"since LiteRT mirrors m's range and no code is {-layer.m.zero_point}; quantize anew "
            "with --corrected, or with other data"
        )


def _lstm(layer: IntegerLstm, alike: Sequence[IntegerLstm]) -> Layer:
    """alike: all LSTMs of the network; those of one variant share a cell."""
    k = lstm_constants(layer)
    variant = _variant(layer, k)
    exponents = {_c_exponent(o) for o in alike if _variant(o, lstm_constants(o)) == variant}
    gates, parts = variant
    stages = lstm_stages(gates, exponents=sorted(exponents), **dict(parts))
    projects = layer.projection is not None
    constants = {
        **_rescaling(f"{layer.name} o * tanh(c)", "hidden", k.hidden),
        "layer_zero": k.hidden_zero,
        "layer_clip": k.cell_clip,
    }
    peepholes = peepholes_of(layer, k)
    for gate, (_, scaling) in peepholes.items():
        constants |= _rescaling(f"{layer.name} peephole of {gate}", gate, scaling)
    bias = layer.bias if layer.norm is None else _no_bias(layer)  # which is the norm's then
    own_initial = {name: codes for name, codes in layer.initial.items() if name == "c"}
    return Layer(
        name=layer.name,
        cell=Cell(gates=gates, stages=stages),
        paths=(
            _path("x", layer, layer.weights, bias, k.x, layer.x.zero_point),
            _path("h", layer, layer.recurrent, _no_bias(layer), k.h, layer.y.zero_point),
        ),
        constants=constants,
        zero={"c": 0, "h": layer.y.zero_point},
        c_exponent=_c_exponent(layer),
        norm=norm_of(layer, k, constants, peepholes),
        vectors={f"v_{gate}": codes for gate, (codes, _) in peepholes.items()},
        initial=own_initial if projects else _initial_h(layer) | own_initial,
        h_from=_projection_name(layer) if projects else "",
    )


def _no_bias(layer: IntegerLstm) -> Ints:
    return np.zeros_like(layer.bias)


def _initial_h(layer: IntegerLstm) -> dict[str, Ints]:
    """The codes of h before a sequence, where the layer has an initial state."""
    if not layer.initial:
        return {}
    return {"h": layer.initial.get("h", np.full(layer.outputs, layer.y.zero_point))}


def _projection_name(layer: IntegerLstm) -> str:
    return f"{layer.name}.projection"


def _projection(layer: IntegerLstm) -> Layer:
    """What makes h of the codes that its LSTM puts out."""
    k = lstm_constants(layer)
    assert layer.projection is not None and k.projection is not None
    bias = layer.projection_bias
    zero = layer.y.zero_point if layer.corrected else 0  # which the clip is about
    clip = k.projection_clip or 255
    path = _codes_path(
        layer.projection,
        np.zeros(layer.outputs, np.int64) if bias is None else bias,
        k.projection.mult.reshape(1, 1),
        k.projection.shift.reshape(1),
        zero_point=k.hidden_zero,
        threshold=layer.thresholds.get("m", 0),
    )
    low, high = max(zero - clip, -128), min(zero + clip, 127)
    return _linear_layer(
        _projection_name(layer), path, layer.y.zero_point, (low, high), _initial_h(layer)
    )


def _linear(layer: IntegerLinear) -> Layer:
    k = linear_constants(layer)
    mult, shift = _float_factors(layer)
    path = _codes_path(
        layer.weights,
        layer.bias,
        mult[None],
        np.array([shift]),
        zero_point=layer.x.zero_point,
        threshold=layer.thresholds.get("x", 0),
        floats=True,
    )
    return _linear_layer(layer.name, path, layer.y.zero_point, (k.low, k.high), {})


def _float_factors(layer: IntegerLinear) -> tuple[Ints, int]:
    """(mult, shift) that are the float32 factors: mult * 2**(shift - 31), mult [1] or [outputs].

    Raises UserError where the accelerator would not round as float32 does.
    """
    factors = linear_constants(layer).factor.astype(np.float64)
    shift = int(np.frexp(factors.max())[1])
    mults = factors * 2.0 ** (31 - shift)
    if (mults != np.floor(mults)).any():
        raise UserError(
            f"{layer.name}: scales of its rows are too far apart for the accelerator, they must be "
            "within 2**7 of each other; quantize anew"
        )
    if shift > MOST_FLOAT_SHIFT or shift < -MOST_SHIFT:
        raise UserError(
            f"{layer.name}: a rescale factor of {factors.max():g} is not possible in the "
            f"accelerator, it must be within 2**-31..2**{MOST_FLOAT_SHIFT}; quantize anew"
        )
    return mults.astype(np.int64), shift


def _codes_path(
    weights: Ints,
    bias: Ints,
    mult: Ints,
    shift: Ints,
    *,
    zero_point: int,
    threshold: int,
    floats: bool = False,
) -> Path:
    """The path of a layer that is linear; mult, shift: as `rescale` takes them."""
    return Path(
        source="x",
        gates=("y",),
        weights=weights[None],
        quantizer=Codes(zero_point=zero_point),
        threshold=threshold,
        bias=bias[None],
        mult=mult,
        shift=31 - shift,
        saturates=True,
        floats=floats,
    )


def _linear_layer(
    name: str, path: Path, zero: int, ends: tuple[int, int], initial: Mapping[str, Ints]
) -> Layer:
    return Layer(
        name=name,
        cell=Cell(gates=linear_stage().gates, stages=(linear_stage(),)),
        paths=(path,),
        constants={"layer_zero": zero, "layer_low": ends[0], "layer_high": ends[1]},
        zero={"h": zero},
        initial=initial,
    )


def _variant(
    layer: IntegerLstm, k: LstmConstants
) -> tuple[tuple[str, ...], tuple[tuple[str, bool], ...]]:
    """Gates, and what `lstm_stages` is told of the parts."""
    parts = {
        "peephole": layer.peephole is not None,
        "norm": layer.norm is not None,
        "clip": k.cell_clip > 0,
    }
    return layer.gates, tuple(parts.items())


def _c_exponent(layer: IntegerLstm) -> int:
    """e_c: c is Q(e_c).(15-e_c)."""
    return layer.cell_log2 - LEAST_CELL


def _path(
    source: str, layer: IntegerLstm, weights: Ints, bias: Ints, scaling: Scaling, zero_point: int
) -> Path:
    return Path(
        source=source,
        gates=layer.gates,
        weights=weights,
        quantizer=Codes(zero_point=zero_point),
        threshold=layer.thresholds.get(source, 0),
        bias=bias,
        mult=scaling.mult,
        shift=31 - scaling.shift.reshape(-1),
        saturates=source == "x",
    )


def _rescaling(what: str, name: str, scaling: Scaling) -> dict[str, int]:
    """A layer's own multiplier and shift, for its cell."""
    mult, shift = int(scaling.mult.item()), -int(scaling.shift.item())
    if not 0 <= shift <= MOST_SHIFT:
        raise UserError(
            f"{what}: a rescale factor of 1 and more is not possible in the accelerator; quantize "
            "anew with other scales"
        )
    return {f"layer_{name}_mult": mult, f"layer_{name}_shift": shift}


def _check_sums(layer: Layer, path: Path) -> None:
    """Raise UserError where golden's sums might wrap."""
    if path.floats and path.bound >= EXACT_FLOAT:
        raise UserError(
            f"{layer.name}: its sums may reach {path.bound:,}, which float32 rounds from "
            f"{EXACT_FLOAT:,} on and the accelerator does not; use fewer inputs, or leave the "
            "layer to the host"
        )
    shifted = 0 if path.floats else path.bound << max(31 - int(path.shift.min()), 0)
    if shifted > MOST_SUM:
        raise UserError(
            f"{layer.name}.{path.source}: its sums may reach {shifted:,}, where LiteRT's wrap and "
            f"the accelerator's do not, it takes {MOST_SUM:,}; quantize anew with other scales"
        )
