# SPDX-License-Identifier: Apache-2.0
"""The light GRUs with layer normalization, of SpeechBrain (Moumen and Parcollet 2023).

The candidate is max(a, 0) and as large as h, whose format no shift may depend on: c is h once more,
and has its format.
"""

from .cell import describe
from .norm import gained, normalized
from .values import C, Value, mix, relu, sigmoid

Values = dict[str, Value]


def _new(a: Value, z: Value, h: Value) -> Values:
    h = mix(relu(a), sigmoid(z), h)
    return {"c": h, "h": h}


@describe(
    x="ax zx",
    h="ah zh",
    formats={"ah": "c"},
    c_like_h=True,
    candidate="ah",
    norms={"x": "ax zx"},
)
def ligru_norm(
    ax: Value,
    zx: Value,
    ah: Value,
    zh: Value,
    c: Value,
    gain_ax: Value,
    gain_zx: Value,
    bias_a: Value,
    bias_z: Value,
    epsilon_x: Value,
) -> Values:
    """The input's product is normalized, of both gates together."""
    ax, zx = normalized(epsilon_x, ax, zx)
    a = gained([(gain_ax, ax)], bias_a, ah, to=C)
    return _new(a, gained([(gain_zx, zx)], bias_z, zh), c)


@describe(
    x="ax zx",
    h="ah zh",
    formats={"ax": "c"},
    c_like_h=True,
    candidate="ah",
    norms={"h": "ah zh"},
)
def ligru_norm_h(
    ax: Value,
    zx: Value,
    ah: Value,
    zh: Value,
    c: Value,
    gain_ah: Value,
    gain_zh: Value,
    bias_a: Value,
    bias_z: Value,
    epsilon_h: Value,
) -> Values:
    """The recurrent product is: the stabilised light GRU, SLi-GRU."""
    ah, zh = normalized(epsilon_h, ah, zh)
    a = gained([(gain_ah, ah)], bias_a, ax, to=C)
    return _new(a, gained([(gain_zh, zh)], bias_z, zx), c)


@describe(
    x="ax zx",
    h="ah zh",
    c_like_h=True,
    candidate="ah",
    norms={"x": "ax zx", "h": "ah zh"},
)
def ligru_norm_xh(
    ax: Value,
    zx: Value,
    ah: Value,
    zh: Value,
    c: Value,
    gain_ax: Value,
    gain_zx: Value,
    gain_ah: Value,
    gain_zh: Value,
    bias_a: Value,
    bias_z: Value,
    epsilon_x: Value,
    epsilon_h: Value,
) -> Values:
    """Both are."""
    ax, zx = normalized(epsilon_x, ax, zx)
    ah, zh = normalized(epsilon_h, ah, zh)
    a = gained([(gain_ax, ax), (gain_ah, ah)], bias_a, to=C)
    return _new(a, gained([(gain_zx, zx), (gain_zh, zh)], bias_z), c)
