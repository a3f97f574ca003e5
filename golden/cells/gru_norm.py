# SPDX-License-Identifier: Apache-2.0
"""The GRUs with layer normalization, whose reset gate comes after the product."""

from .cell import describe
from .norm import gained, normalized
from .values import GATE, Value, mix, rshr, sat16, sigmoid, tanh

__all__ = ["gru_norm", "gru_norm_xh"]

Values = dict[str, Value]

X, H_GATES = "rx zx nx", "rh zh nh"
GAINS = "gain_rx gain_zx gain_nx gain_rh gain_zh gain_nh"


@describe(
    x="r z nx",
    h="r z nh",
    inputs="r z nx nh h gain_r gain_z gain_n bias_r bias_z bias_n epsilon_r epsilon_z epsilon_n",
    bounded=True,
    candidate="nh",
    norms={"r": "r", "z": "z", "n": "nx nh"},
)
def gru_norm(**v: Value) -> Values:
    """Each gate's sum is normalized on its own, the candidate's with r in it."""
    (r,), (z,) = normalized(v["epsilon_r"], v["r"]), normalized(v["epsilon_z"], v["z"])
    r = sigmoid(gained([(v["gain_r"], r)], v["bias_r"]))
    z = sigmoid(gained([(v["gain_z"], z)], v["bias_z"]))
    (n,) = normalized(v["epsilon_n"], sat16(v["nx"] + rshr(r * v["nh"], GATE)))
    return {"h": mix(tanh(gained([(v["gain_n"], n)], v["bias_n"])), z, v["h"])}


@describe(
    x=X,
    h=H_GATES,
    inputs=f"{X} {H_GATES} h {GAINS} bias_r bias_z bias_nx bias_nh epsilon_x epsilon_h",
    bounded=True,
    candidate="nh",
    norms={"x": X, "h": H_GATES},
)
def gru_norm_xh(**v: Value) -> Values:
    """Both products are normalized, each of all its gates together."""
    rx, zx, nx = normalized(v["epsilon_x"], *(v[name] for name in X.split()))
    rh, zh, nh = normalized(v["epsilon_h"], *(v[name] for name in H_GATES.split()))
    r = sigmoid(gained([(v["gain_rx"], rx), (v["gain_rh"], rh)], v["bias_r"]))
    z = sigmoid(gained([(v["gain_zx"], zx), (v["gain_zh"], zh)], v["bias_z"]))
    inner = gained([(v["gain_nh"], nh)], v["bias_nh"])
    n = gained([(v["gain_nx"], nx)], v["bias_nx"], rshr(r * inner, GATE))
    return {"h": mix(tanh(n), z, v["h"])}
