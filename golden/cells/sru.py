# SPDX-License-Identifier: Apache-2.0
"""The SRU cells (Lei et al. 2018): recurrent in their own unit only, with a highway skip."""

from .cell import describe
from .values import GATE, Value, mix, rshr, sat16, sigmoid

Values = dict[str, Value]


def _sru(
    u: Value, f: Value, r: Value, c: Value, v_f: Value, v_r: Value, s: Value | float
) -> Values:
    """Both gates see the old c, the highway adds s to the new one."""
    f = sigmoid(sat16(f + rshr(v_f * c, GATE)))
    r = sigmoid(sat16(r + rshr(v_r * c, GATE)))
    c = mix(u, f, c)
    return {"c": c, "h": mix(s, r, c)}


@describe(x="u f r", formats={"u": "c"}, c_like_h=True)
def sru(u: Value, f: Value, r: Value, c: Value, v_f: Value, v_r: Value, skip: Value) -> Values:
    """The skip is the layer's input."""
    return _sru(u, f, r, c, v_f, v_r, skip)


@describe(x="u f r s", formats={"u": "c", "s": "h"}, c_like_h=True)
def sru4(u: Value, f: Value, r: Value, s: Value, c: Value, v_f: Value, v_r: Value) -> Values:
    """The skip is a gate of its own."""
    return _sru(u, f, r, c, v_f, v_r, s)


@describe(x="u f r", formats={"u": "c"}, c_like_h=True)
def sru0(u: Value, f: Value, r: Value, c: Value, v_f: Value, v_r: Value) -> Values:
    """There is no skip."""
    return _sru(u, f, r, c, v_f, v_r, 0)
