# SPDX-License-Identifier: Apache-2.0
"""The constants of a layer's integer step, which follow from its scales as LiteRT derives them.

Where that is float32 arithmetic it is float32 here, in the same order: the last bit of a multiplier
can depend on it.
"""

from dataclasses import dataclass

import numpy as np

from ..arithmetic import Ints
from ..errors import UserError
from .arithmetic import quantized_multiplier
from .layers import IntegerLinear, IntegerLstm

GATE_LOG2 = -12
"""Gates are Q3.12 before sigmoid and tanh."""
NORM_GUARD = 10000
MOST_FACTOR = 2.0**30
"""Of a rescaling."""
F32 = np.float32


@dataclass(frozen=True, slots=True)
class Scaling:
    """Multipliers and shifts of `arithmetic.rescale`, to broadcast over what is rescaled."""

    mult: Ints
    shift: Ints

    @classmethod
    def of(cls, what: str, factors: "list[float] | np.ndarray", axes: int) -> "Scaling":
        """Of real factors [n], with so many axes of length 1 behind.

        Raises UserError where one is too large for an int32.
        """
        check_factors(what, factors)
        pairs = [quantized_multiplier(float(factor)) for factor in factors]
        shape = (len(pairs), *([1] * axes))
        mult, shift = np.array(pairs, np.int64).reshape(-1, 2).T
        return cls(mult.reshape(shape), shift.reshape(shape))


def check_factors(what: str, factors: "list[float] | np.ndarray") -> None:
    """Raise UserError where a factor of a rescaling is too large, or not finite."""
    for factor in factors:
        if not abs(factor) < MOST_FACTOR:
            raise UserError(
                f"{what}: a rescale factor of {float(factor):g} is not possible, it must be "
                "below 2**30; quantize anew with other scales"
            )


@dataclass(frozen=True, slots=True)
class LstmConstants:
    """Of an LSTM layer; axes as in `IntegerLstm`.

    Members
    -------
    x, h: [G, 1] to the gates. x_bias, h_bias: [G, N], without `norm`'s bias.
    peephole: [P, 1, 1] or None. seen: how many cells have their peephole.
    norm: by gate, the multiplier and shift of the coefficients, and the guard of the variance.
    hidden: of o * tanh(c) to h, or to what is projected. hidden_zero: added there.
    projection, projection_bias: to h, [K]; the bias without h's zero point.
    cell_clip, projection_clip: codes, cut and not rounded; 0 for none.
    """

    x: Scaling
    x_bias: Ints
    h: Scaling
    h_bias: Ints
    peephole: Scaling | None
    seen: int
    norm: tuple[tuple[tuple[int, int], int], ...]
    hidden: Scaling
    hidden_zero: int
    projection: Scaling | None
    projection_bias: Ints
    cell_clip: int
    projection_clip: int


@np.errstate(over="ignore", under="ignore")
def lstm_constants(layer: IntegerLstm) -> LstmConstants:
    """Raises UserError where scales are too far apart for an int32 multiplier."""
    gate = np.full(len(layer.gates), F32(2.0**GATE_LOG2))
    if layer.gate_scale is not None:
        gate = layer.gate_scale.astype(F32)
    x_scale, y_scale = F32(layer.x.scale), F32(layer.y.scale)
    x_bias = -layer.x.zero_point * layer.weights.sum(axis=2)
    if layer.norm is None:
        x_bias = x_bias + layer.bias
    m_scale = y_scale if layer.m is None else F32(layer.m.scale)
    hidden = F32(2.0**-15 / float(m_scale) * 2.0**-15)
    return LstmConstants(
        x=Scaling.of(f"{layer.name}.x", layer.weight_scale.astype(F32) * x_scale / gate, 1),
        x_bias=x_bias,
        h=Scaling.of(f"{layer.name}.h", layer.recurrent_scale.astype(F32) * y_scale / gate, 1),
        h_bias=-layer.y.zero_point * layer.recurrent.sum(axis=2),
        peephole=_peephole(layer, gate),
        seen=layer.cells if layer.corrected else layer.outputs,
        norm=_norm(layer),
        hidden=Scaling.of(f"{layer.name} o * tanh(c)", [float(hidden)], 0),
        hidden_zero=_hidden_zero(layer),
        projection=_projection(layer, m_scale, y_scale),
        projection_bias=_projection_bias(layer),
        cell_clip=_cell_clip(layer),
        projection_clip=_projection_clip(layer),
    )


def _peephole(layer: IntegerLstm, gate: np.ndarray) -> Scaling | None:
    if layer.peephole is None or layer.peephole_scale is None:
        return None
    seen = [layer.gates.index(g) for g in layer.peephole_gates]
    factors = [
        float(F32(2.0**layer.cell_log2 * float(p) / float(s)))
        for p, s in zip(layer.peephole_scale, gate[seen], strict=True)
    ]
    return Scaling.of(f"{layer.name} peephole", factors, 1)


def _norm(layer: IntegerLstm) -> tuple[tuple[tuple[int, int], int], ...]:
    scales = () if layer.norm_scale is None else layer.norm_scale.astype(F32)
    return tuple((quantized_multiplier(float(s)), max(1, int(F32(NORM_GUARD) * s))) for s in scales)


def _hidden_zero(layer: IntegerLstm) -> int:
    """LiteRT subtracts the zero point of what is projected: its range is mirrored."""
    if layer.m is None:
        return layer.y.zero_point
    return layer.m.zero_point if layer.corrected else -layer.m.zero_point


def _projection(layer: IntegerLstm, m_scale: np.floating, y_scale: np.floating) -> Scaling | None:
    if layer.m is None:
        return None
    factor = F32(layer.projection_scale) * m_scale / y_scale
    return Scaling.of(f"{layer.name} projection", [float(factor)], 0)


def _projection_bias(layer: IntegerLstm) -> Ints:
    if layer.projection is None or layer.m is None:
        return np.zeros(0, np.int64)
    bias: Ints = -_hidden_zero(layer) * layer.projection.sum(axis=1)
    return bias if layer.projection_bias is None else bias + layer.projection_bias


def _cell_clip(layer: IntegerLstm) -> int:
    return int(min(F32(layer.cell_clip) / F32(2.0**layer.cell_log2), F32(32767)))


def _projection_clip(layer: IntegerLstm) -> int:
    """In LiteRT an int8; about the zero point it may be as wide as all codes."""
    most = F32(255 if layer.corrected else 127)
    return int(min(F32(layer.projection_clip) / F32(layer.y.scale), most))


@dataclass(frozen=True, slots=True)
class LinearConstants:
    """Of a linear layer. factor: float32 [1] or [outputs]; bias: [outputs]; low, high: of codes."""

    factor: np.ndarray
    bias: Ints
    low: int
    high: int


@np.errstate(over="ignore", under="ignore")
def linear_constants(layer: IntegerLinear) -> LinearConstants:
    """What XNNPACK derives, which runs these layers in LiteRT unless it is told otherwise.

    Raises UserError where scales are too far apart.
    """
    bias = layer.bias - layer.x.zero_point * layer.weights.sum(axis=1)
    low, high = {"relu": (0, None), "relu6": (0, 6), "relu_n1_to_1": (-1, 1)}.get(
        layer.activation, (None, None)
    )
    factor = layer.weight_scale.astype(F32) * F32(layer.x.scale) / F32(layer.y.scale)
    check_factors(f"{layer.name}.x", factor)
    return LinearConstants(
        factor=factor,
        bias=bias,
        low=-128 if low is None else int(layer.y.codes(np.array(low))),
        high=127 if high is None else int(layer.y.codes(np.array(high))),
    )
