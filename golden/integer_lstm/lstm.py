# SPDX-License-Identifier: Apache-2.0
"""The elementwise part of an integer LSTM's step: from the gates' sums and c to c and h."""

import numpy as np

from ..arithmetic import Ints
from .activations import sigmoid, tanh
from .arithmetic import HIGH15, clamp, clamp8, clamp16, rescale, rounded_shift, wrap16, wrap32
from .constants import LstmConstants, Scaling
from .layer_norm import normalized
from .layers import IntegerLstm
from .watch import See, ignore


def rescaled(sums: Ints, scaling: Scaling) -> Ints:
    """int32 sums, which wrap, in the scale of what comes next."""
    return rescale(wrap32(sums), scaling.mult, scaling.shift)


def step(
    layer: IntegerLstm, k: LstmConstants, p: Ints, c: Ints, see: See = ignore
) -> tuple[Ints, Ints]:
    """The next c int16 [n, N], and the codes int8 [n, N] that are h, or that are projected to it.

    Parameters
    ----------
    layer, k: the layer and its constants.
    p: the gates' sums of x's and h's products, int16 [n, G, N].
    c: int16 [n, N].
    see: is shown what is cut.
    """
    f = sigmoid(_gate(layer, k, "f", p, c, see))
    g = tanh(_gate(layer, k, "g", p, c, see))
    i = sigmoid(_gate(layer, k, "i", p, c, see)) if "i" in layer.gates else HIGH15 - f
    kept = wrap16(rounded_shift(f * c, 15))
    wide = kept + wrap16(rounded_shift(i * g, 30 + layer.cell_log2))
    see("c", wide)
    c = clamp16(wide)
    if k.cell_clip > 0:
        c = clamp(c, -k.cell_clip, k.cell_clip)
    o = sigmoid(_gate(layer, k, "o", p, c, see))
    m = rescaled(o * tanh(c, 15 + layer.cell_log2), k.hidden) + k.hidden_zero
    see("h" if layer.m is None else "m", m)
    return c, clamp8(m)


def project(layer: IntegerLstm, k: LstmConstants, sums: Ints, see: See = ignore) -> Ints:
    """h int8 [n, K] of the projection's products [n, K]; see: is shown what is cut."""
    if k.projection is None:
        raise ValueError(f"{layer.name} has no projection")
    wide = rescaled(sums + k.projection_bias, k.projection) + layer.y.zero_point
    see("h", wide)
    h = clamp8(wide)
    if k.projection_clip > 0:  # about code 0, wherever the zero point is
        zero = layer.y.zero_point if layer.corrected else 0
        h = clamp8(clamp(h - zero, -k.projection_clip, k.projection_clip) + zero)
    return h


def _gate(
    layer: IntegerLstm, k: LstmConstants, name: str, p: Ints, c: Ints, see: See = ignore
) -> Ints:
    """A gate before its sigmoid or tanh, int16 Q3.12; o's c is the new one."""
    at = layer.gates.index(name)
    v = p[:, at]
    if layer.peephole is not None and k.peephole is not None and name in layer.peephole_gates:
        row = layer.peephole_gates.index(name)
        scaling = Scaling(k.peephole.mult[row], k.peephole.shift[row])
        seen = rescaled(layer.peephole[row, : k.seen] * c[:, : k.seen], scaling)
        v = np.concatenate([clamp16(wrap32(v[:, : k.seen] + seen)), v[:, k.seen :]], axis=1)
    see(name, v)
    if layer.norm is not None:
        scale, guard = k.norm[at]
        v = normalized(v, layer.norm[at], layer.bias[at], scale, guard)
    return v
