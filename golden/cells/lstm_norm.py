# SPDX-License-Identifier: Apache-2.0
"""The LSTMs with layer normalization (Ba et al. 2016): of the gates' sums, or of both products."""

from collections.abc import Mapping

from .cell import describe
from .lstm import Values, new_c, new_h
from .norm import gained, normalized
from .values import GATE, C, Format, H, Value, reread, rshr, sat16, sigmoid, tanh

__all__ = [
    "lstm_norm",
    "lstm_norm_all",
    "lstm_norm_xh",
    "lstm_norm_xh_c",
    "lstm_norm_xh_out",
]

Named = Mapping[str, Value]

GATES = "i f g o"
OFFSETS = "bias_i bias_f bias_g bias_o"
SUM = f"{GATES} c gain_i gain_f gain_g gain_o {OFFSETS}"
"""What a cell reads, besides epsilons, that normalizes sums; then one that normalizes products."""
X, H_GATES = "ix fx gx ox", "ih fh gh oh"
GAINS = "gain_ix gain_fx gain_gx gain_ox gain_ih gain_fh gain_gh gain_oh"
PRODUCTS = f"{X} {H_GATES} c {GAINS} {OFFSETS} epsilon_x epsilon_h"


def _together(v: Named, norm: str, names: str) -> dict[str, Value]:
    """By name, what one norm takes together, normalized."""
    each = names.split()
    return dict(zip(each, normalized(v[f"epsilon_{norm}"], *(v[n] for n in each)), strict=True))


def _activated(sums: Named) -> list[Value]:
    """The gates i, f, g, o of their sums."""
    return [tanh(sums[n]) if n == "g" else sigmoid(sums[n]) for n in "ifgo"]


def _of_sums(v: Named, y: Named) -> list[Value]:
    """The gates i, f, g, o of normalized sums y."""
    return _activated({n: gained([(v[f"gain_{n}"], y[n])], v[f"bias_{n}"]) for n in "ifgo"})


def _of_products(v: Named) -> list[Value]:
    """The gates i, f, g, o of both products, each normalized over all of its gates."""
    y = _together(v, "x", X) | _together(v, "h", H_GATES)
    return _activated(
        {
            n: gained(
                [(v[f"gain_{n}x"], y[f"{n}x"]), (v[f"gain_{n}h"], y[f"{n}h"])], v[f"bias_{n}"]
            )
            for n in "ifgo"
        }
    )


def _of_c(c: Value, v: Named, to: Format) -> Value:
    """The cell state normalized, in the format `to`."""
    (y,) = normalized(v["epsilon_c"], reread(c, GATE))
    return gained([(v["gain_c"], y)], v["bias_c"], to=to)


@describe(
    x=GATES,
    h=GATES,
    inputs=f"{SUM} epsilon_i epsilon_f epsilon_g epsilon_o",
    bounded=True,
    candidate="g",
    norms={"i": "i", "f": "f", "g": "g", "o": "o"},
)
def lstm_norm(**v: Value) -> Values:
    """Each gate's sum is normalized on its own, as in LiteRT."""
    i, f, g, o = _of_sums(v, {n: normalized(v[f"epsilon_{n}"], v[n])[0] for n in "ifgo"})
    c = new_c(i, f, g, v["c"])
    return {"c": c, "h": new_h(o, c)}


@describe(
    x=GATES,
    h=GATES,
    inputs=f"{SUM} epsilon_all",
    bounded=True,
    candidate="g",
    norms={"all": GATES},
)
def lstm_norm_all(**v: Value) -> Values:
    """The sums of all gates are normalized together."""
    i, f, g, o = _of_sums(v, _together(v, "all", GATES))
    c = new_c(i, f, g, v["c"])
    return {"c": c, "h": new_h(o, c)}


@describe(
    x=X,
    h=H_GATES,
    inputs=PRODUCTS,
    bounded=True,
    candidate="gh",
    norms={"x": X, "h": H_GATES},
)
def lstm_norm_xh(**v: Value) -> Values:
    """Both products are normalized, each of all its gates together."""
    i, f, g, o = _of_products(v)
    c = new_c(i, f, g, v["c"])
    return {"c": c, "h": new_h(o, c)}


@describe(
    x=X,
    h=H_GATES,
    inputs=f"{PRODUCTS} gain_c bias_c epsilon_c",
    bounded=True,
    candidate="gh",
    norms={"x": X, "h": H_GATES, "c": "c"},
)
def lstm_norm_xh_out(**v: Value) -> Values:
    """Ba et al., equations 20 to 22: both products, and c on its way to the output."""
    i, f, g, o = _of_products(v)
    c = new_c(i, f, g, v["c"])
    return {"c": c, "h": sat16(rshr(o * tanh(_of_c(c, v, GATE)), H))}


@describe(
    x=X,
    h=H_GATES,
    inputs=f"{PRODUCTS} gain_c bias_c epsilon_c",
    bounded=True,
    candidate="gh",
    norms={"x": X, "h": H_GATES, "c": "c"},
)
def lstm_norm_xh_c(**v: Value) -> Values:
    """The same, but that the next step has the normalized c, as in PyTorch's `custom_lstms.py`."""
    i, f, g, o = _of_products(v)
    c = _of_c(new_c(i, f, g, v["c"]), v, C)
    return {"c": c, "h": new_h(o, c)}
